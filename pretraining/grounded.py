"""Chats made by rule from real text: copy any span exactly, and tell what a person wants.

What is asked is made up, what it is asked about is not: spans of running text in English or Vietnamese (`copying`), and
questions that people really asked, with labels in words (`wishes`). `named` is tasks.py with the things in its sentences
named by noun phrases of real text, so that a model cannot know them by heart and has to copy; `things` does the same to what
people said, and asks which thing they spoke of. Wordings: grounded.toml.
"""

import json
import random
import re
import tomllib
from collections import Counter
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
NAMED = {
    "en": re.compile(
        r"\b(?:the|a|an|my|our|this|that|your|his|her|their|these|those) ((?:[a-z]{3,} ){0,2}[a-z]{3,})"
        r"(?=[,.;:!?]|$| (?:of|in|on|at|with|and|was|is|that|which|from|to|for|i|has|but|because|when|you|we|did|are|were|by|after|before|again)\b)"
    ),
    "vi": re.compile(
        r"\b(?:chiếc|cái|bộ|con|cuốn|quyển|đôi|tấm) ((?:[^\W\d_]+ )?[^\W\d_]+)"
        r"(?=[,.;:!?)]|$| (?:của|tôi|mình|em|anh|chị|bị|đã|vẫn|có|không|là|thì|mà|ở|trong|với|và|này|đó|ấy|cho|từ|đang|sẽ|để)\b)"
    ),
}
"""Where a person names a thing: after one of these words, before one of those."""
DETERMINED = re.compile(r"\b(?:the|an?|my|our|this|that|your|his|her|their|chiếc|cái|bộ|con|cuốn|quyển|đôi|tấm)\b", re.IGNORECASE)
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


FORMS = {
    "json": lambda items: json.dumps(items, ensure_ascii=False), "lines": "\n".join, "commas": ", ".join, "spaces": " ".join,
    "slashes": "/".join, "brackets": lambda items: " ".join(f"({item})" for item in items),
    "quotes": lambda items: " ".join(f'"{item}"' for item in items), "bullets": lambda items: "\n".join(f"- {item}" for item in items),
}  # fmt: skip


def lists(language: str, texts: Iterable[str], seed: int) -> Iterator[Chat]:
    """Chats without end that write words which do not belong together, common and rare ones, in another form."""
    rng, ask, w = random.Random(f"lists {language} {seed}"), wordings(language), tasks.words(language)
    counts = Counter(word for text in texts for word in re.findall(r"[^\W\d_]{2,}", text.lower()))
    words = [word for word, count in counts.most_common(20_000) if count > 2]
    while True:
        count = rng.randint(1, 12)
        items = [rng.choice(words[:4000] if rng.random() < 0.5 else words) for _ in range(count)]
        if rng.random() < 0.3:
            items = [f"{one} {rng.choice(words)}" if rng.random() < 0.6 else one for one in items]
        if rng.random() < 0.15:
            items = [item.capitalize() for item in items]
        apart = [form for form in FORMS if form not in ("spaces", "slashes") or not any(" " in item for item in items)]
        before, after = rng.sample(apart, 2) if rng.random() < 0.4 else (rng.choice(apart), "json")
        yield lay_out(rng, w, rng.choice(ask[f"to_{after}"]), [FORMS[before](items)], [FORMS[after](items)])


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


# --- which thing -----------------------------------------------------------------------------------------------------


def things(language: str, lines: Iterable[str], found: list[str], seed: int) -> Iterator[Chat]:
    """Chats without end about lines whose one named thing is another now: a phrase of real text, or two that never met."""
    rng, ask, w = random.Random(f"things {language} {seed}"), wordings(language), tasks.words(language)
    lines = list(lines)
    frames = [(line[: hit.start(1)], line[hit.end(1) :]) for line in lines if (hit := _only(NAMED[language], line))]
    without = [line for line in lines if not DETERMINED.search(line)]
    words = sorted({word for phrase in found for word in phrase.split()})
    while True:
        thing = rng.choice(found) if rng.random() < 0.5 else " ".join(rng.sample(words, rng.choice([1, 2, 2, 3])))
        if rng.random() < 0.12:
            thing, text = None, rng.choice(without)
        else:
            before, after = rng.choice(frames)
            if language == "en":
                before = re.sub(r"\b([Aa])n? $", r"\1n " if thing[0] in "aeiou" else r"\1 ", before)
            text = before + thing + after
        code = tasks.draw(rng, w, "code") if rng.random() < 0.35 else None
        if code:
            parts = [text if text[-1] in ".?!" else f"{text}.", _said(rng, ask["numbered"], x=code)]
            text = " ".join(parts if rng.random() < 0.6 else parts[::-1])
        if rng.random() < 0.3:
            text = f"{text} {rng.choice(without)}" if rng.random() < 0.5 else f"{rng.choice(without)} {text}"
        if rng.random() < 0.15:
            text, thing, code = text.lower(), thing and thing.lower(), code and code.lower()
        if thing and rng.random() < 0.25:
            yield lay_out(rng, w, rng.choice(ask["which"]), [text], [thing])
            continue
        answer = {rng.choice(ask["thing"]): thing}
        if rng.random() < 0.5:
            answer[rng.choice(ask["code"])] = code
        keys = rng.sample(list(answer), len(answer))
        instruction = _said(rng, ask["fields"], labels=", ".join(keys))
        yield lay_out(rng, w, instruction, [text], [json.dumps({key: answer[key] for key in keys}, ensure_ascii=False)])


def _only(pattern: re.Pattern, line: str) -> re.Match | None:
    """The only match in a line whose words are none of LOOSE; None if there are more, or none."""
    hits = list(pattern.finditer(line))
    return hits[0] if len(hits) == 1 and not LOOSE & set(hits[0][1].split()) else None
