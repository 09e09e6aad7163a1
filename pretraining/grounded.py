"""Chats made by rule from real text: copy any span exactly, and tell what a person wants.

What is asked is made up, what it is asked about is not: spans of running text in English or Vietnamese (`copying`), and
questions that people really asked, with labels in words (`wishes`). `named` is tasks.py with the things in its sentences
named by noun phrases of real text, so that a model cannot know them by heart and has to copy. Wordings: grounded.toml.
"""

import json
import random
import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import tasks
from tasks import Chat, lay_out

MARKS = ("[{}]", "<<{}>>", "*{}*", "«{}»", "__{}__", "({})")
PHRASE = {
    "en": re.compile(
        r"\b(?:the|a|an|my|his|her|their|our|your|this) ((?:[a-z]{3,} ){0,2}[a-z]{3,})"
        r"(?=[,.;:!?]| (?:of|in|on|at|with|and|was|is|that|which|from|to|for) )"
    ),
    "vi": re.compile(r"\b(?:chiếc|cái|một|các|những|loại|bộ|con|chương trình) ((?:[^\W\d_]+ ){1,2}[^\W\d_]+)(?=[,.;:!?)])"),
}
LOOSE = {"and", "the", "that", "which", "who", "very", "not", "for", "with", "are", "was", "were", "has", "had", "have", "into"}


@cache
def wordings(language: str) -> dict:
    return tasks._lists(tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))[language])


def phrases(language: str, texts: Iterable[str], most: int = 30_000) -> list[str]:
    """Different noun phrases of one to three words, in the order of the text.

    >>> phrases("en", ["She saw the old stone bridge, and a boat on the river."])
    ['old stone bridge', 'boat', 'river']
    """
    found: dict[str, None] = {}
    for text in texts:
        for phrase in PHRASE[language].findall(text):
            if not LOOSE & set(phrase.split()) and phrase == phrase.lower():
                found[phrase] = None
        if len(found) >= most:
            break
    return list(found)


def sentences(texts: Iterable[str]) -> Iterator[str]:
    """Sentences of 5 to 30 words without quotation marks."""
    for text in texts:
        for one in re.split(r"(?<=[.!?])\s+|\n+", text):
            if 5 <= len(one.split()) <= 30 and len(one) < 240 and one.count('"') == 0:
                yield one.strip()


# --- copying ---------------------------------------------------------------------------------------------------------


def copying(language: str, lines: list[str], seed: int) -> Iterator[Chat]:
    """Chats without end whose answers are spans of the lines, copied exactly."""
    rng, ask, w = random.Random(f"copying {language} {seed}"), wordings(language), tasks.words(language)
    kinds = {_after: 4, _between: 3, _repeat: 2, _marked: 3, _missing: 3, _holds: 2, _ends: 1, _record: 5}
    while True:
        instruction, text, answer = rng.choices(list(kinds), list(kinds.values()))[0](rng, ask, lines)
        yield lay_out(rng, w, instruction, [text], [answer])


def _cut(rng: random.Random, line: str, most: int) -> tuple[str, str, str]:
    """What stands before, in, and after a span of a line; before and after are never empty."""
    words = line.split()
    size = rng.randint(1, min(most, len(words) - 2))
    at = rng.randint(1, len(words) - size - 1)
    return " ".join(words[:at]), " ".join(words[at : at + size]), " ".join(words[at + size :])


def _after(rng, ask, lines):
    line = rng.choice(lines)
    before, span, _ = _cut(rng, line, 4)
    mark = " ".join(before.split()[-rng.choice([1, 2, 2, 3]) :])
    if f" {line} ".count(f" {mark} ") != 1:
        return _after(rng, ask, lines)
    return _said(rng, ask["after"], x=mark, k=len(span.split())), line, span


def _between(rng, ask, lines):
    line = rng.choice(lines)
    before, span, after = _cut(rng, line, 6)
    x, y = " ".join(before.split()[-2:]), " ".join(after.split()[:2])
    if f" {line} ".count(f" {x} ") != 1 or f" {line} ".count(f" {y} ") != 1:
        return _between(rng, ask, lines)
    return _said(rng, ask["between"], x=x, y=y), line, span


def _repeat(rng, ask, lines):
    line = rng.choice(lines)
    return rng.choice(ask["repeat"]), line, line


def _marked(rng, ask, lines):
    before, span, after = _cut(rng, rng.choice(lines), 5)
    return rng.choice(ask["marked"]), f"{before} {rng.choice(MARKS).format(span)} {after}", span


def _missing(rng, ask, lines):
    line = rng.choice(lines)
    before, span, after = _cut(rng, line, 3)
    gap = rng.choice([" ", " ... ", " ___ "])
    return rng.choice(ask["missing"]), f"{line}\n{before}{gap}{after}", span


