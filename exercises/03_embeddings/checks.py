"""The self-checks of exercise 03: what learners may see. Other inputs decide the points."""

import numpy as np

from ftkit.exercise import need
from ftkit.lang import say


def q1(names):
    make = need(names, "make_pairs")
    topics = [{"answer": "A", "questions": ["one?", "two?"]}, {"answer": "B", "questions": ["three?"]}]
    got = make(topics)
    assert got is not None, "make_pairs returns nothing; does it end in `return`?"
    got = [list(pair) for pair in got]
    assert len(got) == 3, f"Three questions make three pairs; got {len(got)}."
    assert got[0] == ["one?", "A"], f"The first pair should be ['one?', 'A']; got {got[0]}."
    assert got[2] == ["three?", "B"], f"Each question goes with its own topic's answer; got {got[2]}."
    got = make([{"answer": "A", "questions": ["  ", "one?", "", " one? "]}])
    assert len(got) == 1, f"Empty questions and those that stood before are left out: want 1 pair; got {len(got)}."
    assert list(make([{"answer": "A", "questions": [" one? "]}])[0]) == ["one?", "A"], "Blanks at the ends should be gone."


def q2(names):
    ranking = need(names, "ranking")
    got = ranking([1.0, 0.0], [[0.0, 1.0], [1.0, 0.1], [1.0, 1.0]])
    assert got is not None, "ranking returns nothing; does it end in `return`?"
    got = list(np.asarray(got).tolist())
    assert got != [0, 2, 1], "That is the wrong way round: the most similar comes first."
    assert got == [1, 2, 0], f"want [1, 2, 0]; got {got}."
    got = list(np.asarray(ranking([1.0, 0.0], [[1.0, 0.2], [50.0, 40.0]])).tolist())
    assert got == [0, 1], "A long vector is not a similar one: divide by the lengths."
    got = list(np.asarray(ranking([2.0, 0.0], [[0.0, 1.0], [3.0, 0.0], [1.0, 0.0]])).tolist())
    assert got == [1, 2, 0], f"Of equally similar documents the lower number comes first: want [1, 2, 0]; got {got}."


def q3(names):
    measures = need(names, "hit_and_mrr")
    got = measures([1, 4, None])
    assert got is not None, "hit_and_mrr returns nothing; does it end in `return`?"
    got = list(got)
    assert len(got) == 2, f"want a list of two numbers; got {got}."
    assert np.isclose(got[0], 1 / 3), f"Hit@1 of the places 1, 4 and None is 1/3; got {got[0]}."
    assert np.isclose(got[1], (1 + 1 / 4) / 3), f"MRR@10 of the places 1, 4 and None is (1 + 1/4)/3; got {got[1]}."
    assert np.isclose(list(measures([11, 1]))[1], 0.5), "A place beyond 10 counts 0 in MRR@10."


def q4(names):
    recipe, run, before, after = (need(names, name, call=False) for name in ("recipe", "run", "before", "after"))
    status = getattr(run, "status", "not there")
    assert status == "succeeded", f"The run is {say(status)}; train to the end."
    gain = after.scores["ndcg@10"].value - before.scores["ndcg@10"].value
    assert recipe.seed != 0, "Set seed to a number of your own, so that your weights are yours."
    assert gain > 0, f"Your model changes ndcg@10 by {gain:+.3f}: the search got worse. Was the learning rate too high?"
    return f"On the topics set aside it gains {gain:.3f}. Hidden questions decide."
