"""Chats made by rule for pretraining: follow a turn, copy spans exactly, answer in JSON, classify, answer briefly.

Every answer is right by construction. The words and sentence skeletons stand in words_en.toml and words_vi.toml, whose
heads say how they are read; here stands what is done with them.
"""

import json
import random
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

Chat = list[dict]
Words = dict
SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
BARE = re.compile(r"\{[^}]+\}\.?")  # a turn that is nothing but a value
AN = re.compile(r"((?<![\w'.-])a|^A) (?=[aeiou])")  # "a old hat" becomes "an old hat"
UPPER, LOWER, DIGITS = "ABCDEFGHKLMNPQRSTVXYZ", "abcdefghkmnpqrstvxyz", "0123456789"

NEAR = ("date weekday due", "place city address", "price amount rent fee", "band soloist", "room room_word")
"""Roles so close that none of them is asked for (and called absent) where another one stands in the text."""


# --- words and skeletons ---------------------------------------------------------------------------------------------


@cache
def words(language: str) -> Words:
    """The word lists of a language."""
    found = _lists(tomllib.loads(Path(__file__).with_name(f"words_{language}.toml").read_text("utf-8")))
    return found if language == "en" else {"tongue": words("en")["tongue"]} | found


def _lists(value: str | dict) -> list[str] | dict:
    """Every string as a list: one entry a line, or, where it is a single line, one entry a comma."""
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    entries = value.strip().split("\n") if "\n" in value else value.split(", ")
    return [entry.strip() for entry in entries if entry.strip()]


@cache
def _pieces(template: str) -> list[str | None]:
    return SLOT.split(template)  # text, role, slot, text, role, slot, ..., text


def fill(rng: random.Random, w: Words, template: str, values: dict | None = None) -> str:
    """The template with its slots filled. `values` collects what each role got; a role that is in it keeps its value."""
    values = {} if values is None else values
    pieces = _pieces(template)
    out = [pieces[0]]
    for at in range(1, len(pieces), 3):
        role, slot = pieces[at], pieces[at + 1] or pieces[at]
        if role not in values:
            values[role] = draw(rng, w, slot, values.values())
        out += values[role], pieces[at + 2]
    text = "".join(out)
    return AN.sub(r"\1n ", text) if w["language"] == ["en"] else text


def draw(rng: random.Random, w: Words, slot: str, not_in=()) -> str:
    """A new value for a slot: from a range of numbers, a shape of code, or a list of words."""
    for _ in range(20):
        entry = rng.choice(w["slots"][slot])
        if slot in w["ranges"]:
            low, high = entry.split("..")
            value = str(rng.randint(int(low), int(high)))
        elif slot in w["shapes"]:
            value = "".join(rng.choice({"@": UPPER, "&": LOWER, "9": DIGITS}.get(sign, sign)) for sign in entry)
        else:
            value = fill(rng, w, entry)
        if value not in not_in:
            break
    return value


def distinct(rng: random.Random, w: Words, slot: str, count: int) -> list[str]:
    """`count` different values of a slot."""
    found: list[str] = []
    for _ in range(count):
        found.append(draw(rng, w, slot, found))
    return found


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def plain_letters(text: str) -> str:
    """Without Vietnamese marks."""
    apart = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


# --- chats -----------------------------------------------------------------------------------------------------------


def turn(role: str, content: str) -> dict:
    return {"role": role, "content": content}


def lay_out(rng: random.Random, w: Words, instruction: str, texts: list[str], answers: list[str]) -> Chat:
    """The instruction in the system turn, or together with the (first) text in the user turn."""
    if rng.random() < 0.37:
        chat, first = [turn("system", instruction)], texts[0]
    else:
        head, text = rng.choice(w["ask"]["head"]), texts[0]
        joint = rng.choice(["\n", "\n\n"])
        shown = rng.choice([text, text, f"{head}: {text}", f'"{text}"', f"{head}:\n{text}"])
        first = rng.choice([instruction + joint + shown, instruction + joint + shown, shown + joint + instruction])
        if "\n" not in instruction + text and rng.random() < 0.15:
            first = f"{instruction} {shown}"
        chat = []
    for text, answer in zip([first, *texts[1:]], answers, strict=True):
        chat += turn("user", text), turn("assistant", answer)
    return chat


def talk(rng: random.Random, w: Words, exchanges: list[tuple[str, str]], system: list[str] | None = None) -> Chat:
    """Questions and answers, now and then under a general system message."""
    chat = [turn("system", rng.choice(system or w["ask"]["system"]))] if rng.random() < 0.3 else []
    for question, answer in exchanges:
        chat += turn("user", question), turn("assistant", answer)
    return chat


