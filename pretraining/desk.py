"""Chats made by rule about messages to a shop's help desk: what is it about, which thing, which number, is there a hurry.

The sentences in desk_en.toml and desk_vi.toml were written for the kit, the lessons' unseen tickets out of sight. Labels, keys
and instructions change from chat to chat and are never those of the lessons' tickets, so that a model learns what such
messages are about, and still cannot answer the lessons' question before it is fine-tuned.
"""

import json
import random
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import tasks
from tasks import Chat, lay_out


@cache
def wordings(language: str) -> dict:
    return tasks._lists(tomllib.loads(Path(__file__).with_name(f"desk_{language}.toml").read_text(encoding="utf-8")))


def conversations(language: str, seed: int) -> Iterator[Chat]:
    """Chats without end; every answer is right by construction."""
    rng, w, base = random.Random(f"desk {language} {seed}"), wordings(language), tasks.words(language)
    while True:
        topic = rng.choice(list(w["topics"]))
        text, facts = message(rng, w, base, language, topic)
        kind = rng.choices(["sort", "record", "which", "same"], [28, 50, 14, 8])[0]
        if kind == "same":
            other = topic if rng.random() < 0.5 else rng.choice([one for one in w["topics"] if one != topic])
            text = f"{text}\n\n{message(rng, w, base, language, other)[0]}"
            answer = w["yes"][0 if other == topic else 1]
            yield lay_out(rng, base, rng.choice(w["same"]), [text], [answer])
        elif kind == "which":
            yield lay_out(rng, base, rng.choice(w["which"]), [text], [facts["thing"] or w["none"][0]])
        else:
            label, listed = labelled(rng, w, base, topic)
            if kind == "sort":
                instruction = rng.choice(w["sort"]).format(labels=listed) if listed else rng.choice(w["name"])
                yield lay_out(rng, base, instruction, [text], [label])
                continue
            record = {rng.choice(w["about"]): label}
            asked = [f"{key} ({listed})" if listed else key for key in record]
            for fact in rng.sample(["thing", "number", "hurry"], rng.randint(1, 3)):
                key = rng.choice(w[f"{fact}_key"])
                values = f" ({'/'.join(w['hurry_values'])})" if fact == "hurry" else ""
                record[key], asked = facts[fact], [*asked, key + values]
            order = rng.sample(range(len(asked)), len(asked))
            record = {list(record)[at]: list(record.values())[at] for at in order}
            instruction = rng.choice(w["record"]).format(labels=", ".join(asked[at] for at in order))
            yield lay_out(rng, base, instruction, [text], [json.dumps(record, ensure_ascii=False)])


def labelled(rng: random.Random, w: dict, base: dict, topic: str) -> tuple[str, str]:
    """(the topic's label in this chat, all the labels that are offered); its first label if none is offered."""
    if rng.random() < 0.4:
        return w["topics"][topic]["labels"][0], ""
    others = [one for one in w["topics"] if one != topic]
    topics = [topic, *rng.sample(others, rng.choice([2, 3, 4, 5, 6, 7, 7]))]
    rng.shuffle(topics)
    style = rng.choice([str, str, str, str.capitalize, str.upper, lambda name: name.replace(" ", "_")])
    names = {one: style(rng.choice(w["topics"][one]["labels"])) for one in topics}
    if rng.random() < 0.15:
        signs = rng.choice(["ABCDEFGH", "12345678"])
        return signs[topics.index(topic)], ", ".join(f"{sign} = {names[one]}" for sign, one in zip(signs, topics, strict=False))
    return names[topic], tasks.either(rng, base, list(names.values()))


def message(rng: random.Random, w: dict, base: dict, language: str, topic: str) -> tuple[str, dict]:
    """(a message, its thing, number and hurry; None for what it does not say)."""
    line = rng.choice(w["topics"][topic]["lines"])
    slots = {
        "product": thing(rng, w, "devices" if topic == "technical" else "things"),
        "order": tasks.draw(rng, base, "code") if rng.random() < 0.5 else number(rng),
        "day": rng.choice(w["days"]),
        "amount": amount(language, rng),
        "person": rng.choice(w["people"]),
    }
    if language == "en" and slots["product"][0] in "aeiou":
        line = re.sub(r"\b([Aa]) (?=\{product\})", r"\1n ", line)
    hurry = rng.choices([0, 1, None], [25, 20, 55])[0]
    body = line.format(**slots)
    parts = [ended(body if line[0].islower() else tasks.capital(body))]
    if hurry is not None:
        parts.insert(rng.choice([0, 1, 1]), ended(rng.choice(w[("hurried", "calm")[hurry]])))
    if rng.random() < 0.5:
        parts.insert(0, rng.choice(w["openers"]))
    if rng.random() < 0.4:
        parts.append(rng.choice(w["closers"]).format(**slots))
    text = rng.choice([" ", " ", " ", "\n"]).join(parts)
    facts = {
        "thing": slots["product"] if "{product}" in line else None,
        "number": slots["order"] if "{order}" in line else None,
        "hurry": None if hurry is None else w["hurry_values"][hurry],
    }
    if rng.random() < 0.15:
        text = text.lower()
        facts |= {name: facts[name] and facts[name].lower() for name in ("thing", "number")}
    return text, facts


def ended(text: str) -> str:
    return text if text[-1] in ".?!…" else f"{text}."


def thing(rng: random.Random, w: dict, kind: str) -> str:
    """A name as it stands in the list, or made of two."""
    if rng.random() < 0.6:
        return rng.choice(w[kind])
    first, last = (rng.choice(w[kind]).split() for _ in range(2))
    return " ".join([*first[: rng.choice([1, 1, 2])], *last[-rng.choice([1, 1, 2]) :]])


def number(rng: random.Random) -> str:
    """Digits and letters as shops write them."""
    digits = "".join(rng.choices("0123456789", k=rng.randint(4, 8)))
    letters = "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=rng.randint(1, 3)))
    return rng.choice(["{0}", "{0}", "#{0}", "{1}-{0}", "{1}{0}", "{0}-{1}", "{0}/{1}"]).format(digits, letters)


def amount(language: str, rng: random.Random) -> str:
    if language == "vi":
        value = f"{rng.randint(20, 4000) * 1000:,}".replace(",", ".")
        return rng.choice([f"{value}đ", f"{value} đồng", f"{value} VND"])
    value = f"{rng.randint(3, 900)}.{rng.randint(0, 99):02}"
    return rng.choice([f"${value}", f"{value} dollars", f"£{value}", f"{value} EUR"])