def _holds(rng, ask, lines):
    three = rng.sample(lines, 3)
    line = rng.choice(three)
    span = _cut(rng, line, 3)[1]
    if sum(span in one for one in three) != 1:
        return _holds(rng, ask, lines)
    return _said(rng, ask["holds"], x=span), "\n".join(three), line


def _ends(rng, ask, lines):
    line = rng.choice(lines)
    keys = rng.sample(ask["keys"], 2)
    words = line.split()
    answer = dict(zip(keys, (words[0], words[-1]), strict=True))
    return _said(rng, ask["ends"], labels=", ".join(keys)), line, json.dumps(answer, ensure_ascii=False)


def _record(rng, ask, lines):
    """Lines "key: span"; all of them as JSON, or one value."""
    keys = rng.sample(ask["keys"], rng.randint(2, 5))
    spans = [_cut(rng, rng.choice(lines), 4)[1].strip(".,;:!?()\"'") or "0" for _ in keys]
    sign = rng.choice([": ", " = ", " - ", ": "])
    text = "\n".join(f"{key}{sign}{span}" for key, span in zip(keys, spans, strict=True))
    if rng.random() < 0.5:
        at = rng.randrange(len(keys))
        return _said(rng, ask["cell"], x=keys[at]), text, spans[at]
    return rng.choice(ask["record"]), text, json.dumps(dict(zip(keys, spans, strict=True)), ensure_ascii=False)


def _said(rng: random.Random, wordings: list[str], **values) -> str:
    return rng.choice(wordings).format(**values)


# --- wishes ----------------------------------------------------------------------------------------------------------


def wishes(rows: list[dict], seed: int) -> Iterator[Chat]:
    """Chats without end about what people asked for: which label, the same or not, in other words."""
    rng, ask, w = random.Random(f"wishes {seed}"), wordings("en"), tasks.words("en")
    groups: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["label"]), []).append(row)
    near: dict[str, list[tuple[str, str]]] = {}
    for group in groups:
        near.setdefault(group[0], []).append(group)

    def others(group: tuple[str, str], count: int) -> list[tuple[str, str]]:
        """Other groups, most of them of the same set."""
        pool = near[group[0]] if rng.random() < 0.8 else list(groups)
        picked = [one for one in rng.sample(pool, min(len(pool), count + 1)) if one[1] != group[1]]
        return picked[:count]

    while True:
        group = rng.choice(list(groups))
        row, kind = rng.choice(groups[group]), rng.choices("sort want json same nearest again".split(), [38, 20, 14, 9, 11, 8])[0]
        style = rng.choice([str, str, str.capitalize, lambda name: name.replace(" ", "_")])
        if kind in ("sort", "json"):
            labels = [style(name) for _, name in (group, *others(group, rng.randint(2, 9)))]
            listed, label = tasks.either(rng, w, rng.sample(labels, len(labels))), style(group[1])
        if kind == "sort":
            yield lay_out(rng, w, _said(rng, ask["sort"], labels=listed), [row["text"]], [label])
        elif kind == "want":
            yield lay_out(rng, w, rng.choice(ask["want"]), [row["text"]], [group[1]])
        elif kind == "json":
            key, detail = rng.choice(ask["names"]), rng.choice(ask["values"])
            answer, asked = {key: label}, f"{key} ({listed})" if rng.random() < 0.5 else key
            if row["value"] or rng.random() < 0.4:
                answer[detail], asked = row["value"], f"{asked}, {detail}"
            instruction = _said(rng, ask["want_json"], labels=asked)
            yield lay_out(rng, w, instruction, [row["text"]], [json.dumps(answer, ensure_ascii=False)])
        elif kind == "same":
            same = rng.random() < 0.5
            other = rng.choice(groups[group if same else rng.choice(others(group, 3))])
            text = f"{row['text']}\n{other['text']}"
            yield lay_out(rng, w, rng.choice(ask["same"]), [text], [ask["yes"][0 if same else 1]])
        elif kind == "nearest":
            found = [group, *others(group, 3)]
            order = rng.sample(found, len(found))
            listing = "\n".join(f"{at}. {rng.choice(groups[one])['text']}" for at, one in enumerate(order, 1))
            yield lay_out(rng, w, rng.choice(ask["nearest"]), [f"{row['text']}\n{listing}"], [str(order.index(group) + 1)])
        else:
            yield lay_out(rng, w, rng.choice(ask["again"]), [row["text"]], [rng.choice(groups[group])["text"]])


# --- tasks with real names -------------------------------------------------------------------------------------------


def named(language: str, found: list[str], seed: int) -> Iterator[Chat]:
    """The chats of tasks.py, half of whose things are called by phrases of real text."""
    w = tasks.words(language)
    nouns = w["slots"]["noun"]
    mixed = nouns * max(1, len(found) // len(nouns)) + found
    yield from tasks.conversations(language, seed, w | {"slots": w["slots"] | {"noun": mixed}})
