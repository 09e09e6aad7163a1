"""What an A/B test says: each outcome's change with an interval, and whether the arms can be trusted at all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, variance

from ftkit import stats
from ftkit.abtest.sequential import LEAST_USERS, always_valid_p, half_width
from ftkit.lang import say
from ftkit.tables import html_table, number, p_value, text_table, with_interval

MISMATCH_ALARM = 0.001
"""Below this p, the arms' sizes are no accident (Fabijan et al. 2019, sample ratio mismatch)."""


@dataclass(frozen=True)
class Effect:
    """One outcome: the mean of each arm over users, tuned − base with its 95 % interval, and p."""

    outcome: str
    users: tuple[int, int]
    """With this outcome, (base, tuned)."""
    base: float
    tuned: float
    low: float
    high: float
    p: float

    @property
    def change(self) -> float:
        return self.tuned - self.base

    @property
    def verdict(self) -> str:
        """better, worse, or not enough evidence."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not enough evidence"

    @property
    def words(self) -> str:
        """The verdict, and what to do about it."""
        more = stats.more_rows(sum(self.users), self.change, self.low, self.high)
        if self.verdict != "not enough evidence" or more is None:
            return say(self.verdict)
        return say(f"not enough evidence: a change of this size needs about {more:,} more users")


@dataclass(frozen=True)
class ABResult:
    """What an A/B test says so far. Made by `ABTest.result`."""

    users: tuple[int, int]
    """(base, tuned)."""
    mismatch_p: float
    """How often a fair draw would divide the users at least so unevenly."""
    effects: tuple[Effect, ...]
    anytime: bool

    def __getitem__(self, outcome: str) -> Effect:
        for one in self.effects:
            if one.outcome == outcome:
                return one
        raise KeyError(f"{outcome!r}; measured were {', '.join(one.outcome for one in self.effects) or 'none'}")

    @property
    def alarm(self) -> bool:
        """Whether the arms' sizes cannot be an accident: users are lost or counted twice, and no verdict holds."""
        return self.mismatch_p < MISMATCH_ALARM

    @property
    def headline(self) -> str:
        base, tuned = self.users
        valid = say("valid at any look") if self.anytime else say("valid for one look")
        line = say(f"{base:,} users with base, {tuned:,} with tuned; {valid}")
        if self.alarm:
            line += say(f". SAMPLE RATIO MISMATCH (p {self.mismatch_p:.1g}): find out who is missing before you read on")
        return line

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        rows = [
            (
                one.outcome,
                number(one.base),
                number(one.tuned),
                with_interval(one.change, one.low, one.high),
                p_value(one.p),
                say("none: sample ratio mismatch") if self.alarm else one.words,
            )
            for one in self.effects
        ]
        return tuple(map(say, ("outcome", "base", "tuned", "change [95 % CI]", "p", "verdict"))), rows

    def __str__(self) -> str:
        return self.headline + "\n" + text_table(*self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.headline, *self.table())


def effect(
    outcome: str, base: Sequence[float], tuned: Sequence[float], *, anytime: bool = False, worth_seeing: float | None = None
) -> Effect:
    """The Effect on one outcome, one value a user.

    Once: where all values are 0 or 1, Newcombe's interval from two Wilson intervals (Newcombe 1998, method 10) and the
    chi-square test without correction; else Welch's t. Anytime: the mixture interval of `ftkit.abtest.sequential`.

    >>> e = effect("completed", [1] * 56 + [0] * 14, [1] * 48 + [0] * 32)  # Newcombe 1998: 56/70 − 48/80 = 0.2
    >>> round(-e.high, 4), round(-e.low, 4)
    (0.0524, 0.3339)
    """
    means, sizes = (fmean(base), fmean(tuned)), (len(base), len(tuned))
    change = means[1] - means[0]
    binary = all(value in (0, 1) for arm in (base, tuned) for value in arm)
    if anytime:
        low, high, p = _anytime(base, tuned, change, worth_seeing)
    elif binary:
        (low0, high0), (low1, high1) = stats.interval(base), stats.interval(tuned)
        low = change - math.hypot(means[1] - low1, high0 - means[0])
        high = change + math.hypot(high1 - means[1], means[0] - low0)
        pooled = (sum(base) + sum(tuned)) / sum(sizes)
        error = math.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
        p = 2 * NormalDist().cdf(-abs(change) / error) if error else 1.0
    elif min(sizes) < 2 or variance(base) + variance(tuned) == 0:
        low, high, p = -math.inf, math.inf, 1.0
    else:
        from scipy.stats import ttest_ind

        found = ttest_ind(tuned, base, equal_var=False)
        (low, high), p = found.confidence_interval(stats.CONFIDENCE), found.pvalue
    return Effect(outcome, sizes, *means, float(low), float(high), float(p))


def _anytime(base, tuned, change: float, worth_seeing: float | None) -> tuple[float, float, float]:
    if min(len(base), len(tuned)) < LEAST_USERS or variance(base) + variance(tuned) == 0:
        return -math.inf, math.inf, 1.0
    spread = variance(base) / len(base) + variance(tuned) / len(tuned)
    mixing = worth_seeing or 0.2 * math.sqrt((variance(base) + variance(tuned)) / 2)
    half = half_width(spread, mixing)
    return change - half, change + half, always_valid_p(change, spread, mixing)


def mismatch(sizes: tuple[int, int], share: float = 0.5) -> float:
    """p of the chi-square test that users are divided as planned, 1 − ``share`` to ``share``.

    >>> round(mismatch((821_588, 815_482)), 8)  # looks like a half; is not
    1.82e-06
    """
    total = sum(sizes)
    if total == 0:
        return 1.0
    from scipy.stats import chisquare

    return float(chisquare(sizes, (total * (1 - share), total * share)).pvalue)
