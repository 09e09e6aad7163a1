"""The hidden part of exercise 01 tells right answers from the usual wrong ones, whatever the secret."""

from pathlib import Path

import pytest

from ftkit.grading import probes, spec

EXERCISE = spec.read_exercise(Path(__file__).parents[1])


def share(question: str, answer, secret: bytes) -> float:
    """The share of hidden inputs for which ``answer`` is right; an error is a wrong answer."""
    _, reference = EXERCISE.hidden.PROBES[question]
    right = 0
    calls = probes.hidden_calls(EXERCISE, secret)[question]
    for call in calls:
        try:
            right += probes.same(reference(*call), answer(*call))
        except (AttributeError, KeyError, TypeError, IndexError):
            pass
    return right / len(calls)


def last_only(row):
    return bool(row.get("messages")) and row["messages"][-1]["role"] == "assistant"


def no_blanks(row):
    return last_only(row) and all(isinstance(m["content"], str) and m["content"].strip() for m in row["messages"])


WRONG = [
    ("q1", lambda s, q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}),
    ("q1", lambda s, q, a: {"messages": [{"role": r, "content": t} for r, t in zip(("system", "user", "assistant"), (s, q, a))]}),
    ("q2", lambda row: True),
    ("q2", last_only),
    ("q2", no_blanks),
    ("q3", lambda tokens, epochs, usd: sum(tokens) * usd / 1e6),
    ("q3", lambda tokens, epochs, usd: len(tokens) * epochs * usd / 1e6),
]


@pytest.mark.parametrize("secret", [b"a secret of the course", b"another secret of it"])
@pytest.mark.parametrize(("question", "answer"), WRONG)
def test_a_usual_mistake_does_not_pass(question, answer, secret):
    assert share(question, answer, secret) < 1


def test_good_and_bad_rows_both_come_often():
    verdicts = [EXERCISE.hidden.is_good(row) for (row,) in probes.hidden_calls(EXERCISE, b"a secret of the course")["q2"]]
    assert 5 <= sum(verdicts) <= len(verdicts) - 8
