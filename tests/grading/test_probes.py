"""Answers are compared here, whatever text comes out of a sandbox."""

import json

import pytest

from ftkit.grading import probes, spec
from ftkit.grading.sandbox import Outcome

EXERCISE = spec.read_exercise("02_lora")
CALLS = probes.hidden_calls(EXERCISE, b"a secret of the course")


def marks(answers, **more):
    return probes.marks(EXERCISE, CALLS, Outcome(json.dumps({"answers": answers, **more}).encode(), ""))


def right(question):
    _, reference = EXERCISE.hidden.PROBES[question]
    return {"state": "ok", "answers": json.dumps([{"value": reference(*call)} for call in CALLS[question]])}


def test_right_answers_have_all_points():
    found, _, trouble = marks({q: right(q) for q in CALLS})
    assert trouble == "" and {q: mark.points for q, mark in found.items()} == {"q1": 2, "q2": 3, "q3": 2, "q5": 2}


@pytest.mark.parametrize("answers", [
    "[]", "null", "{}", "1", "[[[[", '"x"', None, 7, [], {"value": 1}, "[" * 100_000, '[{"value": 1' + "0" * 5000 + "}]", "[1, 2]",
    json.dumps([{"points": 20}] * 8), json.dumps([{"value": True}] * 8),
])  # fmt: skip
def test_anything_else_is_no_answer(answers):
    found, _, _ = marks({"q1": {"state": "ok", "answers": answers}})
    assert found["q1"].points == 0


@pytest.mark.parametrize("output", [b"", b"\xff\xfe", b"[]", b"{" * 100_000, b'{"answers": []}', b'{"answers": {"q1": []}, "cells": 7, "died": "yes"}'])
def test_whatever_is_said_nothing_is_raised(output):
    found, _, _ = probes.marks(EXERCISE, CALLS, Outcome(output, ""))
    assert set(found) == {"q1", "q2", "q3", "q5"} and not any(mark.points for mark in found.values())


def test_a_sandbox_that_was_ended_leaves_blanks():
    found, _, trouble = probes.marks(EXERCISE, CALLS, Outcome(json.dumps({"answers": {q: right(q) for q in CALLS}}).encode(), "it used too much"))
    assert trouble == "it used too much" and all(mark.points is None for mark in found.values())


def test_a_note_never_shows_a_hidden_input():
    found, _, _ = marks({"q5": {"state": "ok", "answers": json.dumps([{"value": reply} for (reply,) in CALLS["q5"]])}})
    assert not [reply for (reply,) in CALLS["q5"] if len(reply) > 10 and reply in found["q5"].note]


@pytest.mark.parametrize("answer", [
    {"state": "ok", "answers": json.dumps([{"error": f"ValueError: {call!r}"} for call in CALLS["q1"]])},
    {"state": "ok", "answers": json.dumps([{"error": f"{call!r}: x"} for call in CALLS["q1"]])},
    {"state": f"not run: {CALLS['q1'][1]!r}", "answers": None},
    {"state": f"ValueError: {CALLS['q1'][1]!r}", "answers": "[]"},
    {"state": [CALLS["q1"][1]], "answers": "[]"},
])  # fmt: skip
def test_neither_an_exception_nor_a_forged_state_carries_a_hidden_input_into_the_feedback(answer):
    found, _, _ = marks({"q1": answer})
    assert not [shapes for shapes, r in CALLS["q1"] if shapes and repr(shapes)[:20] in found["q1"].note], found["q1"].note


def test_the_kind_of_a_built_in_exception_is_told():
    found, _, _ = marks({"q1": {"state": "ok", "answers": json.dumps([{"error": "ZeroDivisionError: division by zero"}] * len(CALLS["q1"]))}})
    assert found["q1"].note.endswith("It raised ZeroDivisionError.")


def test_half_a_character_does_no_harm():
    found, cells, _ = marks({"q1": {"state": "\ud800"}}, cells={"\ud800": {"state": "\ud800", "output": "\ud800"}})
    json.dumps([found["q1"].note, cells], ensure_ascii=False).encode()