def how_many(rng: random.Random) -> int:
    return rng.choices([1, 2, 3], [75, 17, 8])[0]


def either(rng: random.Random, w: Words, names: list[str]) -> str:
    """Labels as a list in an instruction."""
    style = rng.randrange(5)
    if style == 0:
        return " | ".join(names)
    if style == 1:
        return "/".join(names)
    if style == 2 and len(names) > 1:
        return ", ".join(names[:-1]) + f" {w['ask']['or'][0]} {names[-1]}"
    return ", ".join(names)


def naming(rng: random.Random, w: Words, ids: list[str]) -> dict[str, str]:
    """How the labels are written in this chat, the same way for all of them."""
    own, which = rng.random() < 0.6, rng.randrange(3)
    shown = {one: w["labels"][one][which % len(w["labels"][one])] if own and one in w["labels"] else one for one in ids}
    space = rng.choice([" ", " ", "_"])
    style = rng.choices([str.lower, capital, str.upper], [70, 20, 10])[0]
    return {one: style(name.replace("_", space)) for one, name in shown.items()}


def key_names(rng: random.Random, w: Words, roles: list[str]) -> list[str]:
    """The names of the keys in this chat: words, snake_case, camelCase; in Vietnamese also with or without marks."""
    own, style = rng.random() < 0.65, rng.randrange(6)
    names = []
    for role in roles:
        name = rng.choice(w["keys"][role]) if own and role in w["keys"] else role.replace("_", " ")
        if style in (0, 1, 2):
            name = plain_letters(name).replace(" ", "_")
        elif style == 3:
            name = plain_letters(name).title().replace(" ", "")
            name = name[0].lower() + name[1:]
        elif style == 4:
            name = capital(name)
        names.append(name)
    return names


# --- 1: from a text to JSON ------------------------------------------------------------------------------------------


@cache
def _roles(language: str, domain: str) -> list[str]:
    """The roles that occur in any skeleton of a domain."""
    skeletons = [line for lines in words(language)["domain"][domain].values() for line in lines]
    return sorted({piece for line in skeletons for piece in _pieces(line)[1::3]})


def message(rng: random.Random, w: Words, domain: str, mood: str = "", kind: str = "") -> tuple[str, str, dict]:
    """A text of a domain, its kind, and the value of every role in it; with a mood, a last sentence that shows it."""
    calm = [one for one in w["domain"][domain] if not mood or one not in w["ask"]["loaded"]]
    kind = kind or rng.choice(calm)
    values: dict[str, str] = {}
    text = fill(rng, w, rng.choice(w["domain"][domain][kind]), values)
    if rng.random() < 0.2:
        text = rng.choice(w["ask"]["opener"]) + " " + text
    if mood:
        text += " " + fill(rng, w, rng.choice(w["mood"][mood]))
    elif rng.random() < 0.35:
        before, after = rng.sample(w["ask"]["filler"], 2)
        text = rng.choice([f"{text} {after}", f"{before} {text}", f"{before} {text} {after}"])
    if rng.random() < 0.15:
        text += " " + rng.choice(w["ask"]["closer"])
    if rng.random() < 0.12:
        text, values = text.lower(), {role: value.lower() for role, value in values.items()}
    if rng.random() < 0.1:
        text = text.rstrip(".")
    return text, kind, values


def fair(role: str, values: dict) -> bool:
    """Whether a role is in the text, or clearly absent from it."""
    return role in values or not any(
        near in values for group in NEAR if role in group.split() for near in group.split()
    )


def extract(rng: random.Random, w: Words) -> Chat:
    """Copied and classified keys of one to three texts."""
    domain = rng.choice(list(w["domain"]))
    kinds = [one for one in w["domain"][domain]]
    classified = rng.choices(
        [[], ["kind"], ["mood"], ["topic"], ["kind", "mood"], ["topic", "kind"]], [50, 22, 9, 9, 5, 5]
    )[0]
    if "mood" in classified and all(one in w["ask"]["loaded"] for one in kinds):
        classified = ["kind"]
    count = how_many(rng)
    moods = [rng.choice(list(w["mood"])) if "mood" in classified else "" for _ in range(count)]
    samples = [message(rng, w, domain, mood) for mood in moods]
    here = list(samples[0][2])
    absent = [role for role in _roles(w["language"][0], domain) if role not in here and fair(role, samples[0][2])]
    wanted = rng.choice([1, 2, 2, 3, 3, 4]) if not classified else rng.choice([0, 1, 1, 2, 2])
    fields: list[str] = list(classified)
    for _ in range(wanted):
        pool = here if here and (rng.random() < 0.8 or not absent) else absent
        if pool:
            fields.append(pool.pop(rng.randrange(len(pool))))
    rng.shuffle(fields)
    kept = [one for one in zip(samples, moods, strict=True) if all(fair(field, one[0][2]) for field in fields)]
    choices, shown = {}, {}
    for field in classified:
        if field == "topic":
            ids = [domain, *rng.sample([one for one in w["domain"] if one != domain], rng.randint(1, 4))]
        else:
            ids = kinds if field == "kind" else list(w["mood"])
        names = naming(rng, w, ids)
        shown[field] = names
        choices[field] = rng.sample(list(names.values()), len(names))
    names = key_names(rng, w, fields)
    if len(set(names)) < len(names):
        names = [field.replace("_", " ") for field in fields]
    instruction = _schema(rng, w, {name: choices.get(field) for name, field in zip(names, fields, strict=True)})
    answers = []
    for (_, kind, values), mood in kept:
        found = values | {
            field: shown[field][{"kind": kind, "mood": mood, "topic": domain}[field]] for field in classified
        }
        answers.append(
            json.dumps({name: found.get(field) for name, field in zip(names, fields, strict=True)}, ensure_ascii=False)
        )
    return lay_out(rng, w, instruction, [text for (text, _, _), _ in kept], answers)


