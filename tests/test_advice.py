"""The decision tree, all of it."""

from itertools import product
from pathlib import Path

import pytest

from ftkit.advice import LEAVES, LESSONS, Advice, advise
from ftkit.errors import FtkitError

YES_NO = ("behaviour", "facts_change", "rag", "search_misses", "prompted", "few_shot", "budget", "private")
EVERY_CASE = [
    dict(zip(YES_NO, answers), examples=examples, gpu_gib=gpu)
    for *answers, examples, gpu in product(*[(False, True)] * len(YES_NO), (0, 49, 50, 5_000), (0, 16, 24, 80))
]


def test_every_combination_ends_in_one_leaf_with_reasons_a_step_and_a_lesson():
    assert len(EVERY_CASE) == 2**8 * 16
    for case in EVERY_CASE:
        found = advise(**case)
        assert isinstance(found, Advice) and found.choice in LEAVES
        assert len(found.reasons) >= 2 and found.next_step and found.lesson in LESSONS.values()
        assert found == advise(**case)


def test_every_lesson_named_is_there_or_said_not_to_be():
    for number, lesson in LESSONS.items():
        (written,) = (Path(__file__).parents[1] / "lessons").glob(f"{number}_*.ipynb")
        assert lesson == f"lessons/{written.name}"


def test_every_leaf_can_be_reached():
    assert {advise(**case).choice for case in EVERY_CASE} == set(LEAVES)


def test_facts_that_change_are_never_trained_in():
    for case in EVERY_CASE:
        if case["facts_change"] and not case["rag"]:
            assert advise(**case).choice == "rag"


def test_nothing_is_trained_before_prompt_and_few_shot_were_tried_nor_without_examples():
    for case in EVERY_CASE:
        if advise(**case).choice in ("hosted", "small", "qlora", "lora"):
            assert case["behaviour"] and case["prompted"] and case["few_shot"] and case["budget"] and case["examples"] >= 50


def test_private_data_is_never_sent_away():
    assert not [case for case in EVERY_CASE if case["private"] and advise(**case).choice == "hosted"]


@pytest.mark.parametrize(
    ("case", "choice"),
    [
        ({}, "prompt"),
        ({"prompted": True}, "keep"),
        ({"facts_change": True, "behaviour": True, "prompted": True}, "rag"),
        ({"facts_change": True, "rag": True, "search_misses": True}, "embed"),
        ({"behaviour": True, "prompted": True}, "few-shot"),
        ({"behaviour": True, "prompted": True, "few_shot": True, "examples": 49}, "collect"),
        ({"behaviour": True, "prompted": True, "few_shot": True, "examples": 50}, "hosted"),
        ({"behaviour": True, "prompted": True, "few_shot": True, "examples": 50, "private": True}, "small"),
        ({"behaviour": True, "prompted": True, "few_shot": True, "examples": 50, "gpu_gib": 16}, "qlora"),
        ({"behaviour": True, "prompted": True, "few_shot": True, "examples": 50, "gpu_gib": 24}, "lora"),
        ({"behaviour": True, "prompted": True, "few_shot": True, "examples": 50, "budget": False}, "keep"),
    ],
    ids=str,
)
def test_the_cases_of_the_lesson(case, choice):
    assert advise(**case).choice == choice


def test_every_answer_can_change_the_advice():
    """A question that changes nothing should not be asked."""
    seen = {tuple(case.items()): advise(**case).choice for case in EVERY_CASE}
    for name in (*YES_NO, "examples", "gpu_gib"):
        others = {}
        for case, choice in seen.items():
            others.setdefault(tuple(item for item in case if item[0] != name), set()).add(choice)
        assert any(len(choices) > 1 for choices in others.values()), name


def test_the_reasons_say_what_was_answered():
    found = advise(behaviour=True, prompted=True, few_shot=True, examples=120, gpu_gib=80)
    assert "You have 120 examples, time and money." in found.reasons and "Your GPU has 80 GiB." in found.reasons
    assert found.title in str(found) and "02_lora" in found._repr_html_() and "<li>" in found._repr_html_()
    with pytest.raises(FtkitError, match="must be 0 or more; got -1"):
        advise(examples=-1)
