"""Figures. Drawn without pyplot, so no window, no global state, and the same picture on every machine."""

import base64
import io
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure

from ftkit.events import Event, Step, Val
from ftkit.lang import say
from ftkit.report import Report
from ftkit.tables import number
from ftkit.abtest import Simulation
from ftkit.comparison import Comparison
from ftkit.cost import ServingCost

GREY, ACCENT, INK = "#8a8f98", "#0b6bcb", "#30343b"
"""Told apart in every kind of colour blindness. Grey is for lines only: as words it is too faint."""

STYLE = {
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


DPI = 110
"""Dots an inch at which a figure is shown. It holds twice as many each way, for screens that have them."""


class Picture:
    """A figure as Jupyter shows it: a PNG with its description as the text beside it."""

    def __init__(self, figure: Figure, text: str):
        self.figure = figure
        self.text = text

    @property
    def png(self) -> bytes:
        """The picture as PNG bytes, `size` times two."""
        buffer = io.BytesIO()
        with rc_context(STYLE):
            self.figure.savefig(buffer, format="png", dpi=2 * DPI)
        return buffer.getvalue()

    @property
    def size(self) -> dict[str, int]:
        """The width and height to show it at, in CSS pixels."""
        width, height = self.figure.get_size_inches() * DPI
        return {"width": round(width), "height": round(height)}

    @property
    def html(self) -> str:
        """An ``<img>`` that carries the picture in itself."""
        return f'<img alt="{self.text}" width="{self.size["width"]}" src="data:image/png;base64,{base64.b64encode(self.png).decode()}">'

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.text}
        return data, {"image/png": self.size}


def loss_curve(history: Sequence[Event], title: str = "") -> Picture:
    """Training loss by step (thin: each step; thick: a running mean) and validation loss as dots."""
    steps = [event for event in history if isinstance(event, Step)]
    vals = [event for event in history if isinstance(event, Val)]
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 3), layout="constrained")
        axes = figure.subplots()
        x, y = [event.step for event in steps], [event.loss for event in steps]
        axes.plot(x, y, color=ACCENT, alpha=0.3, linewidth=0.8)
        axes.plot(x, running_mean(y), color=ACCENT, linewidth=1.8)
        axes.plot([v.step for v in vals], [v.loss for v in vals], "o", color=INK, markersize=5, clip_on=False)
        if steps:
            axes.set_xlim(0, steps[-1].steps)
            axes.annotate("train", (x[-1], running_mean(y)[-1]), (4, 4), textcoords="offset points", color=ACCENT)
        if vals:
            axes.annotate("val", (vals[-1].step, vals[-1].loss), (-4, 8), textcoords="offset points", ha="right")
        axes.set_ylim(bottom=0)
        axes.set(xlabel=say("step"), ylabel="loss", title=title)
    return Picture(figure, say("loss curve"))


def before_after(comparison: Comparison, title: str = "") -> Picture:
    """For each metric: before (grey), after (accent), each with its 95 % interval."""
    names = [difference.metric for difference in comparison.differences]
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 0.7 + 0.5 * len(names)), layout="constrained")
        axes = figure.subplots()
        for report, colour, shift, line in ((comparison.before, GREY, 0.12, "--"), (comparison.after, ACCENT, -0.12, "-")):
            for i, name in enumerate(names):
                score, height = report.scores[name], len(names) - 1 - i + shift
                axes.plot([score.low, score.high], [height, height], line, color=colour, linewidth=1.5)
                axes.plot(score.value, height, "o", color=colour, markersize=6)
        axes.set_yticks(range(len(names)), names[::-1])
        axes.set_ylim(-0.6, len(names) - 0.4)
        highest = max(report.scores[name].high for report in (comparison.before, comparison.after) for name in names)
        axes.set_xlim(-0.02 * max(1.0, highest), 1.02 * max(1.0, highest))
        axes.set(title=title, xlabel=say("grey dashed: before · blue: after · lines: 95 % interval"))
    return Picture(figure, say(f"before and after: {', '.join(names)}"))


def side_by_side(reports: Sequence[Report], metric: str, title: str = "") -> Picture:
    """One metric of several models: a bar each with its 95 % interval; the first one grey, as what the rest must beat."""
    scores = [report.scores[metric] for report in reports]
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 0.9 + 0.45 * len(reports)), layout="constrained")
        axes = figure.subplots()
        for i, score in enumerate(scores):
            axes.barh(-i, score.value, height=0.6, color=ACCENT if i else GREY)
            axes.plot([score.low, score.high], [-i, -i], color=INK, linewidth=1.2)
            axes.annotate(number(score.value), (score.high, -i), (4, 0), textcoords="offset points", va="center")
        axes.set_yticks([-i for i in range(len(reports))], [report.model for report in reports])
        axes.set_xlim(0, 1.12 * max(1e-9, *(score.high for score in scores)))
        axes.set_title(title, wrap=True)
        axes.set_xlabel(say("{metric} · lines: 95 % interval").format(metric=metric))
    return Picture(figure, ", ".join(f"{report.model}: {score}" for report, score in zip(reports, scores)))