def _schema(rng: random.Random, w: Words, keys: dict[str, list[str] | None]) -> str:
    """An instruction that names the keys, and the labels of those that have some."""
    style = rng.randrange(6)
    if style == 0:
        lines = [f"- {name}" + (f": {either(rng, w, labels)}" if labels else "") for name, labels in keys.items()]
        text = rng.choice(w["ask"]["schema"]) + "\n" + "\n".join(lines)
    elif style == 1:
        example = json.dumps(
            {name: "|".join(labels) if labels else "..." for name, labels in keys.items()}, ensure_ascii=False
        )
        text = rng.choice(w["ask"]["schema"]) + rng.choice(["\n", " "]) + example
    else:
        mark = rng.choice(["{}", "{}", "{}", '"{}"', "`{}`"])
        labelled = rng.choice(["{} ({})", "{} ({})", "{}: {}", "{} = {}"])
        joint = ", " if "(" in labelled or not any(keys.values()) else "; "
        parts = [
            labelled.format(mark.format(name), either(rng, w, labels)) if labels else mark.format(name)
            for name, labels in keys.items()
        ]
        if len(parts) > 1 and not any(keys.values()) and rng.random() < 0.3:
            parts[-2:] = [f"{parts[-2]} {w['ask']['and'][0]} {parts[-1]}"]
        text = fill(rng, w, rng.choice(w["ask"]["extract"]), {"keys": joint.join(parts)})
    return text + (" " + rng.choice(w["ask"]["null"]) if rng.random() < 0.3 and style > 1 else "")


# --- 2: classes ------------------------------------------------------------------------------------------------------


def topic_text(rng: random.Random, w: Words, topic: str) -> str:
    """One or two sentences on a topic."""
    group = w["topic"][topic]
    count = rng.choice([1, 1, 1, 2])
    found: dict[str, str] = {}
    lines = []
    for line in rng.sample(group["say"], count):
        for role in ("w", "v"):
            found[role] = rng.choice([one for one in group["words"] if one not in found.values()])
        lines.append(capital(fill(rng, w, line, dict(found))))
    return " ".join(lines)


def classify(rng: random.Random, w: Words) -> Chat:
    """A text and a set of labels; the answer is one of them."""
    source = rng.choices(
        ["topic", "domain", "kind", "mood", "tongue", "manner", "asked", "yesno"], [32, 12, 12, 14, 8, 8, 5, 9]
    )[0]
    if source == "yesno":
        return yes_or_no(rng, w)
    if source in ("topic", "domain"):
        ids = rng.sample(list(w[source]), rng.randint(2, 7))
    elif source == "kind":
        domain = rng.choice([one for one in w["domain"] if len(w["domain"][one]) > 1])
        ids = list(w["domain"][domain])
    else:
        ids = list(w[source])
        ids = rng.sample(ids, rng.randint(2, len(ids)))
    shown = naming(rng, w, ids)
    make: dict[str, Callable[[str], str]] = {
        "topic": lambda one: topic_text(rng, w, one),
        "domain": lambda one: message(rng, w, one)[0],
        "kind": lambda one: message(rng, w, domain, kind=one)[0],
        "mood": lambda one: capital(fill(rng, w, rng.choice(w["mood"][one]))),
    }
    truth = [rng.choice(ids) for _ in range(how_many(rng))]
    texts = [make.get(source, lambda one: capital(fill(rng, w, rng.choice(w[source][one]))))(one) for one in truth]
    lists = rng.sample(list(shown.values()), len(shown))
    wordings = w["ask"]["classify"] + w["ask"].get(f"classify_{source}", []) * 3
    if rng.random() < 0.12:  # answer with a letter
        letters = {name: letter for name, letter in zip(lists, "ABCDEFGH")}
        listing = "\n".join(f"{letter}) {name}" for name, letter in letters.items())
        instruction = rng.choice(w["ask"]["letter"]) + "\n" + listing
        return lay_out(rng, w, instruction, texts, [letters[shown[one]] for one in truth])
    instruction = fill(rng, w, rng.choice(wordings), {"labels": either(rng, w, lists)})
    return lay_out(rng, w, instruction, texts, [shown[one] for one in truth])


