"""Recipe and Run: what you want, and the folder that holds what came of it.

    runs/lora-001/
      recipe.json     the recipe, field by field
      data.json       fingerprint and size of train, val and test
      events.jsonl    everything the run said, one event a line, each with its time
      checkpoints/    where a stopped or killed run can go on (not every engine)
      adapter/ …      what the engine saved
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar

from ftkit import events
from ftkit.data import Split
from ftkit.errors import FtkitError, RecipeError, RunError
from ftkit.events import Event, Status, Step, Usage, Val, Watcher
from ftkit.files import write_atomic
from ftkit.lang import spoken
from ftkit.ranks import leads, world_size


class Run:
    """One training run: its folder, its log, its model.

    Made by ``recipe.train(split)``; reopened from disk with `Run.open`.
    """

    def __init__(self, folder: Path, recipe: "Recipe", history: list[Event], watchers: Sequence[Watcher] = ()):
        self.folder = folder
        self.recipe = recipe
        self.history = history
        """Every event so far, oldest first."""
        self._watchers = list(watchers)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._model = None

    @classmethod
    def create(cls, recipe: "Recipe", split: Split, folder: str | os.PathLike | None = None, watch=None) -> "Run":
        """A new run in a new folder; ``runs/<kind>-NNN`` unless you name one.

        Raises:
            RunError: the folder exists already; nothing in it is touched. Or several processes train together, and the
                folder has no name that all of them know.
        """
        if world_size() > 1 and folder is None:
            raise RunError("several processes train one run: name its folder, so that all of them know it")
        if not leads():
            return cls(Path(folder), recipe, [])
        if folder is None:
            folder = next_folder(Path("runs"), recipe.kind.lower())
        else:
            folder = Path(folder)
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                raise RunError(
                    f"{folder}: this run folder exists already and is left as it is; open it with "
                    f"Run.open({str(folder)!r}), or train into another folder="
                ) from None
        write_atomic(folder / "recipe.json", json.dumps({"kind": recipe.kind, **asdict(recipe)}, indent=2) + "\n")
        sizes = {name: len(getattr(split, name)) for name in ("train", "val", "test")}
        about = {"name": split.train.name, "rows": sizes, "sha256": split.fingerprints}
        write_atomic(folder / "data.json", json.dumps(about, indent=2) + "\n")
        watchers = [] if watch is None else [watch] if callable(watch) else list(watch)
        return cls(folder, recipe, [], watchers)

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "Run":
        """The run that lives in ``folder``; a half-written last line of its log, left by a crash, is ignored.

        Raises:
            RunError: no run there, or one that this version cannot read.
        """
        folder = Path(folder)
        try:
            recipe = Recipe.from_dict(json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise RunError(f"{folder}: no run here (recipe.json is missing); working in {Path.cwd()}") from None
        except (ValueError, RecipeError) as error:
            raise RunError(f"{folder / 'recipe.json'}: cannot be read: {error}") from None
        history = []
        log = folder / "events.jsonl"
        for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
            try:
                history.append(events.from_dict(json.loads(line)))
            except ValueError:
                break
        return cls(folder, recipe, history)

    def __repr__(self) -> str:
        steps = [event for event in self.history if isinstance(event, Step)]
        last = f" · step {steps[-1].step} of {steps[-1].steps} · loss {steps[-1].loss:.3f}" if steps else ""
        return f"Run({self.recipe.kind} · {self.status}{last})"

    @property
    def status(self) -> str:
        """The last state the run entered: queued, running, succeeded, cancelled or failed."""
        return next((event.state for event in reversed(self.history) if isinstance(event, Status)), "queued")

    @property
    def losses(self) -> list[float]:
        """The training loss of every step."""
        return [event.loss for event in self.history if isinstance(event, Step)]

    @property
    def val_losses(self) -> list[float]:
        """Every validation loss measured, oldest first."""
        return [event.loss for event in self.history if isinstance(event, Val)]

    @property
    def usage(self) -> Usage | None:
        """What the training took, its goes together; None where the engine measures nothing."""
        goes = [event for event in self.history if isinstance(event, Usage)]
        if not goes:
            return None
        return Usage(goes[-1].step, sum(go.seconds for go in goes), max(go.peak_gib for go in goes))

    @property
    def model(self):
        """The trained model, loaded on first use; a run in the background is waited for.

        Raises:
            RunError: the run kept no model, because it failed or was stopped before its first step.
        """
        self.wait()
        if self._model is None:
            self._model = self.recipe.load(self.folder)
        return self._model

    def emit(self, event: Event) -> None:
        """Log the event, then tell every watcher; one that returns True stops the run. For engines.

        Of several processes that train together, only the first logs and tells.
        """
        self.history.append(event)
        if not leads():
            return
        line = json.dumps({**events.to_dict(event), "time": round(time.time(), 3)})
        with open(self.folder / "events.jsonl", "a", encoding="utf-8", newline="\n") as log:
            log.write(line + "\n")
        for watcher in self._watchers:
            if watcher(event) is True:
                self.cancel()

    def resume(
        self, split: Split, *, watch: Watcher | Sequence[Watcher] | None = None, background: bool = False
    ) -> "Run":
        """This run, gone on with from its last whole checkpoint to its end; from the start if there is none.

        On a CPU the result is bit for bit that of a run that was never stopped, and so is the log:
        ``run = Run.open("runs/lora-001").resume(split)``. With ``background`` as in `Recipe.train`.

        Raises:
            RunError: the run has succeeded or still trains, its recipe cannot resume, or the split is not the one it
                was begun with.
        """
        if self._thread is not None and self._thread.is_alive():
            raise RunError(f"{self.folder}: this run still trains; wait for it, or stop it with run.cancel()")
        if not self.recipe.resumable:
            raise RunError(f"{self.folder}: {self.recipe.kind} runs cannot be resumed; train again into a new folder")
        if self.status == "succeeded":
            raise RunError(f"{self.folder}: this run has succeeded; there is nothing left to do")
        self.recipe._check(split)
        begun = json.loads((self.folder / "data.json").read_text(encoding="utf-8"))["sha256"]
        for part in ("train", "val"):
            if split.fingerprints[part] != begun[part]:
                raise RunError(
                    f"{self.folder}: the split's {part} rows are not those the run was begun with "
                    f"(SHA-256 {split.fingerprints[part][:12]}…, begun with {begun[part][:12]}…); use the same file and seed"
                )
        if watch is not None:
            self._watchers += [watch] if callable(watch) else list(watch)
        self._stop.clear()
        self._thread = self._error = self._model = None
        self._work(lambda: self.recipe._train(split.train, split.val, self), background)
        return self

    def wait(self) -> "Run":
        """This run, once it no longer trains in the background; at once if it does not.

        Kernel → Interrupt (Ctrl-C) while waiting stops the run after its step, and what it has is kept. Raises the error
        that ended the run, if one did.
        """
        if self._thread is not None and self._thread is not threading.current_thread():
            with _on_interrupt(self.cancel):
                while self._thread.is_alive():
                    self._thread.join(0.2)  # seconds: on Windows a join without an end cannot be interrupted
            self._thread = None
            error, self._error = self._error, None
            if error is not None:
                raise error
        return self

    def _work(self, train: Callable[[], None], background: bool) -> None:
        """Do the training, recorded: now, or in a thread of its own."""

        def work() -> None:
            with self.recording():
                train()

        def work_aside() -> None:
            try:
                work()
            except BaseException as error:  # raised again by `wait`
                self._error = error

        if background:
            self.emit(Status("queued"))  # said here, so that a screen appears in the cell that began the run
            self._thread = threading.Thread(target=work_aside, name=str(self.folder), daemon=True)
            self._thread.start()
        else:
            work()

    def rewind(self, step: int) -> None:
        """Forget what was logged after ``step``: it will be done, and logged, again. For engines that resume."""
        if not leads():
            return
        kept, history = [], []
        log = self.folder / "events.jsonl"
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                event = events.from_dict(json.loads(line))
            except ValueError:  # cut off by a crash
                continue
            if isinstance(event, Status) or event.step <= step:
                kept.append(line + "\n")
                history.append(event)
        write_atomic(log, "".join(kept))
        self.history = history

    def cancel(self) -> None:
        """Ask the engine to stop after the step it is in and keep what it has. Safe from any thread."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """True once somebody asked to stop. Engines look after every step."""
        return self._stop.is_set()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Log how the work inside ends: succeeded, cancelled or failed.

        The first Ctrl-C (Kernel → Interrupt) asks the engine to stop after its step and keep what it has; the
        second one breaks off at once.
        """
        self.emit(Status("running"))
        try:
            with _on_interrupt(self.cancel):
                yield
        except KeyboardInterrupt:
            self.emit(Status("cancelled", "interrupted"))
            raise
        except BaseException as error:
            with spoken("en"):  # the log is for programs too
                words = f"{type(error).__name__}: {error}"
            self.emit(Status("failed", words))
            raise
        self.emit(Status("cancelled", "stopped on request") if self.stopping else Status("succeeded"))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What you want, as a small frozen value. Subclasses add their fields and three verbs.

    ``dataclasses.replace(recipe, r=4)`` makes a variant; ``train`` never changes a recipe.
    """

    kinds: ClassVar[dict[str, type["Recipe"]]] = {}
    resumable: ClassVar[bool] = False
    """Whether a run that was stopped or killed can go on from where it was."""
    shareable: ClassVar[bool] = False
    """Whether several processes (torchrun, accelerate launch) can train one run together."""

    def __init_subclass__(cls):
        Recipe.kinds[cls.__name__] = cls

    @property
    def kind(self) -> str:
        """The recipe's name, as recipe.json stores it."""
        return type(self).__name__

    @staticmethod
    def from_dict(values: dict) -> "Recipe":
        """The recipe that recipe.json describes."""
        values = dict(values)
        kind = Recipe.kinds.get(values.pop("kind", None))
        if kind is None:
            raise RecipeError(f"unknown recipe kind; want one of {', '.join(sorted(Recipe.kinds))}")
        known = {field.name for field in fields(kind)}
        missing = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING and f.name not in values]
        if unknown := set(values) - known:
            raise RecipeError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
        if missing:
            raise RecipeError(f"{kind.__name__} lacks {', '.join(missing)}")
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    def train(
        self, split: Split, *, watch: Watcher | Sequence[Watcher] | None = None, folder=None, background: bool = False
    ) -> Run:
        """A finished run. The engine gets ``split.train`` and ``split.val``, never ``split.test``.

        Ctrl-C or Kernel → Interrupt ends the run after its current step with status "cancelled"; its folder keeps
        the model as of that step.

        Args:
            watch: one watcher or several, called with every event; `ftkit.live()` draws.
            folder: where the run lives; must not exist. Default: ``runs/<kind>-NNN``.
            background: return at once and train in a thread, so that the notebook stays free and `ftkit.live()` can
                show a button that stops the run. ``run.wait()`` and ``run.model`` wait for the end.

        Raises:
            RunError: the folder exists.
            FtkitError: whatever the engine found wrong, before it spent time or money where it can tell.
        """
        self._check(split)
        run = Run.create(self, split, folder, watch)
        run._work(lambda: self._train(split.train, split.val, run), background)
        return run

    def base_model(self):
        """The model before any fine-tuning: what every result is compared with."""
        raise NotImplementedError

    def load(self, folder: Path):
        """The model that a run of this recipe left in ``folder``."""
        raise NotImplementedError

    def _check(self, split: Split) -> None:
        """Refuse what cannot work, before a folder is made."""
        if not isinstance(split, Split):
            raise FtkitError(f"{self.kind}.train wants a Split; got {type(split).__name__}: call .split(seed=0) first")
        if world_size() > 1 and not self.shareable:
            raise RecipeError(f"{self.kind} trains in one process only, but {world_size()} were launched; start it plainly")

    def _train(self, train, val, run: Run) -> None:
        raise NotImplementedError


def require(condition: bool, message: str) -> None:
    """Raise RecipeError with ``message`` unless ``condition`` holds. For ``__post_init__``."""
    if not condition:
        raise RecipeError(message)


def next_folder(parent: Path, stem: str) -> Path:
    """A folder ``stem-NNN`` that did not exist a moment ago and now does; safe beside other processes."""
    parent.mkdir(parents=True, exist_ok=True)
    taken = [p.name.rpartition("-")[2] for p in parent.glob(f"{stem}-*")]
    number = max((int(n) for n in taken if n.isdigit()), default=0) + 1
    while True:
        folder = parent / f"{stem}-{number:03d}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


@contextmanager
def _on_interrupt(first) -> Iterator[None]:
    """The first SIGINT calls ``first``; later ones do what they always did. Elsewhere than the main thread: nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def handle(signum, frame):
        signal.signal(signal.SIGINT, before)
        first()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
