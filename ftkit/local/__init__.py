"""Fine-tuning a language model on one's own machine. Light: torch is imported only once something is trained or loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ftkit.data import Chat, Preference, Split
from ftkit.errors import DataError
from ftkit.ranks import world_size
from ftkit.run import Recipe, Run, require

EMBEDDED = "ftkit-phi-11m"
"""The small model that ships with the kit; ``base=None`` means this one."""


@dataclass(frozen=True, kw_only=True)
class _Local(Recipe):
    """What every way of training a language model on one's own machine has in common."""

    base: str | None = None
    """A model id of the hub or a local folder; None: the embedded small model."""
    epochs: float = 1.0
    """How often each row is seen."""
    batch_size: int = 4
    """Rows per optimiser step, shared by all processes that train together."""
    learning_rate: float = 1e-3
    """The peak. The optimiser is AdamW with β₁ = 0.9, β₂ = 0.95, without weight decay."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises; afterwards it falls along a cosine."""
    max_length: int = 512
    """Tokens. Longer rows are refused, not cut: a cut row teaches to stop in the middle."""
    seed: int = 0
    """Fixes the adapter's start and the order of the rows."""
    checkpoint_every: int = 100
    """Steps between checkpoints; a run that was killed goes on from the last one with `Run.resume`."""

    resumable: ClassVar[bool] = True
    shareable: ClassVar[bool] = True
    learns_from: ClassVar[type] = Chat

    def __post_init__(self):
        name = type(self).__name__
        require(self.epochs > 0, f"{name}: epochs must be above 0; got {self.epochs}")
        require(self.batch_size >= 1, f"{name}: batch_size must be 1 or more; got {self.batch_size}")
        require(0 < self.learning_rate < 1, f"{name}: learning_rate must be between 0 and 1; got {self.learning_rate}")
        require(0 <= self.warmup < 1, f"{name}: warmup must be at least 0 and below 1; got {self.warmup}")
        require(self.max_length >= 8, f"{name}: max_length must be 8 tokens or more; got {self.max_length}")
        require(self.seed >= 0, f"{name}: seed must be 0 or more; got {self.seed}")
        every = self.checkpoint_every
        require(every >= 1, f"{name}: checkpoint_every must be 1 step or more; got {every}")

    def base_model(self):
        """The base as a `LocalModel`, untouched."""
        from ftkit.local.model import LocalModel  # torch, transformers, peft

        return LocalModel.load(self.base)

    def estimate(self, split: Split, gpu: str | None = None):
        """A `TrainingEstimate`: memory, time and dollars of ``train(split)``, before it is begun.

        Args:
            gpu: a device of prices.json, such as "T4" or "A100-80"; None: this machine, timed with a few real steps.

        Raises:
            ModelError: an unknown device, or a base whose shape is out of reach.
        """
        from ftkit.local import memory  # torch, transformers, peft

        self._check(split)
        return memory.estimate(self, split, gpu)

    def _check(self, split: Split) -> None:
        super()._check(split)
        require(
            self.batch_size % world_size() == 0,
            f"{type(self).__name__}: batch_size={self.batch_size} rows a step cannot be shared equally by {world_size()} "
            "processes; make it a multiple",
        )
        for row in (*split.train, *split.val):
            if not isinstance(row, self.learns_from):
                where, kind = row.where or split.train.name, type(self).__name__
                raise DataError(f"{where}: {kind} learns from {self.learns_from.__name__} rows; got {type(row).__name__}")

    def _train(self, train, val, run: Run) -> None:
        from ftkit.local import engine  # torch, transformers, peft

        engine.train(self, train, val, run)


