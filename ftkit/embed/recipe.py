"""The Embed recipe: what you want of an embedding model, as a small frozen value. Standard library only."""

from dataclasses import dataclass
from pathlib import Path

from ftkit.data import Dataset, Pair, Split
from ftkit.errors import DataError, RunError
from ftkit.run import Recipe, Run, require

LOSSES = ("mnrl",)


@dataclass(frozen=True, kw_only=True)
class Embed(Recipe):
    """Fine-tune a sentence-transformers model on pairs of texts that belong together.

    >>> Embed(batch_size=32)
    Embed(base=None, loss='mnrl', epochs=1, batch_size=32, learning_rate=0.0001, warmup=0.1, max_length=128, seed=0)

    Introduced in lesson 03.
    """

    base: str | None = None
    """A folder or a hub name; None: all-MiniLM-L6-v2 (22.7 M parameters, English, 384 numbers per text)."""
    loss: str = "mnrl"
    """"mnrl": each anchor must find its own positive among those of its batch (MultipleNegativesRankingLoss;
    Henderson et al. 2017, arXiv:1705.00652, §4.4)."""
    epochs: int = 1
    """How often every pair is seen."""
    batch_size: int = 64
    """Pairs per step; each anchor has the other batch_size − 1 positives as its wrong answers."""
    learning_rate: float = 1e-4
    """The highest rate, reached after the warm-up; it falls linearly to 0 from there."""
    warmup: float = 0.1
    """Share of all steps during which the learning rate rises."""
    max_length: int = 128
    """Tokens; the rest of a longer text is cut off while training. The saved model keeps its base's own limit."""
    seed: int = 0
    """Order of the rows and dropout. Equal seeds on one machine give equal weights, bit for bit."""

    def __post_init__(self):
        require(self.loss in LOSSES, f"Embed: loss is {self.loss!r}; use one of {', '.join(map(repr, LOSSES))}")
        for name, least in (("epochs", 1), ("batch_size", 2), ("max_length", 8), ("seed", 0)):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            why = "; one pair alone has no wrong answers to learn from" if name == "batch_size" else ""
            require(whole and value >= least, f"Embed: {name} is {value!r}; use a whole number from {least} up{why}")
        require(0 < self.learning_rate < 1, f"Embed: learning_rate is {self.learning_rate!r}; 1e-4 is a good start")
        require(0 <= self.warmup <= 1, f"Embed: warmup is {self.warmup!r}; give a share of the steps from 0 to 1")

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
        for part, rows in (("train", split.train), ("val", split.val)):
            if wrong := next((row for row in rows if not isinstance(row, Pair)), None):
                where = getattr(wrong, "where", "") or f"{rows.name} ({part})"
                raise DataError(f"{where}: Embed learns from pairs; got a {type(wrong).__name__}: use read_pairs")
        if len(split.train) < 2:
            raise DataError(f"{split.train.name}: Embed needs 2 pairs or more to train on; got {len(split.train)}")

    def _train(self, train: Dataset, val: Dataset, run: Run) -> None:
        from ftkit.embed.engine import train as engine

        engine(self, train, val, run)
