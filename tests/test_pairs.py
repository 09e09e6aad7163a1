"""What pairs are made into."""

import pytest

from ftkit.data import Dataset, Pair
from ftkit.errors import DataError
from ftkit.pairs import search_task, shuffled, with_random_wrong

FAQ = Dataset(tuple(Pair(f"question {i}", f"answer {i // 2}", f"topic {i // 2}") for i in range(8)), "faq")


def test_a_search_task_asks_each_question_among_all_different_answers():
    task = search_task(FAQ[:3], FAQ, "help")
    assert list(task.queries.values()) == ["question 0", "question 1", "question 2"]
    assert task.corpus == {f"topic {i}": f"answer {i}" for i in range(4)}
    assert task.qrels["q2"] == {"topic 1": 1} and task.name == "help"


def test_answers_may_be_in_another_language():
    there = Dataset((Pair("anything", "đáp án", "topic 0"),), "vi")
    assert search_task(FAQ[:2], there).corpus == {"topic 0": "đáp án"}


def test_a_question_without_an_answer_is_named():
    with pytest.raises(DataError, match="question 2: no answer has the group 'elsewhere'"):
        search_task([FAQ[0], Pair("lost", "x", "elsewhere")], FAQ)
    with pytest.raises(DataError, match="None"):
        search_task([Pair("no group", "x")], FAQ)


def test_shuffled_pairs_keep_every_text_and_hardly_a_pair():
    rows = Dataset(tuple(Pair(f"a{i}", f"p{i}") for i in range(200)), "many")
    mixed = shuffled(rows)
    assert [pair.anchor for pair in mixed] == [pair.anchor for pair in rows]
    assert sorted(pair.positive for pair in mixed) == sorted(pair.positive for pair in rows)
    assert sum(one.positive == other.positive for one, other in zip(rows, mixed)) < 10
    assert [pair.positive for pair in shuffled(rows, seed=1)] != [pair.positive for pair in mixed]


def test_a_random_wrong_answer_is_never_the_right_one():
    scored = with_random_wrong(FAQ)
    right = {(pair.anchor, pair.positive) for pair in FAQ}
    assert len(scored) == 16 and {row.score for row in scored} == {0.0, 1.0}
    for row in scored:
        assert ((row.sentence1, row.sentence2) in right) == (row.score == 1.0)


def test_pairs_with_one_answer_only_have_no_wrong_one():
    with pytest.raises(DataError, match="same text"):
        with_random_wrong(Dataset((Pair("a", "x"), Pair("b", "x")), "one"))
