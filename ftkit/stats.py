"""Intervals. scipy does the mathematics and is imported inside, so that `import ftkit` stays light."""

from collections.abc import Callable, Sequence

CONFIDENCE = 0.95
RESAMPLES = 2000


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % confidence interval of the mean of ``values``.

    Wilson's score interval where every value is 0 or 1 (it stays honest at 0 of n: Wilson 1927; Brown, Cai and
    DasGupta 2001), else the percentile bootstrap.

    >>> [round(x, 3) for x in interval([0] * 20)]
    [0.0, 0.161]
    """
    if len(values) == 0:
        return (float("nan"), float("nan"))
    if all(value in (0, 1) for value in values):
        from scipy.stats import binomtest

        found = binomtest(int(sum(values)), len(values)).proportion_ci(CONFIDENCE, method="wilson")
        return (float(found.low), float(found.high))
    return bootstrap(_mean_of(values), len(values), seed)


def paired_interval(before: Sequence[float], after: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of mean(after − before), rows resampled together (paired percentile bootstrap).

    Efron and Tibshirani 1993, §13.3; for paired system comparison: Koehn 2004.
    """
    return bootstrap(_mean_of([b - a for a, b in zip(before, after, strict=True)]), len(before), seed)


def bootstrap(statistic: Callable, n: int, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of ``statistic(rows)``, where ``rows`` are n row numbers drawn with replacement.

    A statistic with the attribute ``vectorized`` gets a whole (resamples, n) array at once.
    """
    import numpy as np
    from scipy import stats

    if n < 2:
        value = float(np.asarray(statistic(np.arange(n))))
        return (value, value)
    vectorized = getattr(statistic, "vectorized", False)
    found = stats.bootstrap(
        (np.arange(n),),
        (lambda rows, axis=-1: statistic(rows)) if vectorized else (lambda rows: statistic(rows)),
        vectorized=vectorized,
        n_resamples=RESAMPLES,
        batch=max(1, 2_000_000 // n) if vectorized else None,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return (float(found.low), float(found.high))


def _mean_of(values: Sequence[float]) -> Callable:
    import numpy as np

    array = np.asarray(values, dtype=float)

    def mean(rows):
        return array[rows].mean(axis=-1)

    mean.vectorized = True
    return mean
