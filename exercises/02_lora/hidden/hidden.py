"""What the learner of exercise 02 never sees: hidden inputs, right answers, and the messages adapters are measured on.

All of it is drawn from the course's secret, which is not in git; without it this file tells nobody the questions.
"""

import json
import tomllib
from pathlib import Path

import numpy as np

from ftkit.grading.spec import load_module

DATA = Path(__file__).parents[3] / "data"


def _shapes(rng):
    """Lists of one to six layers, and one list without any."""
    counts = [0, *(rng.randint(1, 6) for _ in range(7))]
    return [[[[rng.randint(1, 4096), rng.randint(1, 4096)] for _ in range(n)], rng.choice([1, 4, 16, 64])] for n in counts]


def _layer(rng, x: bool):
    """W0, A, B, x and alpha of a small layer; now and then r = 1 or B = 0."""
    out, inner, r = rng.randint(1, 6), rng.randint(1, 6), rng.randint(1, 4)
    draw = np.random.default_rng(rng.getrandbits(32))
    numbers = [draw.normal(size=shape).round(3) for shape in ((out, inner), (r, inner), (out, r), (inner,))]
    if rng.random() < 0.2:
        numbers[2] *= 0
    return [one.tolist() for one in numbers[: 4 if x else 3]] + [rng.choice([1, 8, 16, 32])]


def _replies(rng):
    record = {"queue": rng.choice(["refund", "billing"]), "priority": "high", "order_id": f"#{rng.randint(10**4, 10**5)}", "product": None}
    missing = {key: value for key, value in record.items() if key != rng.choice(list(record))}
    found = [
        json.dumps(record), json.dumps(record, indent=2), json.dumps(missing), json.dumps({**record, "mood": "good"}),
        json.dumps([record]), json.dumps(record)[: rng.randint(5, 30)], "null", "", str(rng.randint(0, 9)),
        f"Sure! {json.dumps(record)}",
    ]  # fmt: skip
    rng.shuffle(found)
    return [[one] for one in found]


def lora_parameters(shapes, r):
    return sum(r * (out + inner) for out, inner in shapes)


def lora_forward(w0, a, b, x, alpha):
    return (np.array(merge(w0, a, b, alpha)) @ np.array(x)).tolist()


def merge(w0, a, b, alpha):
    return (np.array(w0) + alpha / len(a) * np.array(b) @ np.array(a)).tolist()


def to_record(reply):
    try:
        record = json.loads(reply)
    except ValueError:
        return None
    return record if isinstance(record, dict) and set(record) == {"queue", "priority", "order_id", "product"} else None


PROBES = {
    "q1": (_shapes, lora_parameters),
    "q2": (lambda rng: [_layer(rng, x=True) for _ in range(10)], lora_forward),
    "q3": (lambda rng: [_layer(rng, x=False) for _ in range(10)], merge),
    "q5": (_replies, to_record),
}
"""{question: (inputs(rng), the right answer to one of them)}"""

ROWS = 64


def hidden_rows(rng) -> list[dict]:
    """Messages that adapters are measured on: half from the wordings of the training set, half from the unseen ones."""
    tickets = load_module(DATA / "tickets.py", "ftkit_data_tickets")
    words = tomllib.loads((DATA / "tickets_en.toml").read_text(encoding="utf-8"))
    queues = list(tickets.USUAL)
    found = []
    for number in range(ROWS):
        part, queue = ("train", "test")[number % 2], queues[number // 2 % len(queues)]
        skeleton = rng.choice(sorted(words["queues"][queue][part]))
        found.append(tickets.message(words, "en", part, queue, skeleton, rng))
    return found