def yes_or_no(rng: random.Random, w: Words) -> Chat:
    """A question about a text that is answered by yes or no."""
    yes, no = w["ask"]["yes"][0], w["ask"]["no"][0]
    right, other = rng.sample(list(w["topic"]), 2)
    is_so = rng.random() < 0.5
    if rng.random() < 0.5:
        text = topic_text(rng, w, right)
        name = rng.choice(w["labels"].get(right if is_so else other, [right if is_so else other]))
        ask = fill(rng, w, rng.choice(w["ask"]["is_about"]), {"topic": name.replace("_", " ")})
    else:
        things = distinct(rng, w, "simple", 5)
        text = ", ".join(things[:4])
        is_so = is_so or things[4] in text
        ask = fill(
            rng,
            w,
            rng.choice(w["ask"]["is_in"]),
            {"a": things[4] if things[4] in text or not is_so else rng.choice(things[:4])},
        )
    return lay_out(rng, w, ask, [text], [yes if is_so else no])


# --- 3: copying and strings ------------------------------------------------------------------------------------------


def strings(rng: random.Random, w: Words) -> Chat:
    """One skill on a sentence, a list, a code or numbers."""
    skill = rng.choice(list(w["strings"]))
    if skill == "lookup":
        return lookup(rng, w)
    topic, code = rng.choice(list(w["topic"])), draw(rng, w, "code")
    items = distinct(rng, w, rng.choice(["simple", "simple", "person", "place", "odd", "code"]), rng.randint(3, 6))
    listing = rng.choice([", ", ", ", " ", "\n"] if not any(" " in item for item in items) else [", ", "\n"]).join(
        items
    )
    commas, at, last = ", ".join(items), rng.randrange(len(items) - 1), items[-1]
    numbers = distinct(rng, w, "number", rng.randint(3, 6))
    spaced = rng.choice([", ", " "]).join(numbers)
    sortable = list({word[0]: word for word in rng.sample(w["slots"]["sortable"], 6)}.values())
    sentences = topic_text(rng, w, topic)
    bare = sentences.rstrip(".!?").split(". ")[0].split("? ")[0]
    some_words = bare.split()[: rng.randint(2, 9)]
    short = rng.choice([items[0], bare])
    shared, half = items[0], len(items) // 2 + 1
    one, other = [shared, *items[1:half]], [shared, *items[half:]]
    rng.shuffle(one), rng.shuffle(other)
    values = {"n": w["ask"]["ordinal"][at], "a": items[at], "b": last, "code": code}
    with_code = fill(rng, w, rng.choice(w["ask"]["with_code"]), {"code": code})
    text, answer = {
        "repeat": (same := rng.choice([sentences, sentences, code, listing, draw(rng, w, "contact"), with_code]), same),
        "code": (with_code, code),
        "nth": (listing, items[at]),
        "first_item": (listing, items[0]),
        "last_item": (listing, last),
        "first_word": (bare, bare.split()[0]),
        "last_word": (bare, bare.split()[-1]),
        "upper": (short, short.upper()),
        "lower": (short.upper(), short.lower()),
        "reverse": (listing, ", ".join(reversed(items))),
        "sort_numbers": (", ".join(numbers), ", ".join(sorted(numbers, key=int))),
        "largest": (spaced, max(numbers, key=int)),
        "smallest": (spaced, min(numbers, key=int)),
        "sort_words": (", ".join(sortable), ", ".join(sorted(sortable))),
        "count": (listing, str(len(items))),
        "count_words": (" ".join(some_words), str(len(some_words))),
        "join": ("\n".join(items), commas),
        "dashes": (commas, " - ".join(items)),
        "remove": (commas, ", ".join(item for item in items if item != items[at])),
        "add": (", ".join(items[:-1]), commas),
        "replace": (", ".join(items[:-1]), ", ".join(last if item == items[at] else item for item in items[:-1])),
        "common": (f"A: {', '.join(one)}\nB: {', '.join(other)}", shared),
        "after": (commas, items[at + 1]),
        "digits": (code, "".join(filter(str.isdigit, code))),
        "spell": (sortable[0], "-".join(sortable[0])),
        "twice": (items[0], f"{items[0]} {items[0]}"),
    }[skill]
    if skill == "add":
        values["a"] = last
    return lay_out(rng, w, fill(rng, w, rng.choice(w["strings"][skill]), values), [text], [answer])


