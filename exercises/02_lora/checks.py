"""The self-checks of exercise 02: what learners may see. Other inputs decide the points."""

from pathlib import Path

import numpy as np

from ftkit.exercise import need
from ftkit.grading.spec import read_exercise
from ftkit.lang import say


def q1(names):
    count = need(names, "lora_parameters")
    got = count([(3, 5)], 2)
    assert got is not None, "lora_parameters returns nothing; does it end in `return`?"
    assert got != 15, "That is the size of W₀, which LoRA leaves frozen. Count A and B."
    assert got == 16, f"One layer of shape (3, 5) and r = 2: A has 2·5 numbers, B has 3·2, so 16; got {got}."
    assert count([(3, 5), (4, 4)], 2) == 32, "With two layers the counts must be added up."
    assert count([], 8) == 0, "Without layers there is nothing to train: want 0."


def q2(names):
    forward = need(names, "lora_forward")
    w0, a, b, x = np.eye(2), np.array([[1.0, 2.0]]), np.array([[1.0], [3.0]]), np.array([1.0, 1.0])
    got = forward(w0, a, b, x, 1)
    assert got is not None, "lora_forward returns nothing; does it end in `return`?"
    got = np.asarray(got)
    assert got.shape == (2,), f"h must have shape (d_out,), here (2,); got {got.shape}."
    assert not np.allclose(got, [1, 1]), "That is W₀·x alone; the adapter's part is missing."
    assert np.allclose(got, [4, 10]), f"W₀ = I, A = [1 2], B = [1 3]ᵀ, x = [1 1], alpha = 1: want [4, 10]; got {got.tolist()}."
    got = np.asarray(forward(w0, np.tile(a / 2, (2, 1)), np.tile(b, (1, 2)), x, 4))
    assert np.allclose(got, [7, 19]), f"With r = 2 and alpha = 4 the adapter's part counts alpha / r = 2 times; got {got.tolist()}."


def q3(names):
    merge = need(names, "merge")
    rng = np.random.default_rng(0)
    w0, a, b, x = rng.normal(size=(3, 4)), rng.normal(size=(2, 4)), rng.normal(size=(3, 2)), rng.normal(size=4)
    got = merge(w0, a, b, 8)
    assert got is not None, "merge returns nothing; does it end in `return`?"
    got = np.asarray(got)
    assert got.shape == (3, 4), f"W must have the shape of W₀, here (3, 4); got {got.shape}."
    want = w0 @ x + 4 * b @ (a @ x)
    assert np.allclose(got @ x, want), "W·x differs from the forward pass of q2: is the factor alpha / r there?"
    assert np.allclose(merge(w0, a, 0 * b, 8), w0), "With B = 0 nothing may change: want W₀ itself."


def q4(names):
    recipe, run, before, after = (need(names, name, call=False) for name in ("recipe", "run", "before", "after"))
    status = getattr(run, "status", "not there")
    assert status == "succeeded", f"The run is {say(status)}; train to the end."
    gain = after.scores["json_fields"].value - before.scores["json_fields"].value
    assert recipe.seed != 0, "Set seed to a number of your own, so that your weights are yours."
    [measured] = read_exercise(Path(__file__).parent).of_kind("measure")
    first, *_ = bands = [least for least, _ in measured.bands]
    assert gain >= first, f"Your adapter gains {gain:.2f} in json_fields; the first points begin at {first:.2f}. Train on more rows."
    reach = max(least for least in bands if gain >= least)
    return f"On your 60 messages it gains {gain:.2f}, which reaches the band from {reach:.2f}. Hidden messages decide."


def q5(names):
    to_record = need(names, "to_record")
    good = '{"queue": "refund", "priority": "low", "order_id": null, "product": "lamp"}'
    got = to_record(good)
    assert isinstance(got, dict), f"A whole record must come back as a dict; got {got!r}."
    assert got["product"] == "lamp" and got["order_id"] is None, f"The record's values must stay as they are; got {got!r}."
    for reply, why in (
        ("I am sorry", say("no JSON")),
        ('{"queue": "refund"}', say("keys missing")),
        ("[1]", say("a list")),
        (good[:20], say("cut off")),
    ):
        got = to_record(reply)
        assert got is None, f"{reply!r} is not such a record ({why}): want None; got {got!r}."
