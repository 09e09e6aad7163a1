"""The rankings of two models side by side, as text and as a table. Introduced in lesson 03."""

from collections.abc import Sequence

from ftkit.embed.model import EmbedModel
from ftkit.tables import escaped


class Rankings:
    """What each model puts first for one question; shows as text, and as a table in JupyterLab.

    Args:
        models: heading → model, from left to right.
        corpus: the texts that are searched.
        k: how many of each ranking are shown.
    """

    def __init__(self, question: str, models: dict[str, EmbedModel], corpus: Sequence[str], k: int = 5):
        self.question = question
        self.found = {
            name: [(corpus[i], score) for i, score in model.search([question], corpus, k)[0]] for name, model in models.items()
        }

    def __str__(self) -> str:
        lines = [self.question]
        for name, found in self.found.items():
            lines += [name, *(f"   {score:.2f}  {text}" for text, score in found)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        heads = "".join(f"<th style='text-align:left'>{escaped(name)}</th>" for name in self.found)
        cell = "<td style='text-align:left; vertical-align:top; width:50%'>{:.2f} &nbsp; {}</td>"
        rows = "".join(
            "<tr>" + "".join(cell.format(score, escaped(text)) for text, score in row) + "</tr>"
            for row in zip(*self.found.values())
        )
        asked = f"<caption style='text-align:left'>{escaped(self.question)}</caption>"
        return f"<table style='width:100%; table-layout:fixed'>{asked}<tr>{heads}</tr>{rows}</table>"
