"""An A/B test with users: the base model for one half, the tuned model for the other, and an honest verdict.

    test = ft.ABTest("runs/tone.jsonl")
    model = {"base": base, "tuned": tuned}[test.arm("user-17")]      # the same user, the same arm, always
    test.log("user-17", quality=4, satisfaction=1, completed=True)   # on disk when this returns
    test.result()

Users are what is drawn, so users are what is counted: several outcomes of one user are averaged first.
"""

import hashlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean, variance

from ftkit import stats
from ftkit.errors import DataError, FtkitError
from ftkit.files import append_line, read_lines
from ftkit.sequential import LEAST_USERS, always_valid_p, half_width
from ftkit.tables import html_table, number, text_table

ARMS = ("base", "tuned")

OUTCOMES = ("quality", "satisfaction", "completed")

MISMATCH_ALARM = 0.001
"""Below this p, the arms' sizes are no accident (Fabijan et al. 2019, sample ratio mismatch)."""


class ABTest:
    """Who gets which model, and what came of it. Introduced in lesson 04.

    Args:
        path: the JSON Lines file of the outcomes; servers may share one.
        salt: tests with other salts divide the users in other ways, so that one test's halves are not another's.
        share: of users who get the tuned model.
        outcomes: the names that `log` takes; each a number, higher is better, or true and false.
    """

    def __init__(self, path: str | os.PathLike, *, salt: str = "ab", share: float = 0.5, outcomes: Sequence[str] = OUTCOMES):
        if not 0 < share < 1:
            raise FtkitError(f"ABTest: share must be between 0 and 1; got {share!r}")
        self.path, self.salt, self.share, self.outcomes = Path(path), salt, share, tuple(outcomes)

    def __repr__(self) -> str:
        return f"ABTest({self.path}, {self.share:.0%} tuned, salt {self.salt!r})"

    def arm(self, user: str) -> str:
        """base or tuned: by a hash of salt and user, so that it needs no table and is the same on every server.

        >>> ABTest("x.jsonl").arm("user-17") == ABTest("y.jsonl").arm("user-17")
        True
        """
        digest = hashlib.sha256(f"{self.salt}\0{user}".encode()).digest()
        return ARMS[int.from_bytes(digest[:8], "big") / 2**64 < self.share]

    def log(self, user: str, **outcomes: float) -> None:
        """Note what ``user`` made of the answer; on disk when this returns, also beside other processes.

        Without outcomes: the user was served. Log that for everybody, or those who leave without a word are not
        counted, and the arm that drives them away looks better for it.

        Raises:
            DataError: an outcome that was not announced, or that is no finite number.
        """
        for name, value in outcomes.items():
            if name not in self.outcomes:
                raise DataError(f"log: unknown outcome {name!r}; this test has {', '.join(self.outcomes)}")
            if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
                raise DataError(f"log: {name} must be a finite number, or true or false; got {value!r}")
        about = {"salt": self.salt, "user": str(user), "arm": self.arm(user), "time": round(time.time(), 3)}
        append_line(self.path, {**about, **{name: float(value) for name, value in outcomes.items()}})

    def users(self) -> dict[str, dict[str, float]]:
        """user → {outcome: the mean of what was logged}, in the order they came.

        Raises:
            DataError: a user was logged with another arm than this test gives: salt or share were changed half-way.
        """
        seen: dict[str, dict[str, list[float]]] = {}
        for line in read_lines(self.path):
            if line.get("salt") != self.salt:
                continue
            if line["arm"] != self.arm(line["user"]):
                raise DataError(f"{self.path}: {line['user']!r} was given {line['arm']!r} under another share; start a new salt")
            logged = seen.setdefault(line["user"], {})
            for name in self.outcomes:
                if name in line:
                    logged.setdefault(name, []).append(line[name])
        return {user: {name: fmean(values) for name, values in logged.items()} for user, logged in seen.items()}

    def result(self, *, anytime: bool = False, worth_seeing: float | None = None) -> "ABResult":
        """The ABResult of what is logged so far.

        Args:
            anytime: False: valid once, at a number of users settled beforehand (`users_per_arm`). True: valid at
                every look; wider, which is the price of looking.
            worth_seeing: anytime only: the size of difference, in the outcome's unit, that the interval is tuned to;
                choose it before looking. Default: a fifth of the outcome's standard deviation so far.
        """
        users = self.users()
        sizes = tuple(sum(self.arm(user) == arm for user in users) for arm in ARMS)
        effects = []
        for name in self.outcomes:
            base, tuned = (
                [logged[name] for user, logged in users.items() if name in logged and self.arm(user) == arm] for arm in ARMS
            )
            if base and tuned:
                effects.append(effect(name, base, tuned, anytime=anytime, worth_seeing=worth_seeing))
        return ABResult(sizes, mismatch(sizes, self.share), tuple(effects), anytime)


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
        total = sum(self.users)
        needed = None if math.isinf(self.high) else stats.rows_needed(total, self.change, self.low, self.high)
        if self.verdict != "not enough evidence" or needed is None or not total < needed <= 100 * total:
            return self.verdict
        return f"not enough evidence: a change of this size needs about {needed - total:,} more users"


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
        line = f"{base:,} users with base, {tuned:,} with tuned; " + ("valid at any look" if self.anytime else "valid for one look")
        if self.alarm:
            line += f". SAMPLE RATIO MISMATCH (p {self.mismatch_p:.1g}): find out who is missing before you read on"
        return line

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        rows = [
            (
                one.outcome,
                number(one.base),
                number(one.tuned),
                f"{number(one.change, sign=True)} [{number(one.low, sign=True)}, {number(one.high, sign=True)}]",
                "<0.001" if one.p < 0.001 else f"{one.p:.3f}",
                "none: sample ratio mismatch" if self.alarm else one.words,
            )
            for one in self.effects
        ]
        return ("outcome", "base", "tuned", "change [95 % CI]", "p", "verdict"), rows

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
    chi-square test without correction; else Welch's t. Anytime: the mixture interval of `ftkit.sequential`.

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
    planned = (total * (1 - share), total * share)
    chi_square = sum((size - want) ** 2 / want for size, want in zip(sizes, planned))
    return 2 * NormalDist().cdf(-math.sqrt(chi_square))  # one degree of freedom: the square of a normal variable


