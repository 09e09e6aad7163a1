"""Things to try by hand in a notebook: the advisor, a search box, the blind voter, the cost slider, an A/B test to play with.

Core ipywidgets only. Everything works by keyboard (Tab, arrows, Space, Enter), and every answer is also text: in the
widget, and in an output of its own for readers whose page shows no widgets.
"""

from collections.abc import Callable

import ipywidgets

from ftkit import abtest
from ftkit.advice import advise
from ftkit.cost import ServingCost
from ftkit.lang import say
from ftkit.tables import escaped
from ftkit.vote import Ballot

LAYOUT = ipywidgets.Layout(width="auto", max_width="46rem")
WIDE = {"description_width": "initial"}


TOLD = '<div role="status" aria-live="polite">{}</div>'
"""What a screen reader is told when it changes."""

HIDE = "<style>.jp-OutputArea-child:has(.ftkit-drawn) + .jp-OutputArea-child:has(.ftkit-kept) {display: none}</style>"
"""While the widget is drawn, its answer is in it."""


class Kept(ipywidgets.VBox):
    """A widget whose answer stays in the notebook: as an output of its own, below it, seen wherever the widget cannot be drawn.

    A widget lives in its kernel. Opened again without that kernel it is gone, even for whoever ran it.
    """

    def __init__(self, children, name: str):
        self._output = None
        super().__init__([*children, ipywidgets.HTML(HIDE, layout=ipywidgets.Layout(display="none"))])
        self.add_class("ftkit-drawn")
        self.add_class(f"ftkit-{name}")

    @property
    def text(self) -> str:
        """The answer as plain text."""
        raise NotImplementedError

    @property
    def html(self) -> str:
        """The answer as HTML."""
        raise NotImplementedError

    def _keep(self) -> None:
        """The answer may have changed."""
        if self._output is not None:
            self._output.update(self._kept(), raw=True)

    def _kept(self) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": f"<div class='ftkit-kept'>{self.html}</div>"}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display({**self._repr_mimebundle_(), "text/plain": ""}, raw=True)
        self._output = display(self._kept(), raw=True, display_id=True)

    def __repr__(self) -> str:
        return self.text


class Panel(Kept):
    """Controls above, the answer below, told anew whenever a control moves."""

    def __init__(self, controls, answer, name: str):
        self.answer = ipywidgets.HTML(layout=LAYOUT)
        self._answer = answer
        super().__init__([*controls, self.answer], name)
        for control in controls:
            control.observe(self._tell, "value")
        self._tell()

    @property
    def text(self) -> str:
        return str(self._found)

    @property
    def html(self) -> str:
        return self._found._repr_html_() if hasattr(self._found, "_repr_html_") else f"<p>{escaped(self.text)}</p>"

    def _tell(self, change=None) -> None:
        self._found = self._answer()
        self.answer.value = TOLD.format(self.html)
        self._keep()


QUESTIONS = {
    "behaviour": "Must the model behave differently: style, format, one narrow task, a field's language?",
    "facts_change": "Do answers rest on facts that change: prices, stock, documents?",
    "rag": "Does a search over those facts feed the model already?",
    "search_misses": "Does that search miss the right passage?",
    "prompted": "Has a careful prompt been tried, and measured?",
    "few_shot": "Have examples in the prompt been tried, and measured?",
    "budget": "Is there time and money to train, test and look after a model?",
    "private": "Must the data stay in the house?",
}
GPUS = {"no GPU": 0, "16 GiB, such as a free Colab's T4": 16, "24 GiB": 24, "80 GiB": 80}


def advisor() -> Panel:
    """The decision tree of `ftkit.advise` as questions to tick. Introduced in lesson 00."""
    boxes = {
        name: ipywidgets.Checkbox(name == "budget", description=say(text), indent=False, layout=LAYOUT)
        for name, text in QUESTIONS.items()
    }
    examples = ipywidgets.BoundedIntText(0, min=0, max=10_000_000, description=say("How many good examples?"), style=WIDE)
    sizes = {say(name): gib for name, gib in GPUS.items()}
    # no Dropdown: JupyterLab takes its arrow keys for moving between cells
    gpu = ipywidgets.ToggleButtons(options=sizes, description=say("Which GPU?"), style={**WIDE, "button_width": "auto"})

    def answer():
        ticked = {name: box.value for name, box in boxes.items()}
        return advise(**ticked, examples=examples.value, gpu_gib=gpu.value)

    panel = Panel([*boxes.values(), examples, gpu], answer, "advisor")
    panel.questions = {**boxes, "examples": examples, "gpu_gib": gpu}
    return panel


