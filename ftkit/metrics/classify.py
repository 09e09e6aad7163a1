"""Classification scores. scikit-learn makes the confusion matrix; the formulas over it are tested equal to its own.

Ours because the bootstrap wants thousands of resamples: a call of ``sklearn.metrics.f1_score`` costs milliseconds, and
from counted labels all resamples are scored at once.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ftkit.errors import DataError
from ftkit.metrics import Corpus
from ftkit.tables import html_table, number, text_table

AVERAGES = ("macro", "micro", "weighted")
OTHER = "(other)"
"""Stands for every answer that is no wanted label."""


def exact_match(want: str, got: str) -> float:
    """1 if the texts are equal once outer blanks are gone, else 0. On labels, its mean is the accuracy.

    >>> exact_match("billing", " billing\\n")
    1.0
    """
    return float(want.strip() == got.strip())


def precision(average: str = "macro", field: str | None = None) -> Corpus:
    """Of what was given a label, how much wanted it: tp / (tp + fp). Averaged as in `f1`."""
    return _averaged("precision", average, field)


def recall(average: str = "macro", field: str | None = None) -> Corpus:
    """Of what wanted a label, how much was given it: tp / (tp + fn). Averaged as in `f1`."""
    return _averaged("recall", average, field)


def f1(average: str = "macro", field: str | None = None) -> Corpus:
    """F1 over the labels that are wanted anywhere: 2·tp / (2·tp + fp + fn).

    A got text that is no wanted label counts as a miss of the wanted one.

    >>> f1()(["billing", "refund", "refund"], ["billing", "billing", "refund"])  # 2/3 for each label
    0.6666666666666666

    Args:
        average: ``macro``, the mean over labels, rare ones count as much as common ones; ``weighted``, by how often a
            label is wanted; ``micro``, all counts thrown together.
        field: where answers are JSON objects: the field that holds the label.

    Raises:
        DataError: no such average.
    """
    return _averaged("f1", average, field)


@dataclass(frozen=True)
class Confusion:
    """Who was taken for whom. ``counts[i][j]``: rows that wanted ``labels[i]`` and got ``labels[j]``.

    The last column counts answers that are no wanted label. Made by `confusion`.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """One row a wanted label; one column more than rows."""

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text; the last three columns are each label's precision, recall and F1."""
        heads = ("wanted \\ got", *self.labels, OTHER, "precision", "recall", "F1")
        rows = []
        for i, label in enumerate(self.labels):
            right, given, wanted = self.counts[i][i], sum(row[i] for row in self.counts), sum(self.counts[i])
            shares = (_share(right, given), _share(right, wanted), _share(2 * right, given + wanted))
            rows.append((label, *map(str, self.counts[i]), *map(number, shares)))
        return heads, rows

    def __str__(self) -> str:
        return text_table(*self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table("rows: wanted · columns: got", *self.table())


def confusion(report, field: str | None = None) -> Confusion:
    """The confusion matrix of a report's answers.

    Args:
        field: where answers are JSON objects: the field that holds the label.
    """
    from sklearn.metrics import confusion_matrix  # a second and a half

    wants = _wanted_labels([answer.want for answer in report.answers], field)
    labels = tuple(sorted(set(wants)))
    gots = [got if (got := _label(answer.got, field)) in labels else OTHER for answer in report.answers]
    counts = confusion_matrix(wants, gots, labels=[*labels, OTHER])[: len(labels)]
    return Confusion(labels, tuple(tuple(int(count) for count in row) for row in counts))


def _averaged(score: str, average: str, field: str | None) -> Corpus:
    if average not in AVERAGES:
        raise DataError(f"{score}: average must be one of {', '.join(AVERAGES)}; got {average!r}")

    def prepare(wants, gots) -> Callable:
        import numpy as np

        wants = _wanted_labels(wants, field)
        labels = sorted(set(wants))
        place = {label: i for i, label in enumerate(labels)}
        want = np.array([place[text] for text in wants])
        got = np.array([place.get(_label(text, field), len(labels)) for text in gots])
        every = np.arange(len(labels))
        wanted = (want[:, None] == every).astype(float)  # (n, L)
        given = (got[:, None] == every).astype(float)  # (n, L)

        def measure(rows):
            times = _times_drawn(rows, len(want))  # (…, n)
            counts = (times @ (wanted * given), times @ given, times @ wanted)  # right, given, wanted: (…, L) each
            return _score(score, average, *counts)

        measure.vectorized = True
        return measure

    return Corpus(f"{score}_{average}" + (f" of {field}" if field else ""), prepare)


def _score(score: str, average: str, right, given, wanted):
    """Over the last axis, the labels. Nothing given, or nothing wanted, scores 0, as ``zero_division=0``."""
    if average == "micro":
        right, given, wanted = (counts.sum(-1, keepdims=True) for counts in (right, given, wanted))
    below = {"precision": given, "recall": wanted, "f1": (given + wanted) / 2}[score]
    each = right / below.clip(min=0.5)  # counts: below is 0 or at least 1/2, and where it is 0 right is too
    if average == "weighted":
        return (each * wanted).sum(-1) / wanted.sum(-1)
    return each.mean(-1)


def _times_drawn(rows, n: int):
    """How often each of n rows is among ``rows``: (…, m) row numbers → (…, n) counts."""
    import numpy as np

    rows = np.asarray(rows)
    flat = rows.reshape(-1, rows.shape[-1])
    numbered = flat + n * np.arange(len(flat))[:, None]
    return np.bincount(numbered.ravel(), minlength=n * len(flat)).reshape(*rows.shape[:-1], n).astype(float)


def _label(text: str, field: str | None) -> str | None:
    """The label an answer gives; None where it is no JSON object with that field."""
    if field is None:
        return text.strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or field not in found:
        return None
    return found[field] if isinstance(found[field], str) else json.dumps(found[field])


def _wanted_labels(wants: Sequence[str], field: str | None) -> list[str]:
    labels = [_label(want, field) for want in wants]
    if None in labels:
        row = labels.index(None)
        raise DataError(f"row {row + 1}: the wanted answer has no field {field!r}: {wants[row]!r}")
    return labels


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
