"""Which of two answers do people like better, when they cannot know whose it is?

Each row is shown with its two answers left and right by the toss of a seeded coin; the vote is on disk before the next
row comes. `ftkit.widgets.voter` draws it; `Ballot` is the part that needs no screen.
"""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftkit import stats
from ftkit.errors import DataError
from ftkit.files import append_line, read_lines
from ftkit.lang import say
from ftkit.report import Report, Score
from ftkit.tables import html_table, p_value, text_table

SIDES = ("left", "tie", "right")
WORTH = {"before": 0.0, "tie": 0.5, "after": 1.0}
"""What a vote counts for the model after."""


@dataclass(frozen=True)
class Vote:
    """What one rater said about one row."""

    row: int
    """Number of the row in the test set, from 0."""
    rater: str
    winner: str
    """before, after or tie."""
    side: str
    """left, right or tie: where the winner stood. What a rater likes about the left is no merit of a model."""


@dataclass(frozen=True)
class Pairing:
    """One row to vote on: the question and two answers, whose names are not told."""

    row: int
    prompt: str
    left: str
    right: str


@dataclass(frozen=True)
class Tally:
    """How often the model after was preferred: a tie counts half, raters of one row are averaged first."""

    before: str
    after: str
    votes: tuple[Vote, ...]

    @property
    def rows(self) -> dict[int, float]:
        """row → the share of its votes that went to the model after."""
        worths: dict[int, list[float]] = {}
        for vote in self.votes:
            worths.setdefault(vote.row, []).append(WORTH[vote.winner])
        return {row: sum(values) / len(values) for row, values in worths.items()}

    @property
    def win_rate(self) -> Score:
        """0 to 1; 0.5 is no preference. The interval is over rows: two raters of a row are not two rows.

        Raises:
            DataError: no votes yet.
        """
        values = list(self.rows.values())
        if not values:
            raise DataError("no votes yet; vote first")
        return Score(sum(values) / len(values), *stats.interval(values))

    @property
    def p(self) -> float:
        """How often chance alone would lean this far, were both liked equally: the permutation test of the rows
        against 0.5, which without ties is the sign test."""
        values = [value - 0.5 for value in self.rows.values() if value != 0.5]
        if all(abs(value) == 0.5 for value in values):
            return stats.paired_test([float(value < 0) for value in values], [float(value > 0) for value in values])[0]
        return stats.paired_test([0.0] * len(values), values)[0]

    @property
    def words(self) -> str:
        """The verdict in plain words."""
        rate, sure = self.win_rate, self.p < 1 - stats.CONFIDENCE
        if sure and rate.low > 0.5:
            return say(f"{self.after} is preferred")
        if sure and rate.high < 0.5:
            return say(f"{self.before} is preferred")
        more = stats.more_rows(len(self.rows), rate.value - 0.5, rate.low - 0.5, rate.high - 0.5, self.p)
        if more is None:
            return say("not enough evidence: they are liked about equally so far")
        return say(f"not enough evidence: a preference of this size needs about {more:,} more rows")

    @property
    def left_share(self) -> Score:
        """Of the votes that were no tie, how many went left: 0.5 if the raters do not care where an answer stands."""
        left = [float(vote.side == "left") for vote in self.votes if vote.side != "tie"]
        return Score(sum(left) / len(left) if left else float("nan"), *stats.interval(left))

    def agreement(self) -> float:
        """`agreement` of these votes."""
        return agreement(self.votes)

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        count = {winner: sum(vote.winner == winner for vote in self.votes) for winner in WORTH}
        votes = say(f"{count['after']} for {self.after}, {count['before']} for {self.before}, {count['tie']} ties")
        rows = [
            (say("votes"), votes),
            (say(f"{self.after} preferred"), f"{self.win_rate}, p {p_value(self.p)}"),
            (say("verdict"), self.words),
            (say("left preferred"), str(self.left_share)),
        ]
        if len({vote.rater for vote in self.votes}) > 1:
            rows.append((say("raters agree"), say(f"Krippendorff's alpha {self.agreement():.2f}")))
        return ("", say(f"{len(self.votes)} votes on {len(self.rows)} rows [95 % CI]")), rows

    def __str__(self) -> str:
        return text_table(*self.table()) if self.votes else say("no votes yet")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        question = say("{before} or {after}?").format(before=self.before, after=self.after)
        return html_table(question, *self.table()) if self.votes else say("no votes yet")


