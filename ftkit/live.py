"""Watchers that draw while a run works: a curve in Jupyter, one line in a terminal."""

import sys
import time

from ftkit.events import Event, Status, Step, Val, Watcher

ENDED = ("succeeded", "cancelled", "failed")


def live() -> Watcher:
    """The watcher that suits where you are. Pass it as ``recipe.train(split, watch=ft.live())``."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return Curve() if hasattr(shell, "kernel") else Bar()


class Bar:
    """One line in a terminal: steps, loss, time left."""

    def __init__(self, label: str = ""):
        self.label = label
        self.bar = None
        self.val = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Step):
            if self.bar is None:
                from tqdm import tqdm

                self.bar = tqdm(total=event.steps, desc=self.label or None, unit="step", dynamic_ncols=True)
            self.bar.set_postfix_str(f"loss {event.loss:.3f}{self.val}", refresh=False)
            self.bar.update(event.step - self.bar.n)
        elif isinstance(event, Val):
            self.val = f" · val {event.loss:.3f}"
        elif isinstance(event, Status) and event.state in ENDED and self.bar is not None:
            self.bar.close()
            self.bar = None


class Curve:
    """The loss curve in a notebook, redrawn in place at most once a second; the last frame is stored in the file."""

    EVERY = 1.0
    """Seconds between frames: drawing one costs about a tenth."""

    def __init__(self):
        self.history: list[Event] = []
        self.handle = None
        self.drawn = self.started = time.monotonic()

    def __call__(self, event: Event) -> None:
        self.history.append(event)
        ended = isinstance(event, Status) and event.state in ENDED
        if not any(isinstance(past, Step) for past in self.history):
            return
        if ended or self.handle is None or time.monotonic() - self.drawn >= self.EVERY:
            self._draw()
            self.drawn = time.monotonic()

    def _draw(self) -> None:
        from IPython.display import display

        from ftkit.plots import loss_curve

        step = next(event for event in reversed(self.history) if isinstance(event, Step))
        state = next((event.state for event in reversed(self.history) if isinstance(event, Status)), "running")
        took = time.monotonic() - self.started
        picture = loss_curve(self.history, f"{state}: step {step.step} of {step.steps}, loss {step.loss:.3f}, {took:.0f} s")
        if self.handle is None:
            self.handle = display(picture, display_id=True)
        else:
            self.handle.update(picture)