def lookup(rng: random.Random, w: Words) -> Chat:
    """A small table, and questions for one cell."""
    people = distinct(rng, w, "person", rng.randint(3, 5))
    columns = rng.sample(w["ask"]["columns"], rng.choice([1, 1, 2]))
    group = w["reading"]["person"]
    table = {column: distinct(rng, w, group[column]["slot"][0], len(people)) for column in columns}
    head = [w["keys"].get(column, [column])[0] for column in columns]
    style = rng.randrange(4)
    rows = list(zip(people, *table.values(), strict=True))
    if style == 0:
        text = json.dumps(
            {row[0]: row[1] if len(row) == 2 else dict(zip(head, row[1:])) for row in rows}, ensure_ascii=False
        )
    elif style == 1:
        text = "\n".join([",".join([w["ask"]["name"][0], *head]), *map(",".join, rows)])
    elif style == 2:
        text = "\n".join([" | ".join([w["ask"]["name"][0], *head]), *map(" | ".join, rows)])
    else:
        text = "\n".join(f"{row[0]}: {', '.join(f'{key} {cell}' for key, cell in zip(head, row[1:]))}" for row in rows)
    exchanges = []
    for at in rng.sample(range(len(people)), how_many(rng)):
        column = rng.choice(columns)
        if rng.random() < 0.25:
            ask, answer = fill(rng, w, rng.choice(group[column]["who"]), {"v": table[column][at]}), people[at]
        else:
            ask, answer = fill(rng, w, rng.choice(group[column]["ask"]), {"x": people[at]}), table[column][at]
        exchanges.append((ask, answer))
    questions, answers = zip(*exchanges, strict=True)
    return lay_out(rng, w, text, list(questions), list(answers))


# --- 4: reading ------------------------------------------------------------------------------------------------------


def reading(rng: random.Random, w: Words) -> Chat:
    """A few facts about people or things; questions answered by a span of the text, or by "the text does not say"."""
    group = w["reading"][rng.choice(["person", "person", "thing"])]
    subjects = distinct(rng, w, "person" if group is w["reading"]["person"] else "object", rng.choice([1, 2, 2, 3]))
    facts: dict[tuple[str, str], str] = {}
    lines = []
    for _ in range(rng.randint(2, 4)):
        subject, kind = rng.choice(subjects), rng.choice(list(group))
        if (subject, kind) not in facts:
            facts[subject, kind] = draw(rng, w, group[kind]["slot"][0], facts.values())
            lines.append(
                capital(fill(rng, w, rng.choice(group[kind]["say"]), {"x": subject, "v": facts[subject, kind]}))
            )
    if rng.random() < 0.3:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(w["ask"]["filler"]))
    exchanges, told = [], sorted({subject for subject, _ in facts})
    for _ in range(how_many(rng)):
        if rng.random() < 0.17:
            subject, kind = rng.choice(told), rng.choice(list(group))
        else:
            subject, kind = rng.choice(list(facts))
        value = facts.get((subject, kind))
        if value is None:
            ask, answer = fill(rng, w, rng.choice(group[kind]["ask"]), {"x": subject}), rng.choice(w["ask"]["unknown"])
        elif rng.random() < 0.2:
            ask = fill(rng, w, rng.choice(group[kind]["who"]), {"v": value})
            answer = capital(subject) if group is w["reading"]["thing"] else subject
        else:
            ask = fill(rng, w, rng.choice(group[kind]["ask"]), {"x": subject})
            full = capital(fill(rng, w, rng.choice(group[kind]["say"]), {"x": subject, "v": value}))
            answer = value if rng.random() < 0.75 else full
        exchanges.append((capital(ask), answer))
    text = " ".join(lines)
    style, (first, answer) = rng.random(), exchanges[0]
    if style < 0.35:
        rule = fill(rng, w, rng.choice(w["ask"]["read"]), {})
        return [turn("system", f"{rule}\n{text}")] + talk(rng, w | {"ask": w["ask"] | {"system": [rule]}}, exchanges)[
            -2 * len(exchanges) :
        ]
    if style < 0.5:
        first = f"{rng.choice(w['ask']['read'])}\n\n{text}\n\n{first}"
    else:
        first = rng.choice([f"{text}\n{first}", f"{text}\n\n{first}", f"{first}\n\n{text}", f"{text} {first}"])
    return talk(rng, w, [(first, answer), *exchanges[1:]])