@dataclass(frozen=True, kw_only=True)
class LoRA(_Local):
    """Low-rank adaptation: the base stays frozen, each chosen linear layer learns h = W₀x + (α/r)·B·A·x.

    Hu et al. 2021, arXiv:2106.09685, §4.1. Introduced in lesson 02.

    >>> LoRA(r=8, alpha=16).epochs
    1.0
    """

    r: int = 16
    """Rank: the inner size of B·A."""
    alpha: float = 32
    """The update is scaled by alpha / r."""
    dropout: float = 0.0
    """Share of the adapter's inputs dropped while training; 0.05 costs about 15 % of the speed."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """Which layers learn: names such as ("q_proj", "v_proj"), or every linear layer but the head."""
    rslora: bool = False
    """Scale the update by alpha / √r instead, so that a high rank keeps learning (Kalajdzievski 2023, arXiv:2312.03732)."""
    dora: bool = False
    """Learn each weight's length apart from its direction (Liu et al. 2024, arXiv:2402.09353)."""
    learning_rate: float = 2.5e-3
    """The peak. 2.5e-3 suits the embedded model; for models of 1 B parameters and more start at 2e-4."""

    def __post_init__(self):
        require(self.r >= 1, f"LoRA: r must be 1 or more; got {self.r}")
        require(self.alpha > 0, f"LoRA: alpha must be above 0; got {self.alpha}")
        require(0 <= self.dropout < 1, f"LoRA: dropout must be at least 0 and below 1; got {self.dropout}")
        require(bool(self.target_modules), "LoRA: target_modules is empty; name layers, or 'all-linear'")
        super().__post_init__()

    def load(self, folder: Path):
        """The base with the run's adapter on it, as a `LocalModel`."""
        from ftkit.local.model import LocalModel  # torch, transformers, peft

        return LocalModel.load(self.base, adapter=Path(folder) / "adapter")


@dataclass(frozen=True, kw_only=True)
class QLoRA(LoRA):
    """LoRA on a base whose linear layers are stored in 4 bits (NF4), about a quarter of what bf16 takes.

    Dettmers et al. 2023, arXiv:2305.14314, §3. Runs on a CPU too. Needs bitsandbytes.

    >>> QLoRA(r=8).double_quant
    True
    """

    double_quant: bool = True
    """Store the scale of each block of 64 weights in 8 bits instead of 32: saves 0.37 bits a weight."""

    def base_model(self):
        """The base in 4 bits as a `LocalModel`, untouched."""
        return self._open(None)

    def load(self, folder: Path):
        """The 4-bit base with the run's adapter on it, as a `LocalModel`."""
        return self._open(Path(folder) / "adapter")

    def _open(self, adapter: Path | None):
        from ftkit.local.model import LocalModel, Nf4  # torch, transformers, peft

        return LocalModel.load(self.base, adapter=adapter, nf4=Nf4(self.double_quant))


@dataclass(frozen=True, kw_only=True)
class DPO(LoRA):
    """An adapter that makes the better of two answers likelier and the worse one less likely, as against the base.

    loss = −log σ(β·[(log π(y⁺) − log π₀(y⁺)) − (log π(y⁻) − log π₀(y⁻))]), π₀ the untouched base. Rafailov et al. 2023,
    arXiv:2305.18290, equation 7. Learns from `ftkit.read_preferences`; works best on a base that knows the task already.

    >>> DPO(beta=0.2).learning_rate
    0.0005
    """

    beta: float = 0.1
    """How strongly the adapter is held to the base: high means close."""
    learning_rate: float = 5e-4
    """The peak: a place to start, not tuned; for models of 1 B parameters and more start far lower, at 5e-6."""

    learns_from: ClassVar[type] = Preference
    shareable: ClassVar[bool] = False  # its loss is computed beside the model's own forward, which DDP watches

    def __post_init__(self):
        require(self.beta > 0, f"DPO: beta must be above 0; got {self.beta}")
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class FullFineTune(_Local):
    """Every weight of the base learns: what LoRA is measured against. About 16 bytes of memory per parameter.

    >>> FullFineTune(epochs=2).learning_rate
    0.001
    """

    learning_rate: float = 1e-3
    """The peak. 1e-3 suits the embedded model; for models of 1 B parameters and more start at 1e-5."""

    def load(self, folder: Path):
        """The run's model, as a `LocalModel`."""
        from ftkit.local.model import LocalModel  # torch, transformers, peft

        model = LocalModel.load(Path(folder) / "model")
        model.name = f"{self.base or EMBEDDED}, fully tuned"
        return model
