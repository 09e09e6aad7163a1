"""A language model as the judge of two answers: quick, cheap, and biased, which is why each pair is asked twice.

Judges tend to prefer what stands first (Zheng et al. 2023, arXiv:2306.05685, §3.3). So every row is asked in both orders,
an answer wins only if it wins both, and how often the order alone decided is reported beside the win rate.
"""

import re
from dataclasses import dataclass

from ftkit import stats
from ftkit.cost import inference_cost
from ftkit.errors import DataError
from ftkit.hosted import Endpoint, within_budget
from ftkit.lang import say
from ftkit.report import Report, Score
from ftkit.tables import html_table, p_value, text_table
from ftkit.vote import Tally, Vote

QUESTION = """You compare two answers to the same request.
{criterion}

[Request]
{prompt}

[Answer A]
{first}

[Answer B]
{second}

Which answer is better? Reply with [[A]] or [[B]], or with [[T]] for a tie, and nothing else."""

CRITERION = "Prefer the answer that does what was asked, correctly and completely. Do not favour length or position."

REPLY_TOKENS = 16


@dataclass(frozen=True)
class Judgement(Tally):
    """What a judge model preferred, with both orders asked. Made by `judge`.

    ``votes`` holds one vote a row: a row whose two orders disagree is a tie.
    """

    judge: str = ""
    firsts: tuple[tuple[str, str], ...] = ()
    """For each row the two replies, A, B, T or "" for none that could be read: before shown first, then after first."""
    same: int = 0
    """Rows whose two answers are identical; they were not asked."""

    @property
    def unreadable(self) -> int:
        """How many replies named neither A, B nor T. Their rows have no vote."""
        return sum(reply == "" for pair in self.firsts for reply in pair)

    @property
    def consistent(self) -> Score:
        """Of the rows read in both orders, the share with the same winner both times."""
        agree = [float((a, b) in (("A", "B"), ("B", "A"), ("T", "T"))) for a, b in self._read]
        return Score(sum(agree) / len(agree) if agree else float("nan"), *stats.interval(agree))

    @property
    def first_share(self) -> Score:
        """Position bias: how often the answer shown first was preferred, row by row, T counting half. 0.5 is none."""
        worth = {"A": 1.0, "T": 0.5, "B": 0.0}
        firsts = [(worth[a] + worth[b]) / 2 for a, b in self._read]
        return Score(sum(firsts) / len(firsts) if firsts else float("nan"), *stats.interval(firsts))

    @property
    def _read(self) -> list[tuple[str, str]]:
        return [pair for pair in self.firsts if "" not in pair]

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        asked = say(f"{len(self.firsts)}, {self.same} more had equal answers")
        rows = [(say("judge"), self.judge), (say("rows asked, both orders"), asked)]
        if self.unreadable:
            rows.append((say("replies that could not be read"), f"{self.unreadable} of {2 * len(self.firsts)}"))
        if self.votes:
            rows += [(say(f"{self.after} preferred"), f"{self.win_rate}, p {p_value(self.p)}"), (say("verdict"), self.words)]
            rows.append((say("same winner in both orders"), str(self.consistent)))
            rows.append((say("first answer preferred"), str(self.first_share)))
        return ("", say("value [95 % CI]")), rows

    def __str__(self) -> str:
        return text_table(*self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(say("{before} or {after}?").format(before=self.before, after=self.after), *self.table())


def judge(
    before: Report,
    after: Report,
    endpoint: Endpoint,
    *,
    model: str,
    criterion: str = CRITERION,
    rows: int | None = None,
    max_usd: float | None = None,
    usd_per_million: tuple[float, float] | None = None,
) -> Judgement:
    """A Judgement by ``model`` at ``endpoint`` of the rows that the two reports answered differently.

    Args:
        endpoint: `local_service()`, `endpoint(base_url)` or `openai()`.
        criterion: what makes an answer better, in a sentence or two.
        rows: how many rows, the first that differ; default: all. Each is asked twice.
        max_usd: the most this may cost; required where the endpoint may spend money. Compared with the upper end of
            the estimate before anything is sent.
        usd_per_million: price of a million (input, output) tokens, where prices.json does not know the model.

    Raises:
        DataError: the reports are about different rows.
        BudgetError: no limit given where money may be spent, no price known, or the estimate exceeds the limit.
        EndpointError: the endpoint refused, or is out of reach.
    """
    if before.fingerprint != after.fingerprint:
        raise DataError(f"judge: the reports are about different rows ({before.data} and {after.data})")
    differ = [i for i, (a, b) in enumerate(zip(before.answers, after.answers)) if a.got.strip() != b.got.strip()]
    chosen = differ[:rows]
    questions = [text for row in chosen for text in _both_orders(before.answers[row], after.answers[row], criterion)]
    if endpoint.spends or max_usd is not None:
        free = not endpoint.spends and usd_per_million is None
        cost = inference_cost(questions, REPLY_TOKENS, model, (0.0, 0.0) if free else usd_per_million)
        within_budget(cost, max_usd, "judge", "ask fewer rows=", "usd_per_million=(input, output)")
    from ftkit.hosted.jobs import HostedModel  # openai

    asked = [[{"role": "user", "content": text}] for text in questions]
    replies = [read(reply) for reply in HostedModel(endpoint, model).replies(asked, REPLY_TOKENS)] if asked else []
    firsts = tuple(zip(replies[::2], replies[1::2]))
    votes = tuple(_vote(row, model, pair) for row, pair in zip(chosen, firsts) if "" not in pair)
    return Judgement(before.model, after.model, votes, model, firsts, len(before) - len(differ))


def read(reply: str) -> str:
    """A, B or T as the reply gives it, in double brackets or all alone; "" for anything else.

    >>> read("B"), read("A is short, so: [[B]]"), read("Tie."), read("A good answer")
    ('B', 'B', 'T', '')
    """
    found = re.search(r"\[\[(A|B|T|TIE)\]\]", reply.upper()) or re.fullmatch(r"\W*(A|B|T|TIE)\W*", reply.upper())
    return found[1][0] if found else ""


def _both_orders(before, after, criterion: str) -> tuple[str, str]:
    def ask(first, second):
        return QUESTION.format(criterion=criterion, prompt=before.prompt, first=first.got, second=second.got)

    return ask(before, after), ask(after, before)


def _vote(row: int, judge: str, pair: tuple[str, str]) -> Vote:
    winner = {("A", "B"): "before", ("B", "A"): "after"}.get(pair, "tie")
    return Vote(row, judge, winner, "tie")  # it stood on both sides
