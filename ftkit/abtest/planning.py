"""Before an A/B test: how many users it takes; and on users who do not exist, what peeking does."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from ftkit import stats
from ftkit.abtest.sequential import ALPHA, LEAST_USERS, half_width
from ftkit.errors import FtkitError
from ftkit.lang import say


def power(
    users_per_arm: float, *, base: float | None = None, change: float, sd: float | None = None, alpha: float = ALPHA
) -> float:
    """How often a test of that size finds a true ``change``: of a share from ``base`` on, or of a mean with ``sd``.

    Shares: the normal approximation with pooled variance under no change (Fleiss 1981, §3.2), both tails. Means: the
    noncentral t.

    >>> round(power(77, base=0.5, change=0.25), 2), round(power(22.02, change=1, sd=1), 2)
    (0.9, 0.9)
    """
    n = users_per_arm
    if (base is None) == (sd is None):
        raise FtkitError("power: give base= for a share, or sd= for a mean")
    if sd is None:
        if not (0 <= base <= 1 and 0 <= base + change <= 1):
            raise FtkitError(f"power: base and base + change must be from 0 to 1; got {base!r} and {base + change!r}")
        normal, mean = NormalDist(), base + change / 2
        null = math.sqrt(2 * mean * (1 - mean) / n) * normal.inv_cdf(1 - alpha / 2)
        error = math.sqrt((base * (1 - base) + (base + change) * (1 - base - change)) / n)
        if error == 0:
            return 1.0 if change else alpha
        return normal.cdf((abs(change) - null) / error) + normal.cdf((-abs(change) - null) / error)
    from scipy.stats import nct, t

    freedom = 2 * (n - 1)
    critical, shift = t.ppf(1 - alpha / 2, freedom), abs(change) / sd * math.sqrt(n / 2)
    return float(nct.sf(critical, freedom, shift) + nct.cdf(-critical, freedom, shift))


_power = power  # by its own name below, where an argument is called power too


def users_per_arm(
    *, base: float | None = None, change: float, sd: float | None = None, power: float = stats.POWER, alpha: float = ALPHA
) -> int:
    """How many users each arm takes for a true ``change`` to be found as often as ``power`` says. Ask this first.

    >>> users_per_arm(base=0.6, change=0.05), users_per_arm(base=0.6, change=0.10)
    (1471, 356)
    """
    if change == 0:
        raise FtkitError("users_per_arm: no number of users finds a change of 0")
    reached, low, high = _power, 2, 4
    while reached(high, base=base, change=change, sd=sd, alpha=alpha) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = reached(middle, base=base, change=change, sd=sd, alpha=alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


@dataclass(frozen=True)
class Simulation:
    """Many A/B tests on users who do not exist, so that the truth is known. Made by `simulate`."""

    base: float
    tuned: float
    tests: int
    users: tuple[int, ...]
    """Per arm, at each look."""
    peeking: tuple[float, ...]
    """The share of tests that by that look had called a winner at p < 0.05, and would have stopped."""
    anytime: tuple[float, ...]
    """The same, by the interval that is valid at any look."""
    at_the_end: float
    """The share that calls a winner at p < 0.05 with a single look, at the end."""

    @property
    def words(self) -> str:
        """What it shows."""
        what = say("a winner that is none") if self.base == self.tuned else say("a winner")
        return say(
            f"{len(self.users)} looks: {self.peeking[-1]:.0%} of {self.tests:,} tests call {what} when peeking, "
            f"{self.at_the_end:.0%} with one look, {self.anytime[-1]:.0%} always-valid"
        )

    def __str__(self) -> str:
        return self.words

    __repr__ = __str__


def simulate(
    *,
    base: float,
    tuned: float,
    users: int = 1000,
    looks: int = 20,
    tests: int = 2000,
    worth_seeing: float = 0.1,
    seed: int = 0,
) -> Simulation:
    """A Simulation of ``tests`` A/B tests on a share: the truth is ``base`` and ``tuned``, each looked at ``looks`` times.

    Args:
        users: per arm, at the end; the looks are evenly spaced.
        worth_seeing: what the always-valid interval is tuned to.
    """
    import numpy as np
    from scipy.stats import norm

    rng = np.random.default_rng(seed)
    at = np.unique(np.linspace(0, users, looks + 1)[1:].astype(int))  # (L,)
    steps = np.diff(at, prepend=0)
    counts = [rng.binomial(steps, share, (tests, len(at))).cumsum(1) for share in (base, tuned)]  # (T, L) each
    first, second = (count / at for count in counts)
    change, pooled = second - first, (first + second) / 2
    wins = np.abs(change) > norm.ppf(1 - ALPHA / 2) * np.sqrt(2 * pooled * (1 - pooled) / at)
    spread = (first * (1 - first) + second * (1 - second)) / np.maximum(at - 1, 1)
    sure = (at >= LEAST_USERS) & (spread > 0)
    sure[sure] = np.abs(change[sure]) > np.vectorize(half_width, otypes=[float])(spread[sure], worth_seeing)

    def by_then(calls):
        return tuple(float(share) for share in np.maximum.accumulate(calls, axis=1).mean(0))

    return Simulation(base, tuned, tests, tuple(map(int, at)), by_then(wins), by_then(sure), float(wins[:, -1].mean()))