def search_box(rankings: Callable[[str], object], question: str) -> Panel:
    """A line to type a question in; Enter shows what ``rankings(question)`` finds. Introduced in lesson 03."""
    asked = ipywidgets.Text(question, description=say("Search for"), continuous_update=False, style=WIDE, layout=LAYOUT)
    panel = Panel([asked], lambda: rankings(asked.value), "search")
    panel.question = asked
    return panel


def cost_slider(cost: ServingCost) -> Panel:
    """What a volume costs, hosted and on a GPU of one's own, by a slider. Introduced in lesson 04."""
    volume = ipywidgets.FloatLogSlider(
        100_000, base=10, min=3, max=8, step=0.05, description=say("requests a month"), style=WIDE, layout=LAYOUT, readout=False
    )
    panel = Panel([volume], lambda: f"{cost.at(volume.value)}. {cost.words[0].upper()}{cost.words[1:]}.", "cost")
    panel.volume = volume
    return panel


def ab_player() -> Panel:
    """How many users an A/B test takes, and how often a test of a given size misses, to feel what noise does."""
    base = ipywidgets.BoundedFloatText(0.60, min=0.01, max=0.98, step=0.01, description=say("base succeeds"), style=WIDE)
    change = ipywidgets.BoundedFloatText(0.05, min=0.01, max=0.98, step=0.01, description=say("true gain"), style=WIDE)
    users = ipywidgets.BoundedIntText(200, min=10, max=1_000_000, description=say("users in each arm"), style=WIDE)

    def answer() -> str:
        gain = min(change.value, 0.99 - base.value)
        found = abtest.power(users.value, base=base.value, change=gain)
        needed = abtest.users_per_arm(base=base.value, change=gain)
        return say(
            f"From {base.value:.0%} to {base.value + gain:.0%} with {users.value:,} users in each arm: {found:.0%} of such "
            f"tests see the gain, {1 - found:.0%} miss it. Four in five would see it with {needed:,}."
        )

    panel = Panel([base, change, users], answer, "ab")
    panel.base, panel.change, panel.users = base, change, users
    return panel


VOTES = {"left": "Left is better", "tie": "About equal", "right": "Right is better"}


class Voter(Kept):
    """The rows of a Ballot one after the other: three buttons, and the result at the end. Made by `voter`."""

    def __init__(self, ballot: Ballot):
        self.ballot = ballot
        self.shown = ipywidgets.HTML(layout=ipywidgets.Layout(width="auto"))
        self.buttons = {side: ipywidgets.Button(description=say(text)) for side, text in VOTES.items()}
        for side, button in self.buttons.items():
            button.on_click(lambda pressed, side=side: self.vote(side))
        super().__init__([self.shown, ipywidgets.HBox(list(self.buttons.values()))], "voter")
        self._show()

    def vote(self, side: str) -> None:
        """As if the button had been pressed; the vote is on disk when this returns."""
        if self.ballot.next() is not None:  # a double click on the last row is not an error
            self.ballot.vote(side)
        self._show()

    @property
    def text(self) -> str:
        """Where the voting stands, as plain text; whose answer is whose is not told before the end."""
        if self.ballot.next() is not None:
            return say(f"{self.ballot.done} of {len(self.ballot)} rows voted")
        return str(self.ballot.result)

    @property
    def html(self) -> str:
        return self.ballot.result._repr_html_() if self.ballot.next() is None else f"<p>{escaped(self.text)}</p>"

    def _show(self) -> None:
        pairing = self.ballot.next()
        for button in self.buttons.values():
            button.disabled = pairing is None
        shown = self.html
        if pairing is not None:
            cell = "<td style='text-align:left; vertical-align:top; white-space:pre-wrap; width:50%'>{}</td>"
            answers = "".join(cell.format(escaped(answer)) for answer in (pairing.left, pairing.right))
            heads = "".join(f"<th style='text-align:left'>{name}</th>" for name in (say("Left"), say("Right")))
            shown += (
                f"<p style='white-space:pre-wrap'><b>{escaped(pairing.prompt)}</b></p>"
                f"<table style='width:100%'><tr>{heads}</tr><tr>{answers}</tr></table>"
            )
        self.shown.value = TOLD.format(shown)
        self._keep()


def voter(ballot: Ballot) -> Voter:
    """Blind side-by-side voting on `ftkit.ballot`'s rows. Every vote is saved at once; run the cell again to go on."""
    return Voter(ballot)
