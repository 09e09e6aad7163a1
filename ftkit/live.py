"""Watchers that draw while a run works: a curve in Jupyter, one line in a terminal."""

import time
from importlib.util import find_spec

from ftkit.events import Event, Status, Step, Val, Watcher
from ftkit.lang import say
from ftkit.screens import in_a_notebook

ENDED = ("succeeded", "cancelled", "failed")


def live() -> Watcher:
    """The watcher that suits where you are. Pass it as ``recipe.train(split, watch=ft.live())``.

    In a notebook, with ``background=True`` too, it shows a button that stops the run and keeps what it has.
    """
    return Curve() if in_a_notebook() else Bar()


def queued(event: Event) -> bool:
    """Whether it says what happens before training, such as what it will cost: there is nothing to draw yet."""
    return isinstance(event, Status) and event.state == "queued" and bool(event.message)


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
        elif queued(event):
            print(event.message)
        elif isinstance(event, Val):
            self.val = f" · val {event.loss:.3f}"
        elif isinstance(event, Status) and event.state in ENDED and self.bar is not None:
            self.bar.close()
            self.bar = None


class Curve:
    """The loss curve in a notebook, redrawn in place at most once a second; the last frame is stored in the file.

    A run that was queued trains in a thread beside the cells: it gets a Stop button. (While a cell trains, a kernel
    hears of no click; Kernel → Interrupt is the button then.)
    """

    EVERY = 1.0
    """Seconds between frames: drawing one costs about a tenth."""

    def __init__(self):
        self.history: list[Event] = []
        self.handle = None
        self.button = None
        self.stopped = False
        self.drawn = self.started = time.monotonic()

    def __call__(self, event: Event) -> bool:
        if event == Status("queued") and not self.history:
            self._offer_stop()
        self.history.append(event)
        if queued(event):
            print(event.message)
        ended = isinstance(event, Status) and event.state in ENDED
        if any(isinstance(past, Step) for past in self.history):
            if ended or self.handle is None or time.monotonic() - self.drawn >= self.EVERY:
                self._draw()
                self.drawn = time.monotonic()
        elif ended and self.handle is not None:
            kind, _, words = event.message.partition(": ")  # of an error
            said = f"{kind}: {say(words)}" if words else say(kind)
            self.handle.update({"text/plain": f"{say(event.state)}: {said}"}, raw=True)
        if ended and self.button is not None:
            self.button.description, self.button.disabled = say(event.state), True
        return self.stopped

    def stop(self) -> None:
        """Ask the run to end after its step and keep what it has: what the button does."""
        self.stopped = True
        if self.button is not None:
            self.button.description, self.button.disabled = say("stopping …"), True

    def _offer_stop(self) -> None:
        from IPython.display import display

        if find_spec("ipywidgets"):
            from ipywidgets import Button

            self.button = Button(description=say("Stop"), tooltip=say("End after this step and keep the model"))
            self.button.add_class("ftkit-stop")
            self.button.on_click(lambda button: self.stop())
            display(self.button)
        # in the cell that began the run: what a thread displays first may land in any cell
        self.handle = display({"text/plain": say("loading the model …")}, raw=True, display_id=True)

    def _draw(self) -> None:
        from IPython.display import display

        from ftkit.plots import loss_curve

        step = next(event for event in reversed(self.history) if isinstance(event, Step))
        state = next((event.state for event in reversed(self.history) if isinstance(event, Status)), "running")
        took = time.monotonic() - self.started
        title = say(f"{say(state)}: step {step.step} of {step.steps}, loss {step.loss:.3f}, {took:.0f} s")
        picture = loss_curve(self.history, title)
        if self.handle is None:
            self.handle = display(picture, display_id=True)
        else:
            self.handle.update(picture)
