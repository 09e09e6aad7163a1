"""Evaluate a model on a sealed test set."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ftkit import stats
from ftkit.data import Chat, Dataset, SearchSet
from ftkit.errors import DataError
from ftkit.files import write_atomic
from ftkit.lang import say
from ftkit.metrics import Corpus, name_of
from ftkit.metrics.classify import AVERAGES, exact_match, f1, precision, recall
from ftkit.metrics.rank import depth, per_query
from ftkit.metrics.text import bleu
from ftkit.run import Run
from ftkit.tables import html_table, number, text_table

RANKING = ("hit@1", "hit@10", "mrr@10", "ndcg@10")


@dataclass(frozen=True)
class Score:
    """A value and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"


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
    _statistics: dict[str, "Sequence[float] | Corpus"] = field(repr=False, compare=False)
    """metric → its value on each row, or the metric itself where it has none."""
    endpoint: str | None = None
    """Who answered, where that was not this process: the endpoint's URL, or "local service"."""

    def __len__(self) -> int:
        return len(self.answers)

    def __str__(self) -> str:
        return f"{self._caption}\n" + text_table(*self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._caption, *self.table())

    @property
    def _caption(self) -> str:
        what = say("{model} on {data}, {n} rows").format(model=self.model, data=self.data, n=len(self))
        return what + (say(f", answered by {self.endpoint}") if self.endpoint else "")

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        return (say("metric"), say("value [95 % CI]")), [(name, str(score)) for name, score in self.scores.items()]

    def row_scores(self, metric: str) -> list[float]:
        """The metric's value on each row.

        Raises:
            DataError: a metric that has no value per row (a Corpus metric), or that was not measured.
        """
        found = self._statistics.get(metric)
        if found is None or isinstance(found, Corpus):
            names = [name for name, values in self._statistics.items() if not isinstance(values, Corpus)]
            raise DataError(f"{metric!r} has no value per row here; there are {', '.join(names) or say('none')}")
        return list(found)

    def save(self, path: str | os.PathLike) -> Path:
        """The path of the JSON file that now holds the report, answers and all."""
        fields = {name: getattr(self, name) for name in ("model", "data", "fingerprint", "seconds", "endpoint")}
        rows = {name: None if isinstance(of, Corpus) else list(of) for name, of in self._statistics.items()}
        scores = {name: asdict(score) for name, score in self.scores.items()}
        whole = {**fields, "scores": scores, "row_scores": rows, "answers": [asdict(answer) for answer in self.answers]}
        return write_atomic(Path(path), json.dumps(whole, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike, metrics: Sequence[Corpus] = ()) -> "Report":
        """The report that `save` wrote.

        Args:
            metrics: Corpus metrics of your own that it was made with; the kit's are known by name.

        Raises:
            DataError: no such file, not a report, or made with an unknown Corpus metric.
        """
        path = Path(path)
        known = {metric.name: metric for metric in metrics}
        try:
            whole = json.loads(path.read_text(encoding="utf-8"))
            statistics = {
                name: (known.get(name) or _corpus(name, path)) if values is None else values
                for name, values in whole["row_scores"].items()
            }
            return cls(
                *(whole[name] for name in ("model", "data", "fingerprint")),
                answers=tuple(Answer(**answer) for answer in whole["answers"]),
                scores={name: Score(**score) for name, score in whole["scores"].items()},
                seconds=whole["seconds"],
                _statistics=statistics,
                endpoint=whole.get("endpoint"),
            )
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}; working in {Path.cwd()}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            raise DataError(f"{path}: is no report of ours ({why}); make one with report.save") from None


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
        model: a model, or a Run: then its model is measured, and the report is kept in the run's folder, where
            ``ftkit compare`` finds it.
        name: what to call the model in the report; default: ``model.name``.
        max_tokens: where answers to chats are cut.

    Raises:
        DataError: no rows, or a metric used twice.
    """
    if len(test) == 0:
        raise DataError("evaluate: the test set is empty")
    if isinstance(model, Run):
        report = evaluate(model.model, test, metrics, name=name or model.folder.name, max_tokens=max_tokens)
        report.save(model.folder / "reports" / f"{report.fingerprint[:12]}.json")
        return report
    started = time.perf_counter()
    chats = isinstance(test, Dataset) and isinstance(test[0], Chat)
    if chats:
        answers, statistics = _answer_chats(model, test, metrics, max_tokens)
    else:
        answers, statistics = _answer_search(model, test, metrics)
    seconds = time.perf_counter() - started
    return Report(
        model=name or model.name,
        data=getattr(test, "name", "search"),
        fingerprint=test.fingerprint,
        answers=tuple(answers),
        scores={metric: _score(values, answers) for metric, values in statistics.items()},
        seconds=seconds,
        _statistics=statistics,
        endpoint=getattr(getattr(model, "endpoint", None), "name", None),
    )


def kept(path: str | os.PathLike) -> list[Report]:
    """The report in a file, or those that `evaluate` kept in a run's folder, the newest first.

    Raises:
        DataError: nothing there.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted((path / "reports").glob("*.json"), key=lambda file: -file.stat().st_mtime)
        if not files:
            raise DataError(f"{path}: no report is kept here; make one with ft.evaluate(Run.open({str(path)!r}), split.test)")
        return [Report.load(file) for file in files]
    return [Report.load(path)]


