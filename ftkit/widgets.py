"""Things to try by hand in a notebook: the advisor, a search box, the blind voter, the cost slider, an A/B test to play with.

Core ipywidgets only. Everything works by keyboard (Tab, arrows, Space, Enter), and every answer is also text: in the
widget, and as the cell's plain output for readers whose page shows no widgets.
"""

import html
from collections.abc import Callable

import ipywidgets

from ftkit import abtest
from ftkit.advice import advise
from ftkit.cost import ServingCost
from ftkit.lang import say
from ftkit.vote import Ballot

LAYOUT = ipywidgets.Layout(width="auto", max_width="46rem")
WIDE = {"description_width": "initial"}


class Panel(ipywidgets.VBox):
    """Controls above, the answer below, told anew whenever a control moves."""

    def __init__(self, controls, answer, name: str):
        self.answer = ipywidgets.HTML(layout=LAYOUT)
        self._answer = answer
        super().__init__([*controls, self.answer])
        self.add_class(f"ftkit-{name}")
        for control in controls:
            control.observe(self._tell, "value")
        self._tell()

    @property
    def text(self) -> str:
        """The answer as plain text."""
        return str(self._answer())

    def _tell(self, change=None) -> None:
        found = self._answer()
        as_html = found._repr_html_() if hasattr(found, "_repr_html_") else f"<p>{html.escape(str(found))}</p>"
        self.answer.value = f'<div role="status" aria-live="polite">{as_html}</div>'

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **how):
        return _with_text(super()._repr_mimebundle_(**how), self.text)


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


class Voter(ipywidgets.VBox):
    """The rows of a Ballot one after the other: three buttons, and the result at the end. Made by `voter`."""

    def __init__(self, ballot: Ballot):
        self.ballot = ballot
        self.shown = ipywidgets.HTML(layout=ipywidgets.Layout(width="auto"))
        self.buttons = {side: ipywidgets.Button(description=say(text)) for side, text in VOTES.items()}
        for side, button in self.buttons.items():
            button.on_click(lambda pressed, side=side: self.vote(side))
        super().__init__([self.shown, ipywidgets.HBox(list(self.buttons.values()))])
        self.add_class("ftkit-voter")
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

    def _show(self) -> None:
        pairing = self.ballot.next()
        for button in self.buttons.values():
            button.disabled = pairing is None
        if pairing is None:
            shown = self.ballot.result._repr_html_()
        else:
            cell = "<td style='text-align:left; vertical-align:top; white-space:pre-wrap; width:50%'>{}</td>"
            answers = "".join(cell.format(html.escape(answer)) for answer in (pairing.left, pairing.right))
            shown = (
                f"<p>{html.escape(self.text)}</p><p style='white-space:pre-wrap'><b>{html.escape(pairing.prompt)}</b></p>"
                f"<table style='width:100%'><tr><th>{say('Left')}</th><th>{say('Right')}</th></tr><tr>{answers}</tr></table>"
            )
        self.shown.value = f'<div role="status" aria-live="polite">{shown}</div>'

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **how):
        return _with_text(super()._repr_mimebundle_(**how), self.text)


def voter(ballot: Ballot) -> Voter:
    """Blind side-by-side voting on `ftkit.ballot`'s rows. Every vote is saved at once; run the cell again to go on."""
    return Voter(ballot)


def _with_text(bundle, text: str):
    """ipywidgets cuts its plain text at 110 characters; ours is what readers without widgets see."""
    if isinstance(bundle, dict) and "text/plain" in bundle:
        bundle["text/plain"] = text
    return bundle