class Ballot:
    """The rows one rater votes on, in a seeded order with seeded sides. Made by `ballot`."""

    def __init__(self, before: Report, after: Report, path: Path, rater: str, rows: Sequence[int], seed: int):
        self.before, self.after, self.path, self.rater = before, after, path, rater
        self.rows = tuple(rows)
        self.flipped = {row: random.Random(f"{seed} {rater} {row}").random() < 0.5 for row in rows}
        """row → whether the model after stands on the left."""
        self._about = before.fingerprint

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Ballot({self.rater}: {self.done} of {len(self)} rows voted, in {self.path})"

    @property
    def votes(self) -> list[Vote]:
        """Every rater's votes on this test set and these two models; of two votes on a row the later one counts."""
        names = (self.before.model, self.after.model)
        found = {}
        for line in read_lines(self.path):
            if line.get("test") == self._about and (line.get("before"), line.get("after")) == names:
                vote = Vote(*(line[name] for name in Vote.__dataclass_fields__))
                found[vote.rater, vote.row] = vote
        return list(found.values())

    @property
    def done(self) -> int:
        """How many of the rows this rater has voted on."""
        return len(self.rows) - len(self._open())

    def next(self) -> Pairing | None:
        """The next row without this rater's vote; None when all have one."""
        if not (left := self._open()):
            return None
        row = left[0]
        answers = (self.before.answers[row].got, self.after.answers[row].got)
        first, second = answers[::-1] if self.flipped[row] else answers
        return Pairing(row, self.before.answers[row].prompt, first, second)

    def vote(self, side: str) -> Vote:
        """The vote on `next`, on disk when this returns.

        Args:
            side: left, tie or right: the better answer.

        Raises:
            DataError: another side, or every row has a vote.
        """
        if side not in SIDES:
            raise DataError(f"vote: side must be one of {', '.join(SIDES)}; got {side!r}")
        if (pairing := self.next()) is None:
            raise DataError(f"vote: all {len(self)} rows have {self.rater}'s vote; see ballot.result")
        winner = "tie" if side == "tie" else "after" if (side == "left") == self.flipped[pairing.row] else "before"
        vote = Vote(pairing.row, self.rater, winner, side)
        about = {"test": self._about, "before": self.before.model, "after": self.after.model, "time": round(time.time(), 3)}
        append_line(self.path, {**about, **vote.__dict__})
        return vote

    @property
    def result(self) -> Tally:
        """Everybody's votes in this file so far."""
        return Tally(self.before.model, self.after.model, tuple(self.votes))

    def _open(self) -> list[int]:
        voted = {vote.row for vote in self.votes if vote.rater == self.rater}
        return [row for row in self.rows if row not in voted]


def ballot(
    before: Report, after: Report, path: str | os.PathLike, *, rater: str = "me", rows: int | None = None, seed: int = 0
) -> Ballot:
    """A Ballot over the rows that the two models answered differently; identical answers need no vote.

    Made again with the same file, it goes on where it was left.

    Args:
        path: the JSON Lines file of the votes; raters may share one, at the same time too.
        rater: who votes. Each rater gets the same rows, with other sides.
        rows: how many; default: all that differ.
        seed: draws the rows and the sides.

    Raises:
        DataError: the reports are about different rows, or all answers are identical.
    """
    if before.fingerprint != after.fingerprint:
        raise DataError(f"ballot: the reports are about different rows ({before.data} and {after.data})")
    differ = [i for i, (a, b) in enumerate(zip(before.answers, after.answers)) if a.got.strip() != b.got.strip()]
    if not differ:
        raise DataError("ballot: ALL ANSWERS ARE IDENTICAL, there is nothing to vote on; was the tuned model used?")
    random.Random(seed).shuffle(differ)
    return Ballot(before, after, Path(path), rater, differ[:rows], seed)


def agreement(votes: Sequence[Vote]) -> float:
    """Krippendorff's alpha of the raters, before < tie < after on an ordinal scale: 1 they agree, 0 as if by chance.

    Conclusions usually ask for 0.8, tentative ones for 0.667 (Krippendorff 2004). nan unless some row has votes of two raters
    and not all votes are the same.
    """
    import krippendorff  # brings numpy

    raters, rows = sorted({vote.rater for vote in votes}), sorted({vote.row for vote in votes})
    given = {(vote.rater, vote.row): WORTH[vote.winner] for vote in votes}
    table = [[given.get((rater, row), float("nan")) for row in rows] for rater in raters]
    shared = [column for column in zip(*table) if sum(value == value for value in column) > 1]
    if len({value for column in shared for value in column if value == value}) < 2:
        return float("nan")
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement="ordinal", value_domain=[0.0, 0.5, 1.0]))
