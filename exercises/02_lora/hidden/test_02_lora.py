"""The hidden part of exercise 02 tells right answers from the usual wrong ones, whatever the secret."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from ftkit import dataset, read_chats
from ftkit.grading import probes, spec

EXERCISE = spec.read_exercise(Path(__file__).parents[1])


def share(question: str, answer, secret: bytes) -> float:
    """The share of hidden inputs for which ``answer`` is right."""
    _, reference = EXERCISE.hidden.PROBES[question]
    calls = probes.hidden_calls(EXERCISE, secret)[question]
    got = [json.loads(json.dumps(answer(*call), default=np.ndarray.tolist)) for call in calls]
    return sum(probes.same(reference(*call), one) for call, one in zip(calls, got)) / len(calls)


WRONG = [
    ("q1", lambda shapes, r: sum(a * b for a, b in shapes)),
    ("q1", lambda shapes, r: sum(r * a for a, b in shapes)),
    ("q2", lambda w, a, b, x, alpha: np.array(w) @ x),
    ("q2", lambda w, a, b, x, alpha: np.array(w) @ x + alpha * np.array(b) @ (np.array(a) @ x)),
    ("q3", lambda w, a, b, alpha: np.array(w) + np.array(b) @ np.array(a)),
    ("q5", lambda reply: json.loads(reply) if reply.startswith("{") and reply.endswith("}") else None),
    ("q5", lambda reply: None),
]


@pytest.mark.parametrize("secret", [b"a secret of the course", b"another secret of it"])
@pytest.mark.parametrize(("question", "answer"), WRONG)
def test_a_usual_mistake_does_not_pass(question, answer, secret):
    assert share(question, answer, secret) < 1


def test_the_hidden_messages_are_new_and_depend_on_the_secret():
    one, again, other = (EXERCISE.hidden.hidden_rows(random.Random(seed)) for seed in (1, 1, 2))
    assert one == again != other and len(one) == EXERCISE.hidden.ROWS
    known = {chat.text for name in ("tickets", "tickets_en_unseen") for chat in read_chats(dataset(name))}
    assert sum(row["messages"][1]["content"] in known for row in one) <= 2
    queues = [json.loads(row["messages"][2]["content"])["queue"] for row in one]
    assert max(map(queues.count, set(queues))) == min(map(queues.count, set(queues)))
