"""Small tables as text and as HTML. The HTML brings no colours: it takes those of the page it stands on."""

import html
import re
from collections.abc import Sequence

from ftkit.lang import language

LEFT = "text-align:left"
"""JupyterLab sets every column to the right."""

LONGEST_FIGURE = 40
"""Characters of a cell that begins with a digit and must not be broken; a longer one is a sentence."""


def number(value: float, sign: bool = False) -> str:
    """Three decimals below 10, one above: enough to see what an interval can resolve.

    >>> number(0.5), number(-0.0001, sign=True), number(33.333)
    ('0.500', '+0.000', '33.3')
    """
    digits = 3 if abs(value) < 10 else 1
    return f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"  # + 0.0: no "-0.000"


def with_interval(value: float, low: float, high: float) -> str:
    """A difference with its interval.

    >>> with_interval(0.1, -0.02, 0.22)
    '+0.100 [-0.020, +0.220]'
    """
    return f"{number(value, sign=True)} [{number(low, sign=True)}, {number(high, sign=True)}]"


def p_value(p: float) -> str:
    """
    >>> p_value(0.0004), p_value(0.25)
    ('<0.001', '0.250')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded with blanks.

    >>> print(text_table(("metric", "value"), [("f1", "0.500")]))
    metric  value
    f1      0.500
    """
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (heads, *rows)]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Text as HTML. JupyterLab sets what stands between two dollar signs as a formula, so each gets an element of its own.

    >>> escaped("a < b, $5")
    'a &lt; b, <span>$</span>5'
    """
    return html.escape(text).replace("$", "<span>$</span>")


def html_table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A ``<table>``; every text is escaped and stands left, and a figure with its interval stays on one line."""
    cells = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    head = "".join(f"<th style='{LEFT}'>{escaped(name)}</th>" for name in heads)
    return (
        f"<table><caption style='{LEFT}'>{escaped(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
    )


def _cell(text: str) -> str:
    """
    >>> _cell("+0.100 [-0.020, +0.220]"), _cell("better")
    ("<td style='text-align:left;white-space:nowrap'>+0.100 [-0.020, +0.220]</td>", "<td style='text-align:left'>better</td>")
    """
    figure = re.match(r"[-+$]?\d", text) and len(text) <= LONGEST_FIGURE
    return f"<td style='{LEFT}{';white-space:nowrap' if figure else ''}'>{escaped(text)}</td>"


PAGE_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #23272e }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; color: #5b616b; padding-bottom: .3rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #e3e6ea }
td { font-variant-numeric: tabular-nums } img { max-width: 100%; background: white; margin-right: 1rem }
.verdict { font-weight: 600 } .error { color: #b3261e } .small { color: #5b616b }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #e4e7eb } th, td { border-color: #32363d } caption, .small { color: #a6adb8 }
}
"""
"""What a page of ours looks like on its own, by day and by night."""


def html_page(title: str, body: str) -> str:
    """One HTML file that needs nothing else."""
    return (
        f"<!doctype html><html lang='{language()}'><meta charset='utf-8'><meta name='color-scheme' content='light dark'>"
        f"<title>{html.escape(title)}</title><style>{PAGE_STYLE}</style>{body}</html>\n"
    )
