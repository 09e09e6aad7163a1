"""Who gets which model, and what came of it, in a file that survives a crash and many writers."""

import hashlib
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from ftkit.abtest.result import ABResult, effect, mismatch
from ftkit.errors import DataError, FtkitError
from ftkit.files import append_line, read_lines
from ftkit.lang import say

ARMS = ("base", "tuned")

OUTCOMES = ("quality", "satisfaction", "completed")


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
                was = say(f"{line['user']!r} was given {line['arm']!r}")
                raise DataError(f"{self.path}: {was} under another share; start a new salt")
            logged = seen.setdefault(line["user"], {})
            for name in self.outcomes:
                if name in line:
                    logged.setdefault(name, []).append(line[name])
        return {user: {name: fmean(values) for name, values in logged.items()} for user, logged in seen.items()}

    def result(self, *, anytime: bool = False, worth_seeing: float | None = None) -> ABResult:
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