# --- 5: knowledge and sums -------------------------------------------------------------------------------------------


def fact(rng: random.Random, w: Words, wish: str = "") -> tuple[str, str, str]:
    """A question, its short answer and its full answer."""
    if rng.random() < 0.3 and wish != "full":
        return sum_of(rng, w)
    groups = [one for one in w["facts"].values() if "say" in one or wish != "full"]
    group = rng.choices(groups, [len(one["pairs"]) ** 0.5 for one in groups])[0]
    a, b = rng.choice(group["pairs"]).split(" = ")
    values = {"a": a, "b": b}
    back = "back" in group and rng.random() < 0.3
    ask = capital(fill(rng, w, rng.choice(group["back" if back else "ask"]), dict(values)))
    short = a if back else b
    full = capital(fill(rng, w, rng.choice(group["say"]), dict(values))) if "say" in group else capital(short)
    return ask, short, full


def sum_of(rng: random.Random, w: Words) -> tuple[str, str, str]:
    """A small sum."""
    kind = rng.choice(list(w["sums"]))
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    if kind == "times":
        a, b = rng.randint(1, 10), rng.randint(1, 10)
    a, b = (max(a, b), min(a, b)) if kind == "minus" else (a, b)
    if kind in ("larger", "smaller") and a == b:
        b += 1
    answer = {
        "plus": a + b, "minus": a - b, "times": a * b, "after": a + 1, "double": 2 * a,
        "larger": max(a, b), "smaller": min(a, b), "step": a + 3 * b,
    }[kind]  # fmt: skip
    values = {"a": str(a), "b": str(b), "c": str(a + b), "d": str(a + 2 * b)}
    sign = {"plus": "+", "minus": "-", "times": "×"}.get(kind)
    ask = f"{a} {sign} {b} = ?" if sign and rng.random() < 0.2 else fill(rng, w, rng.choice(w["sums"][kind]), values)
    return ask, str(answer), f"{a} {sign} {b} = {answer}" if sign else str(answer)


def knowledge(rng: random.Random, w: Words) -> Chat:
    """One to three questions; short or in a sentence, as the system message or the user asks, or as it comes."""
    wish = rng.choices(["", "short", "full"], [60, 25, 15])[0]
    rule = rng.choice(w["ask"][wish]) if wish else ""
    where = rng.randrange(3) if wish else 3
    exchanges = []
    for _ in range(how_many(rng)):
        ask, short, full = fact(rng, w, wish)
        answer = {"short": short, "full": full}.get(wish) or rng.choice([short, full, full])
        exchanges.append((f"{ask} {rule}" if where == 1 else ask, answer))
    if where in (0, 2):
        return [turn("system", rule)] + [
            one for pair in exchanges for one in (turn("user", pair[0]), turn("assistant", pair[1]))
        ]
    return talk(rng, w, exchanges)


# --- 6 and 7: translation, tone --------------------------------------------------------------------------------------


@cache
def _pairs() -> list[str]:
    """What can be translated, each as "English = Vietnamese"."""
    return [pair for group in words("vi")["pairs"].values() for pair in group]