def levels_on_weights(weights: Sequence[float], levels: Sequence[float], title: str = "") -> Picture:
    """How often each weight between −1 and 1 occurs (grey), and the levels that it is rounded to (blue lines)."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 2.2), layout="constrained")
        axes = figure.subplots()
        axes.hist(weights, bins=101, range=(-1, 1), density=True, color=GREY, alpha=0.6)
        for level in levels:
            axes.axvline(level, color=ACCENT, linewidth=1)
        axes.set(xlabel=say("weight, as a share of the largest in its block"), ylabel=say("density"), title=title)
        axes.set_yticks([])
    return Picture(figure, "levels at " + ", ".join(f"{level:.2f}" for level in levels))


def curves(lines: Mapping[str, Mapping[float, float]], xlabel: str, ylabel: str, title: str = "") -> Picture:
    """A line for each name over an axis that doubles; the first one grey and dashed, as what the others must beat."""
    shades = (GREY, *(ACCENT if i % 2 else INK for i in range(1, len(lines))))
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 3), layout="constrained")
        axes = figure.subplots()
        for (name, points), colour in zip(lines.items(), shades):
            axes.plot(*zip(*sorted(points.items())), "--o" if colour == GREY else "-o", color=colour, markersize=3.5)
            start = min(points)  # the names stand at the left end, where the lines lie furthest apart
            beside = {"textcoords": "offset points", "ha": "right", "va": "center", "color": INK if colour == GREY else colour}
            axes.annotate(name, (start, points[start]), (-6, 0), **beside)
        ticks = sorted({x for points in lines.values() for x in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
        axes.set_xlim(ticks[0] / 2.5, ticks[-1] * 1.1)
        axes.set_ylim(0, 1.08 * max(value for points in lines.values() for value in points.values()))
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    told = {name: ", ".join(f"{value:.3f} at {x:g}" for x, value in sorted(points.items())) for name, points in lines.items()}
    return Picture(figure, "; ".join(f"{name}: {numbers}" for name, numbers in told.items()))


def break_even(cost: ServingCost, title: str = "") -> Picture:
    """Dollars by volume: hosted (grey, dashed) and on GPUs of one's own (a blue band from low to high price)."""
    meet = [volume for volume in cost.break_even if volume]
    middle = meet[0] if meet else cost.requests_per_gpu
    volumes = [middle * 10 ** (step / 50 - 2) for step in range(201)]  # two decades to either side
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 3), layout="constrained")
        axes = figure.subplots()
        low, high = zip(*(cost.self_hosted(volume) for volume in volumes))
        axes.plot(volumes, [cost.hosted(volume) for volume in volumes], "--", color=GREY, linewidth=1.8)
        axes.fill_between(volumes, low, high, color=ACCENT, alpha=0.3, linewidth=0)
        axes.plot(volumes, high, color=ACCENT, linewidth=1)
        axes.plot(volumes, low, color=ACCENT, linewidth=1)
        for volume in meet:
            axes.plot(volume, cost.hosted(volume), "o", color=INK, markersize=5)
        axes.set(xscale="log", yscale="log", xlabel=say("requests a month"), ylabel=say(f"USD over {cost.months:g} months"))
        own = say("your own {gpu}").format(gpu=cost.gpu)
        axes.annotate(own, (volumes[0], high[0]), (2, 5), textcoords="offset points", color=ACCENT)
        start = volumes[60]
        axes.annotate(say("hosted"), (start, cost.hosted(start)), (-6, 4), textcoords="offset points", ha="right")
        axes.set_title(title or cost.words, wrap=True)
    return Picture(figure, title or cost.words)


def peeking(simulation: Simulation, title: str = "") -> Picture:
    """By how many users had been seen: the share of A/B tests that had called a winner by then, three ways."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5, 3), layout="constrained")
        axes = figure.subplots()
        last = simulation.users[-1]
        lines = (
            (simulation.peeking, GREY, "--", INK, say("peeking at p < 0.05")),
            (simulation.anytime, ACCENT, "-", ACCENT, say("always-valid interval")),
        )
        for shares, colour, style, words, name in lines:
            axes.plot(simulation.users, shares, style, color=colour, linewidth=1.8)
            axes.annotate(name, (last, shares[-1]), (0, 5), textcoords="offset points", color=words, ha="right")
        axes.plot(last, simulation.at_the_end, "o", color=INK, clip_on=False)
        once = say("one look, at the end")
        axes.annotate(once, (last, simulation.at_the_end), (-8, -4), textcoords="offset points", ha="right")
        axes.axhline(0.05, color=GREY, linewidth=0.6, linestyle=":")
        axes.set(xlabel=say("users seen"), ylabel=say("share that called a winner"))
        axes.set_ylim(0, 1.12 * max(simulation.peeking[-1], simulation.at_the_end, 0.05))
        axes.set_title(title or simulation.words, wrap=True)
    return Picture(figure, title or simulation.words)


def running_mean(values: Sequence[float], window: int = 10) -> list[float]:
    """The mean of each value with those up to ``window − 1`` before it.

    >>> running_mean([2.0, 4.0, 6.0], window=2)
    [2.0, 3.0, 5.0]
    """
    means = []
    total = 0.0
    for i, value in enumerate(values):
        total += value - (values[i - window] if i >= window else 0.0)
        means.append(total / min(i + 1, window))
    return means