def prepared(metric: Corpus, *reports: Report) -> Callable:
    """``score(rows)`` over the answers of the reports, one report after the other."""
    answers = [answer for report in reports for answer in report.answers]
    return metric.prepare([answer.want for answer in answers], [answer.got for answer in answers])


def _score(values: Sequence[float] | Corpus, answers: Sequence[Answer]) -> Score:
    if isinstance(values, Corpus):
        score = values.prepare([answer.want for answer in answers], [answer.got for answer in answers])
        return Score(float(score(list(range(len(answers))))), *stats.bootstrap(score, len(answers)))
    return Score(sum(values) / len(values), *stats.interval(values))


def _answer_chats(model, test: Dataset, metrics, max_tokens: int) -> tuple[list[Answer], dict]:
    metrics = tuple(metrics or (exact_match,))
    for metric in metrics:
        if [name_of(one) for one in metrics].count(name_of(metric)) > 1:
            raise DataError(f"evaluate: two metrics are called {name_of(metric)!r}; give one another name")
    gots = model.replies([row.prompt for row in test], max_tokens)
    wants = [row.answer for row in test]
    statistics = {
        name_of(metric): metric if isinstance(metric, Corpus) else [float(metric(*pair)) for pair in zip(wants, gots)]
        for metric in metrics
    }
    return [Answer(row.text, want, got) for row, want, got in zip(test, wants, gots)], statistics


def _answer_search(model, test: Dataset | SearchSet, metrics) -> tuple[list[Answer], dict]:
    task = test if isinstance(test, SearchSet) else SearchSet.from_pairs(test)
    metrics = tuple(metrics or RANKING)
    ranking = model.rank(task, depth(metrics))
    found = per_query(ranking, task.qrels, metrics)
    scored = list(found[metrics[0]])  # the queries that have an answer
    if not scored:
        raise DataError("evaluate: no query has a right answer among its judgements")
    answers = []
    for query in scored:
        top = max(ranking.get(query, {}).items(), key=lambda hit: hit[1], default=(None, 0.0))[0]
        want = " | ".join(task.corpus[document] for document, grade in task.qrels[query].items() if grade > 0)
        answers.append(Answer(task.queries[query], want, task.corpus.get(top, "")))
    return answers, {metric: [values[query] for query in scored] for metric, values in found.items()}


def _corpus(name: str, path: Path) -> Corpus:
    """The kit's Corpus metric of that name."""
    kind, _, column = name.partition(" of ")
    score, _, average = kind.partition("_")
    makers = {"precision": precision, "recall": recall, "f1": f1}
    if score in makers and average in AVERAGES:
        return makers[score](average, column or None)
    if name == "bleu":
        return bleu()
    raise DataError(f"{path}: made with the metric {name!r}, which is not the kit's; pass it in metrics=")
