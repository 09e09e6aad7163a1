"""What a run says while it works. Engines emit events; screens, logs and tests listen."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

STATES = ("queued", "running", "succeeded", "cancelled", "failed")


@dataclass(frozen=True)
class Status:
    """The run entered a state, one of `STATES`; ``message`` says why in words."""

    state: str
    message: str = ""


@dataclass(frozen=True)
class Step:
    """One optimiser step is done. ``loss`` is the mean over scored tokens (LoRA) or over rows (Embed)."""

    step: int
    steps: int
    loss: float
    learning_rate: float = 0.0
    tokens: int = 0
    """Tokens processed since the run began, padding not counted; 0 where the engine does not count them."""
    accuracy: float | None = None
    """Share of the scored tokens that were the likeliest one (DPO: of the rows whose better answer gained more)."""


@dataclass(frozen=True)
class Val:
    """The validation loss, measured after ``step`` steps."""

    step: int
    loss: float
    accuracy: float | None = None
    """As in `Step`."""


@dataclass(frozen=True)
class Saved:
    """The model as of ``step`` is on disk, whole, at ``path`` (relative to the run folder)."""

    step: int
    path: str


@dataclass(frozen=True)
class Usage:
    """What the training took up to ``step``: time, and the highest memory of the process (CPU) or of the GPU."""

    step: int
    seconds: float
    peak_gib: float


Event = Status | Step | Val | Saved | Usage
Watcher = Callable[[Event], bool | None]
"""Called with every event. A watcher that returns True asks the run to stop and keep what it has."""

_KINDS = {kind.__name__.lower(): kind for kind in (Status, Step, Val, Saved, Usage)}


def to_dict(event: Event) -> dict:
    """The event as one flat, JSON-ready dictionary; what was not measured is left out.

    >>> to_dict(Val(step=20, loss=0.5))
    {'event': 'val', 'step': 20, 'loss': 0.5}
    """
    measured = {name: value for name, value in asdict(event).items() if value is not None}
    return {"event": type(event).__name__.lower(), **measured}


def from_dict(fields: dict) -> Event:
    """The event that `to_dict` wrote; keys it does not know (such as a time stamp) are ignored.

    >>> from_dict({"event": "val", "step": 20, "loss": 0.5, "time": 1.0})
    Val(step=20, loss=0.5, accuracy=None)
    """
    kind = _KINDS[fields["event"]]
    return kind(**{name: fields[name] for name in kind.__dataclass_fields__ if name in fields})
