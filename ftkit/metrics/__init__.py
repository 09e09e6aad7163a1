"""Scores: how good is what the model gave, against what was wanted?

Two kinds. A *row metric* is any function ``(want, got) -> float``; its score is the mean over rows. A `Corpus` metric
needs all rows at once (macro F1, BLEU). Both are called with the same texts, so ``evaluate`` takes either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

RowMetric = Callable[[str, str], float]


@dataclass(frozen=True)
class Corpus:
    """A metric that is not a mean over rows.

    ``prepare(wants, gots)`` does the work per row once and returns ``score(rows)``, where ``rows`` are row numbers;
    so the bootstrap can ask for thousands of resamples.
    """

    name: str
    prepare: Callable[[Sequence[str], Sequence[str]], Callable[[Sequence[int]], float]]

    def __call__(self, wants: Sequence[str], gots: Sequence[str]) -> float:
        return float(self.prepare(wants, gots)(list(range(len(wants)))))


def name_of(metric: "RowMetric | Corpus") -> str:
    return metric.name if isinstance(metric, Corpus) else metric.__name__
