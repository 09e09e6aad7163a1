"""Compare two models on the same rows: what changed, how sure that is, and how many rows it would take to be surer."""

import html
import os
from dataclasses import dataclass
from pathlib import Path

from ftkit import stats
from ftkit.errors import DataError
from ftkit.files import write_atomic
from ftkit.lang import say
from ftkit.metrics import Corpus
from ftkit.report import Answer, Report, kept, prepared
from ftkit.tables import html_page, html_table, number, p_value, text_table, with_interval


@dataclass(frozen=True)
class Difference:
    """What changed in one metric: after − before, with the paired 95 % interval and a test.

    >>> change = Difference("exact_match", before=0.50, after=0.56, low=-0.02, high=0.14, p=0.18, test="McNemar",
    ...                     rows=100, moved=26)
    >>> change.verdict, change.more_rows
    ('not enough evidence', 264)
    >>> change.words
    'not enough evidence: a change of this size needs about 264 more rows'
    """

    metric: str
    before: float
    after: float
    low: float
    high: float
    p: float
    """How often chance alone would move the metric at least as far, were both models equally good."""
    test: str
    """Where p comes from: "McNemar" or "permutation"."""
    rows: int
    moved: int
    """How many rows' values changed; where rows have none of their own (macro F1, BLEU), how many answers."""

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """better, worse, unchanged, or not enough evidence: both the interval and the test must speak for a change."""
        if self.p < 1 - stats.CONFIDENCE and self.low > 0:
            return "better"
        if self.p < 1 - stats.CONFIDENCE and self.high < 0:
            return "worse"
        return "not enough evidence" if self.moved else "unchanged"

    @property
    def more_rows(self) -> int | None:
        """How many more test rows a true change of the size seen would take to show; None where it is out of reach."""
        unsure = self.verdict == "not enough evidence"
        return stats.more_rows(self.rows, self.change, self.low, self.high, self.p) if unsure else None

    @property
    def words(self) -> str:
        """The verdict, and what to do about it."""
        if self.verdict != "not enough evidence":
            return say(self.verdict)
        if self.more_rows is None:
            return say("not enough evidence: next to no change seen")
        return say(f"not enough evidence: a change of this size needs about {self.more_rows:,} more rows")


@dataclass(frozen=True)
class Comparison:
    """Two reports on the same rows, metric by metric. Made by `compare`."""

    before: Report
    after: Report
    differences: tuple[Difference, ...]
    changed: int
    """How many of the answers differ at all. 0 says more than any metric: was the adapter loaded?"""

    def __getitem__(self, metric: str) -> Difference:
        for difference in self.differences:
            if difference.metric == metric:
                return difference
        raise KeyError(f"{metric!r}; compared were {', '.join(d.metric for d in self.differences)}")

    def best(self, metric: str | None = None, n: int = 3) -> list[tuple[Answer, Answer]]:
        """The ``n`` rows that gained most: (before, after) pairs."""
        return self._ranked(metric)[:n]

    def worst(self, metric: str | None = None, n: int = 3) -> list[tuple[Answer, Answer]]:
        """The ``n`` rows that lost most."""
        return self._ranked(metric)[::-1][:n]

    def _ranked(self, metric: str | None) -> list[tuple[Answer, Answer]]:
        if metric is None:
            metric = next((name for name, of in self.before._statistics.items() if not isinstance(of, Corpus)), "none")
        gains = [b - a for a, b in zip(self.before.row_scores(metric), self.after.row_scores(metric))]
        order = sorted(range(len(gains)), key=lambda i: -gains[i])
        return [(self.before.answers[i], self.after.answers[i]) for i in order]

    @property
    def headline(self) -> str:
        models = f"{self.before.model} → {self.after.model}"
        title = f"{models}, {say('{n} rows of {data}').format(n=len(self.before), data=self.before.data)}"
        return title + (say(": ALL ANSWERS ARE IDENTICAL; was the tuned model used?") if self.changed == 0 else "")

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        heads = tuple(map(say, ("metric", "before", "after", "change [95 % CI]", "p", "verdict")))
        rows = [
            (
                d.metric,
                number(d.before),
                number(d.after),
                with_interval(d.change, d.low, d.high),
                p_value(d.p),
                d.words,
            )
            for d in self.differences
        ]
        return heads, rows

    def __str__(self) -> str:
        return self.headline + "\n" + text_table(*self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.headline, *self.table())

    def save_html(self, path: str | os.PathLike) -> Path:
        """The path of a page that needs nothing else: the table, and the rows that gained and lost most."""
        parts = [f"<h1>{html.escape(self.before.model)} → {html.escape(self.after.model)}</h1>", self._repr_html_()]
        if any(not isinstance(of, Corpus) for of in self.before._statistics.values()):
            for title, pairs in ((say("Gained most"), self.best()), (say("Lost most"), self.worst())):
                rows = [(old.prompt, old.want, old.got, new.got) for old, new in pairs]
                parts.append(html_table(title, tuple(map(say, ("prompt", "wanted", "before", "after"))), rows))
        tests = say(" and ").join(dict.fromkeys(d.test for d in self.differences))
        note = say(f"Brackets: paired 95 % interval. p: {tests} test. A change counts if both agree.")
        parts.append(f"<p class='small'>{note}</p>")
        return write_atomic(Path(path), html_page(self.headline, "".join(parts)))


def compare(before: Report, after: Report) -> Comparison:
    """A Comparison of two reports, row by row.

    Raises:
        DataError: the reports are about different rows, or share no metric.
    """
    if before.fingerprint != after.fingerprint:
        raise DataError(f"compare: the reports are about different rows ({before.data} and {after.data})")
    shared = [metric for metric in before.scores if metric in after.scores]
    if not shared:
        raise DataError("compare: the reports share no metric; evaluate both with the same ones")
    changed = sum(x.got != y.got for x, y in zip(before.answers, after.answers))
    return Comparison(before, after, tuple(_difference(before, after, metric) for metric in shared), changed)


def compare_kept(before: str | os.PathLike, after: str | os.PathLike) -> Comparison:
    """A Comparison of the reports that two runs kept, or that two files hold: the newest about the same rows.

    Raises:
        DataError: none kept, or none about the same rows.
    """
    first, second = kept(before), kept(after)
    for report in second:
        for other in first:
            if other.fingerprint == report.fingerprint and set(other.scores) & set(report.scores):
                return compare(other, report)
    about = [", ".join(dict.fromkeys(report.data for report in reports)) for reports in (first, second)]
    raise DataError(
        f"compare: {before} was measured on {about[0]} and {after} on {about[1]}, not on the same rows with the same "
        "metric; measure both on one test set"
    )


def _difference(before: Report, after: Report, metric: str) -> Difference:
    a, b = before._statistics[metric], after._statistics[metric]
    if isinstance(a, Corpus):
        first, second, both = prepared(a, before), prepared(a, after), prepared(a, before, after)

        def change(rows):
            return second(rows) - first(rows)

        change.vectorized = getattr(first, "vectorized", False)
        low, high = stats.bootstrap(change, len(before))
        p, test = stats.swap_test(both, len(before)), "permutation"
        moved = sum(x.got != y.got for x, y in zip(before.answers, after.answers))
    else:
        low, high = stats.paired_interval(a, b)
        p, test = stats.paired_test(a, b)
        moved = sum(x != y for x, y in zip(a, b))
    values = before.scores[metric].value, after.scores[metric].value
    return Difference(metric, *values, low, high, p, test, len(before), moved)