def power(users_per_arm: float, *, base: float | None = None, change: float, sd: float | None = None, alpha: float = 0.05) -> float:
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


def users_per_arm(
    *, base: float | None = None, change: float, sd: float | None = None, power: float = stats.POWER, alpha: float = 0.05
) -> int:
    """How many users each arm takes for a true ``change`` to be found as often as ``power`` says. Ask this first.

    >>> users_per_arm(base=0.6, change=0.05), users_per_arm(base=0.6, change=0.10)
    (1471, 356)
    """
    if change == 0:
        raise FtkitError("users_per_arm: no number of users finds a change of 0")
    reached, low, high = globals()["power"], 2, 4
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
        what = "a winner that is none" if self.base == self.tuned else "a winner"
        return (
            f"{len(self.users)} looks: {self.peeking[-1]:.0%} of {self.tests:,} tests call {what} when peeking, "
            f"{self.at_the_end:.0%} with one look, {self.anytime[-1]:.0%} always-valid"
        )

    def __str__(self) -> str:
        return self.words

    __repr__ = __str__


def simulate(
    *, base: float, tuned: float, users: int = 1000, looks: int = 20, tests: int = 2000, worth_seeing: float = 0.1, seed: int = 0
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
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(change) / np.sqrt(2 * pooled * (1 - pooled) / at)
        spread = (first * (1 - first) + second * (1 - second)) / (at - 1)
        half = np.sqrt(
            2 * spread * (spread + worth_seeing**2) / worth_seeing**2 * np.log(np.sqrt(1 + worth_seeing**2 / spread) / 0.05)
        )
        wins, sure = z > norm.ppf(0.975), (np.abs(change) > half) & (at >= LEAST_USERS)

    def by_then(calls):
        return tuple(float(share) for share in np.maximum.accumulate(calls, axis=1).mean(0))

    return Simulation(base, tuned, tests, tuple(map(int, at)), by_then(wins), by_then(sure), float(wins[:, -1].mean()))
