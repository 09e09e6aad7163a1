"""The Embed recipe: what you want of an embedding model, as a small frozen value. Standard library only."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ftkit.data import PARSERS, Dataset, Pair, ScoredPair, Split
from ftkit.errors import DataError, RunError
from ftkit.lang import say
from ftkit.rules import Finding
from ftkit.run import Recipe, Run, require

LOSSES = {"mnrl": Pair, "cosent": ScoredPair, "cosine": ScoredPair}
"""Each loss and the kind of row it learns from."""
READERS = {Pair: "read_pairs", ScoredPair: "read_scored_pairs"}
KINDS = {Pair: "pair", ScoredPair: "scored"}


@dataclass(frozen=True, kw_only=True)
class Embed(Recipe):
    """Fine-tune a sentence-transformers model on pairs of texts that belong together, or on pairs with scores.

    >>> Embed(batch_size=32).loss
    'mnrl'

    Introduced in lesson 03.
    """

    base: str | None = None
    """A folder or a hub name; None: all-MiniLM-L6-v2 (22.7 M parameters, English, 384 numbers per text)."""
    loss: str = "mnrl"
    """"mnrl": each anchor must find its own positive among those of its batch (MultipleNegativesRankingLoss;
    Henderson et al. 2017, arXiv:1705.00652, §4.4). "cosent": pairs with a higher score must come out nearer than pairs
    with a lower one (CoSENT; Huang et al. 2024, doi:10.1109/TASLP.2024.3402087). "cosine": each pair's cosine must equal
    its score (CosineSimilarityLoss; Reimers and Gurevych 2019, arXiv:1908.10084, §3). The last two learn from scored pairs."""
    epochs: int = 1
    """How often every pair is seen."""
    batch_size: int = 64
    """Pairs per step; with "mnrl" each anchor has the other batch_size − 1 positives as its wrong answers."""
    negatives: int = 0
    """Hard negatives added to each pair: the nearest wrong positives, as the base sees them. Only for "mnrl"."""
    matryoshka: tuple[int, ...] = ()
    """Lengths that the first numbers of a vector shall also work at alone, such as (384, 256, 128, 64); the loss is the
    sum over them (Kusupati et al. 2022, arXiv:2205.13147, equation 1). Empty: the whole vector only."""
    r: int | None = None
    """Rank of a LoRA adapter on every linear layer, merged into the model that is saved; start with learning_rate=1e-3.
    None: every weight learns."""
    alpha: float = 32
    """LoRA's update is scaled by alpha / r. Not used without r."""
    learning_rate: float = 1e-4
    """The highest rate, reached after the warm-up; it falls linearly to 0 from there."""
    warmup: float = 0.1
    """Share of all steps during which the learning rate rises."""
    max_length: int = 128
    """Tokens; the rest of a longer text is cut off while training. The saved model keeps its base's own limit."""
    recompute: bool = False
    """Keep the activations of a few texts at a time and compute the others again on the way back: batches of thousands
    fit, for about half as much time again (what CachedMultipleNegativesRankingLoss does; Gao et al. 2021, arXiv:2101.06983)."""
    seed: int = 0
    """Order of the rows and dropout. Equal seeds on one machine give equal weights, bit for bit."""
    checkpoint_every: int = 100
    """Steps between checkpoints; a run that was killed goes on from the last one with `Run.resume`."""

    resumable: ClassVar[bool] = True

    def __post_init__(self):
        require(self.loss in LOSSES, f"Embed: loss is {self.loss!r}; use one of {', '.join(map(repr, LOSSES))}")
        least = {"epochs": 1, "batch_size": 2, "negatives": 0, "max_length": 8, "seed": 0, "checkpoint_every": 1}
        for name in least if self.r is None else (*least, "r"):
            value, lowest = getattr(self, name), least.get(name, 1)
            why = say("; one pair alone has no wrong answers to learn from") if name == "batch_size" else ""
            require(_whole(value) and value >= lowest, f"Embed: {name} is {value!r}; use a whole number from {lowest} up{why}")
        require(0 < self.learning_rate < 1, f"Embed: learning_rate is {self.learning_rate!r}; 1e-4 is a good start")
        require(0 <= self.warmup <= 1, f"Embed: warmup is {self.warmup!r}; give a share of the steps from 0 to 1")
        require(self.alpha > 0, f"Embed: alpha is {self.alpha!r}; give a number above 0, such as 2 · r")
        lengths = self.matryoshka
        good = isinstance(lengths, tuple) and all(_whole(one) and one >= 1 for one in lengths)
        good = good and len(set(lengths)) == len(lengths)
        require(good, f"Embed: matryoshka is {lengths!r}; give different whole lengths in a tuple, such as (384, 128, 64)")
        require(self.loss == "mnrl" or not self.negatives, f"Embed: negatives need loss='mnrl'; got loss={self.loss!r}")

    def base_model(self):
        """An `EmbedModel` as it was before any fine-tuning.

        Raises:
            ModelError: the base is unknown, out of reach or not what it claims to be.
        """
        from ftkit.embed.model import load_base  # sentence-transformers: opened by the verbs only

        return load_base(self.base)

    def load(self, folder: Path):
        """The `EmbedModel` that a run left in ``folder``."""
        saved = Path(folder) / "model"
        if not saved.is_dir():
            raise RunError(f"{saved}: this run kept no model; it failed, or was stopped before its first step")
        from ftkit.embed.model import load_folder

        return load_folder(saved, name=f"{self.base or 'all-MiniLM-L6-v2'}, tuned")

    def _check(self, split: Split) -> None:
        super()._check(split)
        wanted = LOSSES[self.loss]
        for part, rows in (("train", split.train), ("val", split.val)):
            for number, row in enumerate(rows, start=1):
                where = getattr(row, "where", "") or f"{rows.name} ({part}), row {number}"
                if not isinstance(row, wanted):
                    raise DataError(
                        f"{where}: Embed(loss={self.loss!r}) learns from rows of {wanted.__name__}; got a "
                        f"{type(row).__name__}: use {READERS[wanted]}"
                    )
                parsed = PARSERS[KINDS[wanted]](row.to_dict(), where)  # rows made by hand were never checked
                if isinstance(parsed, Finding):
                    raise DataError(str(parsed))
        if len(split.train) < 2:
            raise DataError(f"{split.train.name}: Embed needs 2 pairs or more to train on; got {len(split.train)}")
        if wanted is Pair and len({row.positive for row in split.train}) < 2:
            raise DataError(
                f"{split.train.name}: all {len(split.train)} pairs have the same positive, so none has a wrong answer "
                "to learn from; add pairs with other positives"
            )
        if wanted is ScoredPair and len({row.score for row in split.train}) < 2:
            raise DataError(
                f"{split.train.name}: all {len(split.train)} pairs have the score {split.train[0].score}: a model that "
                "puts every text in one place would be perfect; add pairs with other scores"
            )

    def _train(self, train: Dataset, val: Dataset, run: Run) -> None:
        from ftkit.embed.engine import train as engine

        engine(self, train, val, run)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
