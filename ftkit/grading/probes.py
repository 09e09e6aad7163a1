"""Hidden inputs go in, answers come out as text, and are compared here: nothing of the learner's runs in this process.

An exercise's hidden/hidden.py holds ``PROBES = {question: (inputs, reference)}``: ``inputs(rng)`` gives the lists of
arguments, ``reference(*arguments)`` the right answer.
"""

import builtins
import json
import math
import random
from dataclasses import dataclass

from ftkit.grading.sandbox import Outcome
from ftkit.grading.spec import Exercise, seed_of

STATES = (
    "ok", "too long", "too much output", "the kernel died", "not run: the kernel had died", "not run: the notebook took too long",
)  # fmt: skip
"""What runner.py says of the cell that asks; its other words never reach a learner, who may have put hidden inputs there."""

TOLERANCE = 1e-4
"""Relative and absolute; answers in fp32 are right answers."""


@dataclass(frozen=True)
class Mark:
    """What one question got. ``points`` None: it could not be graded, which is not the same as zero."""

    points: float | None
    status: str
    """"graded", "not answered", "not graded", "unverified" or "to be read"."""
    note: str = ""
    """One sentence for the learner. It never shows a hidden input or a right answer."""


def hidden_calls(exercise: Exercise, secret: bytes) -> dict[str, list[list]]:
    """{question: lists of arguments}, drawn from the secret."""
    found = {}
    for question in exercise.of_kind("probe"):
        inputs, _ = exercise.hidden.PROBES[question.id]
        found[question.id] = inputs(random.Random(seed_of(secret, f"{exercise.name} {question.id}")))
    return found


def job(exercise: Exercise, cells: list[dict], calls: dict[str, list[list]]) -> dict:
    """What runner.py is to do."""
    limits = exercise.limits
    return {
        "cells": cells,
        "probes": [{"id": q.id, "function": q.function, "calls": calls[q.id]} for q in exercise.of_kind("probe")],
        "cell_seconds": limits.cell_seconds,
        "notebook_seconds": limits.notebook_seconds,
        "output_bytes": limits.output_kib * 1024,
    }


def marks(exercise: Exercise, calls: dict[str, list[list]], outcome: Outcome) -> tuple[dict[str, Mark], dict, str]:
    """(a Mark for every probed question, {cell: {"state", "output"}}, what went wrong as a whole or "")."""
    questions = exercise.of_kind("probe")
    said = _object(outcome.output)
    trouble = outcome.ended or ("" if said else "the sandbox said nothing that can be read")
    if trouble:
        note = f"Your notebook could not be graded: {trouble}."
        return {q.id: Mark(None, "not graded", note) for q in questions}, {}, trouble
    cells = {printable(str(k)[:80]): _cell(v) for k, v in list(_dict(said.get("cells")).items())[:500]}
    found = {q.id: _mark(exercise, q, calls[q.id], _dict(_dict(said.get("answers")).get(q.id))) for q in questions}
    return found, cells, "the kernel died" if said.get("died") is True else ""


def _mark(exercise: Exercise, question, calls: list[list], answer: dict) -> Mark:
    state = answer.get("state") if answer.get("state") in STATES else "it failed"  # the words are forged with ease
    got = _list(answer.get("answers"))
    if state.startswith(("the kernel died", "not run")):
        return Mark(None, "not graded", f"{question.function} could not be asked: {state}.")
    if state != "ok" or got is None or len(got) != len(calls):
        return Mark(0.0, "graded", f"{question.function} gave no answer to the hidden inputs: {state}.")
    _, reference = exercise.hidden.PROBES[question.id]
    right = [isinstance(one, dict) and "value" in one and same(reference(*call), one["value"]) for call, one in zip(calls, got)]
    errors = [str(one["error"]) for one in got if isinstance(one, dict) and "error" in one]
    if len(errors) == len(got) and all(one.startswith(("NotImplementedError", "NameError")) for one in errors):
        return Mark(0.0, "not answered", f"{question.function} is not written yet.")
    points = round(question.points * sum(right) / len(right), 2)
    if all(right):
        return Mark(points, "graded", f"{question.function} is right for all {len(right)} hidden inputs.")
    note = f"{question.function} is right for {sum(right)} of {len(right)} hidden inputs."
    return Mark(points, "graded", note + (f" It raised {_kind(errors[0])}." if errors else ""))


def _kind(error: str) -> str:
    """The kind of a built-in exception and nothing else: name and message are the learner's, and could tell a hidden input."""
    name = error.partition(":")[0]
    kind = getattr(builtins, name, None)
    return name if isinstance(kind, type) and issubclass(kind, BaseException) else "an exception"


def same(want, got) -> bool:
    """Whether two JSON values are equal, numbers within TOLERANCE. True is not 1.

    >>> same([1, 2.0], [1.0, 2]), same(1, True), same({"a": None}, {"a": None})
    (True, False, True)
    """
    if isinstance(want, (list, tuple)):
        return isinstance(got, list) and len(want) == len(got) and all(map(same, want, got))
    if isinstance(want, dict):
        return isinstance(got, dict) and want.keys() == got.keys() and all(same(want[k], got[k]) for k in want)
    if isinstance(want, bool) or want is None or isinstance(want, str):
        return type(want) is type(got) and want == got
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        return False
    return math.isclose(want, got, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def printable(text: str) -> str:
    """The text without halves of characters, which JSON may hold but no file in UTF-8.

    >>> printable("a\\ud800")
    'a?'
    """
    return text.encode("utf-8", "replace").decode()


def _object(text: bytes) -> dict | None:
    try:
        value = json.loads(text.decode("utf-8", "replace"), parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _list(text) -> list | None:
    try:
        value = json.loads(text, parse_constant=str) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def _dict(value) -> dict:
    return value if isinstance(value, dict) else {}


def _cell(value) -> dict:
    value = _dict(value)
    return {name: printable(str(value.get(name, ""))[:4000]) for name in ("state", "output")}