def translate(rng: random.Random, w: Words) -> Chat:
    """Words and short phrases, English to Vietnamese or back."""
    to = rng.choice(["to_vi", "to_en"])
    pairs = [rng.choice(_pairs()).split(" = ") for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    texts, answers = zip(*(pair if to == "to_vi" else pair[::-1] for pair in pairs), strict=True)
    if len(pairs) == 3 and rng.random() < 0.5:
        return lay_out(rng, w, rng.choice(w["translate"][to]), [", ".join(texts)], [", ".join(answers)])
    if rng.random() < 0.5:
        return lay_out(rng, w, rng.choice(w["translate"][to]), list(texts), list(answers))
    asks = [fill(rng, w, rng.choice(w["translate"][f"{to}_inline"]), {"a": text}) for text in texts]
    return talk(rng, w, list(zip(asks, answers, strict=True)))


def tone(rng: random.Random, w: Words) -> Chat:
    """Small talk, polite and blunt wordings, voices, and honest not-knowing."""
    kind = rng.choices(["small", "polite", "blunt", "voice", "unknown"], [25, 25, 10, 32, 8])[0]
    if kind == "small":
        picked = rng.sample(list(w["small"]), rng.choice([1, 2, 2, 3]))
        return talk(
            rng,
            w,
            [(rng.choice(w["small"][one]["user"]), fill(rng, w, rng.choice(w["small"][one]["say"]))) for one in picked],
        )
    if kind == "unknown":
        ask, short, _ = fact(rng, w)
        asked = fill(rng, w, rng.choice(w["tone"]["private"]))
        exchanges = [(asked, rng.choice(w["tone"]["dont_know"])), (ask, short)]
        return talk(rng, w, exchanges if rng.random() < 0.5 else exchanges[:1])
    if kind == "voice":
        who = rng.choice(list(w["voice"]))
        voice = w["voice"][who]
        name = rng.choice(voice["name"])
        said = [capital(fill(rng, w, rng.choice(w["tone"]["news"]))) for _ in range(how_many(rng))]
        rule = fill(rng, w, rng.choice(w["tone"]["as_voice"]), {"voice": name})
        return lay_out(
            rng, w, rule, said, [f"{rng.choice(voice['open'])} {one} {rng.choice(voice['close'])}" for one in said]
        )
    plain = fill(rng, w, rng.choice(w["tone"]["request"]))
    kindly = capital(fill(rng, w, rng.choice(w["tone"]["politely"]), {"r": plain}))
    text, answer = (
        (capital(plain) + rng.choice([".", "!"]), kindly) if kind == "polite" else (kindly, capital(plain) + ".")
    )
    return lay_out(rng, w, rng.choice(w["tone"][f"{kind}_ask"]), [text], [answer])


# --- 8: few examples -------------------------------------------------------------------------------------------------


def few_shot(rng: random.Random, w: Words) -> Chat:
    """Two to five examples of a mapping, known or made up, then a new input."""
    count = rng.randint(3, 6)
    kind = rng.choice(
        [
            "upper",
            "made_up",
            "made_up",
            "class",
            "class",
            "mood",
            "last",
            "fact",
            "pair",
            "tag",
            "swap",
            "digits",
            "field",
        ]
    )
    items = distinct(rng, w, rng.choice(["simple", "odd", "person"]), count)
    match kind:
        case "upper":
            pairs = [(one, one.upper()) for one in items]
        case "tag":
            mark = rng.choice(
                [
                    "<{}>",
                    "[{}]",
                    "({})",
                    "*{}*",
                    "{}!",
                    "{}?",
                    "{0} {0}",
                    "{}-" + draw(rng, w, "digit2"),
                    draw(rng, w, "syl") + "-{}",
                ]
            )
            pairs = [(one, mark.format(one)) for one in items]
        case "made_up" | "class":  # each class of topics gets a made-up name, or its own
            topics = rng.sample(list(w["topic"]), rng.randint(2, 3))
            names = dict(
                zip(
                    topics,
                    rng.choice(
                        [distinct(rng, w, "odd", 3), ["A", "B", "C"], ["1", "2", "3"], distinct(rng, w, "code", 3)]
                    ),
                )
            )
            names = naming(rng, w, topics) if kind == "class" else names
            order = [*topics, *(rng.choice(topics) for _ in range(max(1, count - len(topics))))]
            seen = order[:-1]
            rng.shuffle(seen)
            make = rng.choice([lambda one: topic_text(rng, w, one), lambda one: rng.choice(w["topic"][one]["words"])])
            pairs = [(make(one), names[one]) for one in [*seen, order[-1]]]
        case "mood":
            moods = rng.sample(list(w["mood"]), 2)
            names = naming(rng, w, moods)
            order = moods + [rng.choice(moods) for _ in range(2)]
            pairs = [(capital(fill(rng, w, rng.choice(w["mood"][one]))), names[one]) for one in order]
        case "last":
            texts = [topic_text(rng, w, rng.choice(list(w["topic"]))).split(". ")[0].rstrip(".!?") for _ in range(3)]
            at = rng.choice([0, -1])
            pairs = [(text, text.split()[at]) for text in texts]
        case "fact":
            group = rng.choice([one for one in w["facts"].values() if "back" in one])
            pairs = [tuple(one.split(" = ")) for one in rng.sample(group["pairs"], min(count, len(group["pairs"])))]
        case "pair":
            pairs = [tuple(one.split(" = ")) for one in rng.sample(_pairs(), count)]
            pairs = pairs if rng.random() < 0.5 else [(b, a) for a, b in pairs]
        case "swap":
            twos = [distinct(rng, w, "simple", 2) for _ in range(count)]
            pairs = [(f"{a} / {b}", f"{b} / {a}") for a, b in twos]
        case "digits":
            codes = distinct(rng, w, "code", count)
            pairs = [(one, "".join(sign for sign in one if sign.isdigit())) for one in codes]
        case _:  # one field of messages of a kind
            domain = rng.choice(list(w["domain"]))
            samples = [message(rng, w, domain) for _ in range(3)]
            field = rng.choice(_roles(w["language"][0], domain))
            pairs = [(text, values.get(field, w["ask"]["nothing"][0])) for text, _, values in samples]
            if samples[0][2].get(field) is None or not all(fair(field, values) for _, _, values in samples):
                return few_shot(rng, w)
    left, right = rng.choice(w["few"]["names"]).split(" / ")
    form = rng.choice(["{a} -> {b}", "{a} => {b}", "{a}: {b}", "{l}: {a}\n{r}: {b}", "{l}: {a}\n{r}: {b}", "{a} | {b}"])
    show = lambda a, b: form.replace("{l}", left).replace("{r}", right).replace("{a}", a).replace("{b}", b).strip()  # noqa: E731
    gap = "\n\n" if "{l}" in form and rng.random() < 0.6 else "\n"
    examples = gap.join(show(a, b) for a, b in pairs[:-1])
    new, answer = pairs[-1]
    if rng.random() < 0.35:
        return [
            turn("system", rng.choice(w["few"]["rule"]) + "\n" + examples),
            turn("user", new),
            turn("assistant", answer),
        ]
    if rng.random() < 0.25:  # as turns
        return [one for a, b in pairs for one in (turn("user", a), turn("assistant", b))]
    head = rng.choice(w["few"]["rule"]) + "\n" if rng.random() < 0.6 else ""
    return [turn("user", head + examples + gap + show(new, "")), turn("assistant", answer)]


# --- 9 and 10: dialogues, records ------------------------------------------------------------------------------------


def dialogue(rng: random.Random, w: Words) -> Chat:
    """A scripted talk in which the assistant gives back what the user said before."""
    script = w["script"][rng.choice(list(w["script"]))]
    values: dict[str, str] = {}
    turns = [name for name in script if name != "system"]
    upto = rng.choice([count for count in range(2, len(turns) + 1, 2)] + [len(turns)] * 2)
    chat = (
        [turn("system", fill(rng, w, rng.choice(script["system"]), values))]
        if "system" in script and rng.random() < 0.4
        else []
    )
    for at, name in enumerate(turns[:upto]):
        line = rng.choice(script[name])
        text = fill(rng, w, line, values)
        chat.append(turn("assistant" if at % 2 else "user", text if BARE.fullmatch(line) else capital(text)))
    return chat


def formats(rng: random.Random, w: Words) -> Chat:
    """A record from one written form to another."""
    kind = w["record"][rng.choice(list(w["record"]))]
    fields = [one.split(":") for one in kind["fields"]]
    values: dict[str, str] = {}
    for role, slot in fields:
        values[role] = draw(rng, w, slot, values.values())
    roles = list(values)
    names = key_names(rng, w, roles)
    named = dict(zip(names, values.values(), strict=True))
    forms = {
        "json": json.dumps(named, ensure_ascii=False),
        "lines": "\n".join(f"{name}: {value}" for name, value in named.items()),
        "csv": f"{','.join(names)}\n{','.join(values.values())}",
        "bullets": "\n".join(f"- {name}: {value}" for name, value in named.items()),
        "sentence": fill(rng, w, rng.choice(kind["say"]), dict(values)),
    }
    if rng.random() < 0.15:
        items = distinct(rng, w, rng.choice(["simple", "person", "place"]), rng.randint(3, 5))
        rule, sign = rng.choice([("bullet_list", "- "), ("number_list", "")])
        answer = "\n".join(f"{sign or f'{at}. '}{item}" for at, item in enumerate(items, 1))
        return lay_out(rng, w, rng.choice(w["forms"][rule]), [", ".join(items)], [answer])
    if rng.random() < 0.2:
        name = rng.choice(names)
        ask = fill(rng, w, rng.choice(w["forms"]["value"]), {"k": name})
        return lay_out(rng, w, ask, [forms[rng.choice(["json", "lines", "csv"])]], [named[name]])
    before = rng.choice(["json", "lines", "csv", "lines", "bullets"])
    after = rng.choice([one for one in ("json", "json", "lines", "csv", "bullets", "sentence") if one != before])
    return lay_out(rng, w, rng.choice(w["forms"][f"to_{after}"]), [forms[before]], [forms[after]])


FAMILIES: dict[Callable[[random.Random, Words], Chat], int] = {
    extract: 30, classify: 14, strings: 13, reading: 10, knowledge: 6, translate: 6, tone: 5, few_shot: 7, dialogue: 8,
    formats: 7,
}  # fmt: skip
"""How often each family comes, in parts of the sum."""


def conversations(language: str, seed: int, w: Words | None = None) -> Iterator[Chat]:
    """Chats without end, the same for the same language ("en" or "vi") and seed; the last turn is the assistant's."""
    rng, w = random.Random(f"{language} {seed}"), w or words(language)
    while True:
        yield rng.choices(list(FAMILIES), list(FAMILIES.values()))[0](rng, w)
