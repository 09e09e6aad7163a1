"""Evaluate a model on a sealed test set; compare two models on the same rows."""

import html
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ftkit import stats
from ftkit.data import Chat, Dataset, SearchSet
from ftkit.errors import DataError
from ftkit.metrics import Corpus, name_of
from ftkit.metrics.classify import exact_match
from ftkit.metrics.rank import per_query

RANKING = ("hit@1", "hit@10", "mrr@10", "ndcg@10")


@dataclass(frozen=True)
class Score:
    """A value and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_number(self.value)} [{_number(self.low)}, {_number(self.high)}]"


@dataclass(frozen=True)
class Answer:
    """One row of a test set with what the model made of it."""

    prompt: str
    want: str
    got: str


@dataclass(frozen=True)
class Report:
    """What a model scored on a test set. Made by `evaluate`."""

    model: str
    data: str
    """Name of the test set."""
    fingerprint: str
    """SHA-256 of the test set; two reports compare only if it is equal."""
    answers: tuple[Answer, ...]
    scores: dict[str, Score]
    seconds: float
    _statistics: dict[str, "Sequence[float] | Callable"] = field(repr=False, compare=False)
    """metric → its value on each row, or (Corpus metrics) a function of row numbers."""

    def __len__(self) -> int:
        return len(self.answers)

    def __str__(self) -> str:
        rows = [(name, str(score)) for name, score in self.scores.items()]
        return f"{self.model} on {self.data}, {len(self)} rows\n" + _text_table(("metric", "value [95 % CI]"), rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [(name, str(score)) for name, score in self.scores.items()]
        return _html_table(f"{self.model} on {self.data}, {len(self)} rows", ("metric", "value [95 % CI]"), rows)

    def row_scores(self, metric: str) -> list[float]:
        """The metric's value on each row.

        Raises:
            DataError: a metric that has no value per row (a Corpus metric), or that was not measured.
        """
        found = self._statistics.get(metric)
        if found is None or callable(found):
            names = [name for name, values in self._statistics.items() if not callable(values)]
            raise DataError(f"{metric!r} has no value per row here; there are {', '.join(names) or 'none'}")
        return list(found)


@dataclass(frozen=True)
class Difference:
    """What changed in one metric: after − before, with the paired 95 % interval."""

    metric: str
    before: float
    after: float
    low: float
    high: float

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def verdict(self) -> str:
        """In words. An interval that holds zero is no evidence either way."""
        if self.low > 0:
            return "better"
        if self.high < 0:
            return "worse"
        return "unchanged" if self.low == self.high == 0 else "not enough evidence"


@dataclass(frozen=True)
class Comparison:
    """Two reports on the same rows, metric by metric. Made by `compare`."""

    before: Report
    after: Report
    differences: tuple[Difference, ...]
    changed: int
    """How many of the answers differ at all. 0 says more than any metric: was the adapter loaded?"""

    def __getitem__(self, metric: str) -> Difference:
        return next(d for d in self.differences if d.metric == metric)

    def best(self, metric: str | None = None, n: int = 3) -> list[tuple[Answer, Answer]]:
        """The ``n`` rows that gained most: (before, after) pairs."""
        return self._ranked(metric)[:n]

    def worst(self, metric: str | None = None, n: int = 3) -> list[tuple[Answer, Answer]]:
        """The ``n`` rows that lost most."""
        return self._ranked(metric)[::-1][:n]

    def _ranked(self, metric: str | None) -> list[tuple[Answer, Answer]]:
        if metric is None:
            metric = next((name for name, values in self.before._statistics.items() if not callable(values)), "none")
        gains = [b - a for a, b in zip(self.before.row_scores(metric), self.after.row_scores(metric))]
        order = sorted(range(len(gains)), key=lambda i: -gains[i])
        return [(self.before.answers[i], self.after.answers[i]) for i in order]

    @property
    def headline(self) -> str:
        title = f"{self.before.model} → {self.after.model}, {len(self.before)} rows of {self.before.data}"
        return title + (": ALL ANSWERS ARE IDENTICAL; was the tuned model used?" if self.changed == 0 else "")

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        heads = ("metric", "before", "after", "change [95 % CI]", "verdict")
        rows = [
            (
                d.metric,
                _number(d.before),
                _number(d.after),
                f"{_number(d.change, sign=True)} [{_number(d.low, sign=True)}, {_number(d.high, sign=True)}]",
                d.verdict,
            )
            for d in self.differences
        ]
        return heads, rows

    def __str__(self) -> str:
        return self.headline + "\n" + _text_table(*self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html_table(self.headline, *self.table())


def evaluate(
    model,
    test: Dataset | SearchSet,
    metrics: Sequence | None = None,
    *,
    name: str | None = None,
    max_tokens: int = 128,
) -> Report:
    """A Report of ``model`` on ``test``.

    Chats are answered (``model.replies``) and scored by row metrics ``(want, got) -> float`` or `Corpus` metrics;
    default: exact match. Pairs and search sets are searched (``model.rank``) and scored by ranking metrics such as
    ``"ndcg@10"``; default: Hit@1, Hit@10, MRR@10 and NDCG@10.

    Args:
        name: what to call the model in the report; default: ``model.name``.
        max_tokens: where answers to chats are cut.

    Raises:
        DataError: no rows, or a metric used twice.
    """
    if len(test) == 0:
        raise DataError("evaluate: the test set is empty")
    started = time.perf_counter()
    chats = isinstance(test, Dataset) and isinstance(test[0], Chat)
    if chats:
        answers, statistics = _answer_chats(model, test, metrics, max_tokens)
    else:
        answers, statistics = _answer_search(model, test, metrics)
    scores = {}
    for metric, values in statistics.items():
        if callable(values):
            scores[metric] = Score(float(values(list(range(len(answers))))), *stats.bootstrap(values, len(answers)))
        else:
            scores[metric] = Score(sum(values) / len(values), *stats.interval(values))
    return Report(
        model=name or model.name,
        data=getattr(test, "name", "search"),
        fingerprint=test.fingerprint,
        answers=tuple(answers),
        scores=scores,
        seconds=time.perf_counter() - started,
        _statistics=statistics,
    )


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
    differences = []
    for metric in shared:
        a, b = before._statistics[metric], after._statistics[metric]
        if callable(a):
            low, high = stats.bootstrap(lambda rows, a=a, b=b: b(rows) - a(rows), len(before))
        else:
            low, high = stats.paired_interval(a, b)
        differences.append(Difference(metric, before.scores[metric].value, after.scores[metric].value, low, high))
    changed = sum(x.got != y.got for x, y in zip(before.answers, after.answers))
    return Comparison(before, after, tuple(differences), changed)


def _answer_chats(model, test: Dataset, metrics, max_tokens: int) -> tuple[list[Answer], dict]:
    gots = model.replies([row.prompt for row in test], max_tokens)
    wants = [row.answer for row in test]
    statistics = {}
    for metric in metrics or (exact_match,):
        if name_of(metric) in statistics:
            raise DataError(f"evaluate: two metrics are called {name_of(metric)!r}; give one another name")
        if isinstance(metric, Corpus):
            statistics[name_of(metric)] = metric.prepare(wants, gots)
        else:
            statistics[name_of(metric)] = [float(metric(want, got)) for want, got in zip(wants, gots)]
    return [Answer(row.text, want, got) for row, want, got in zip(test, wants, gots)], statistics


def _answer_search(model, test: Dataset | SearchSet, metrics) -> tuple[list[Answer], dict]:
    task = test if isinstance(test, SearchSet) else SearchSet.from_pairs(test)
    ranking = model.rank(task)
    found = per_query(ranking, task.qrels, tuple(metrics or RANKING))
    answers = []
    for query in task.qrels:
        top = max(ranking.get(query, {}).items(), key=lambda hit: hit[1], default=(None, 0.0))[0]
        want = " | ".join(task.corpus[document] for document in task.qrels[query])
        answers.append(Answer(task.queries[query], want, task.corpus.get(top, "")))
    return answers, {metric: [values[query] for query in task.qrels] for metric, values in found.items()}


def _number(value: float, sign: bool = False) -> str:
    """Three decimals below 10, one above: enough to see what an interval can resolve."""
    digits = 3 if abs(value) < 10 else 1
    return f"{round(value, digits) + 0.0:{'+' if sign else ''}.{digits}f}"  # + 0.0: no "-0.000"


def _text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (heads, *rows)]
    return "\n".join(lines)


def _html_table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    return (
        f"<table><caption style='text-align:left'>{html.escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
    )
