"""Writes the ticket data sets into ftkit/datasets from tickets_en.toml and tickets_vi.toml: ``python data/tickets.py``.

A message is one of the 150 or so skeletons of its queue with the slots filled, most with an opener and a closer, some with a
sentence that says how urgent it is. The unseen set is made of other skeletons, products, names, openers and closers.
Priority follows the desk's rule: high if the message says it is urgent, low if it says there is no hurry, else the
queue's own (`USUAL`).
"""

import json
import random
import re
import tomllib
from pathlib import Path

from ftkit.data import write_jsonl

HERE = Path(__file__).parent
DATASETS = HERE.parent / "ftkit" / "datasets"

USUAL = {
    "billing": "high", "damaged_item": "high", "cancel_order": "high", "shipping": "medium", "refund": "medium",
    "account": "medium", "technical": "medium", "product_question": "low",
}  # fmt: skip
SYSTEM = {
    "en": "Read the customer's message. Answer in JSON: queue, priority, order_id, product.",
    "vi": "Đọc tin nhắn của khách. Trả lời bằng JSON: queue, priority, order_id, product.",
}
DAYS = {
    "en": ["yesterday", "on Friday", "last week", "two days ago", "on Monday", "this morning", "three days ago"],
    "vi": ["hôm qua", "thứ sáu tuần trước", "tuần trước", "hai hôm trước", "sáng nay", "hôm thứ hai", "ba ngày trước"],
}


def main(folder: Path = DATASETS) -> None:
    for language in SYSTEM:
        words = tomllib.loads((HERE / f"tickets_{language}.toml").read_text(encoding="utf-8"))
        write_jsonl(folder / f"tickets_{language}.jsonl", rows(words, language, "train", 5000))
        write_jsonl(folder / f"tickets_{language}_unseen.jsonl", rows(words, language, "test", 400))


def rows(words: dict, language: str, part: str, count: int) -> list[dict]:
    """So many different messages, as many from each queue and, within it, from each skeleton."""
    rng = random.Random(f"{language} {part}")
    found: dict[str, dict] = {}
    queues = {queue: sorted(skeletons[part]) for queue, skeletons in words["queues"].items()}
    turn = 0
    while len(found) < count:
        queue = list(USUAL)[turn % len(USUAL)]
        skeleton = queues[queue][turn // len(USUAL) % len(queues[queue])]
        row = message(words, language, part, queue, skeleton, rng)
        found.setdefault(row["messages"][1]["content"], row)
        turn += 1
    shuffled = list(found.values())
    rng.shuffle(shuffled)
    return shuffled


def message(words: dict, language: str, part: str, queue: str, skeleton: str, rng: random.Random) -> dict:
    """One row: the filled skeleton with what stands around it, and the right answer."""
    slots = {
        "product": rng.choice(words["gadgets" if queue == "technical" else "products"][part]),
        "order": order(rng),
        "day": rng.choice(DAYS[language]),
        "amount": amount(language, rng),
        "person": rng.choice(words["people"][part]),
    }
    if language == "en" and slots["product"][0] in "aeiou":
        skeleton = re.sub(r"\b([Aa]) (?=\{product\})", r"\1n ", skeleton)
    body = skeleton.format(**slots)
    if not skeleton[0].islower():
        body = body[0].upper() + body[1:]
    urgency = rng.choices(["urgent", "relaxed", None], [25, 15, 60])[0]
    parts = [body]
    if urgency:
        parts.insert(rng.choices([0, 1], [1, 3])[0], rng.choice(words[urgency][part]))
    parts = [ended(one) for one in parts]
    if rng.random() < 0.7:
        parts.insert(0, rng.choice(words["openers"][part]))
    if rng.random() < 0.5:
        parts.append(rng.choice(words["closers"][part]).format(**slots))
    text = rng.choices([" ", "\n"], [4, 1])[0].join(parts)
    lower = rng.random() < 0.15
    answer = {
        "queue": queue,
        "priority": {"urgent": "high", "relaxed": "low", None: USUAL[queue]}[urgency],
        "order_id": slots["order"] if "{order}" in skeleton else None,
        "product": slots["product"] if "{product}" in skeleton else None,
    }
    if lower:
        text = text.lower()
        answer["order_id"] = answer["order_id"] and answer["order_id"].lower()
    messages = [
        {"role": "system", "content": SYSTEM[language]},
        {"role": "user", "content": text},
        {"role": "assistant", "content": json.dumps(answer, ensure_ascii=False)},
    ]
    return {"messages": messages}


def order(rng: random.Random) -> str:
    """An order number in one of the shop's three forms."""
    letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=2))
    forms = [
        f"#{rng.randint(10_000, 99_999)}",
        f"{letters}-{rng.randint(1000, 9999)}",
        f"{rng.randint(100_000, 999_999)}",
    ]
    return rng.choice(forms)


def amount(language: str, rng: random.Random) -> str:
    """A sum of money: a number that is not the order's."""
    if language == "en":
        return rng.choice([f"${rng.randint(3, 250)}.{rng.randint(0, 99):02}", f"€{rng.randint(5, 400)}"])
    return rng.choice([f"{rng.randint(19, 990)}.000đ", f"{rng.randint(1, 9)},{rng.randint(1, 9)} triệu"])


def ended(sentence: str) -> str:
    return sentence if sentence[-1] in ".?!," else f"{sentence}."


if __name__ == "__main__":
    main()
