"""The hidden part of exercise 03 tells right answers from the usual wrong ones, whatever the secret."""

import random
from pathlib import Path

import numpy as np
import pytest

from ftkit import dataset, read_pairs
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
        except TypeError:
            pass
    return right / len(calls)


WRONG = [
    ("q1", lambda topics: [[q, t["answer"]] for t in topics for q in t["questions"]]),
    ("q1", lambda topics: [[q, t["answer"]] for t in topics for q in t["questions"] if q.strip()]),
    ("q2", lambda query, documents: np.argsort(-(np.array(documents) @ np.array(query))).tolist()),
    ("q2", lambda query, documents: EXERCISE.hidden.ranking(query, documents)[::-1]),
    ("q3", lambda places: [sum(p == 1 for p in places) / len(places), sum(1 / p for p in places if p) / len(places)]),
    ("q3", lambda places: [sum(p == 1 for p in places) / len(places), sum(1 / p for p in places) / len(places)]),
]


@pytest.mark.parametrize("secret", [b"a secret of the course", b"another secret of it"])
@pytest.mark.parametrize(("question", "answer"), WRONG)
def test_a_usual_mistake_does_not_pass(question, answer, secret):
    assert share(question, answer, secret) < 1


def test_hidden_questions_are_about_topics_set_aside_and_worded_anew():
    (one,), (again,), (other,) = (EXERCISE.hidden.hidden_rows(random.Random(seed)) for seed in (1, 1, 2))
    assert one == again != other
    pairs = read_pairs(dataset("faq_en"))
    aside = set(sorted({pair.group for pair in pairs})[::3])
    assert {topic for judged in one["qrels"].values() for topic in judged} == aside
    assert len(one["corpus"]) == len({pair.group for pair in pairs})
    known = {pair.anchor for pair in pairs}
    assert sum(text in known for text in one["queries"].values()) < 0.1 * len(one["queries"])
