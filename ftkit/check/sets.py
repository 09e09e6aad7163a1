"""Rules about many rows together: repeats, contradictions, leaks, system prompts, classes, forms, variety."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ftkit.check.texts import without_marks
from ftkit.data import Chat, Pair, Preference, Row, ScoredPair
from ftkit.lang import say
from ftkit.rules import Finding, finding, short
from ftkit.split import near_duplicates

LEAST_EXAMPLES, ENOUGH_EXAMPLES = 10, 50
"""The API fails a job with fewer than the first; gains usually show from the second."""

RARE = 10
"""A class this many times rarer than the commonest is pointed out."""

Parts = Mapping[str, Sequence[Row]]
"""Part of a split → its rows; the first is what is trained on."""


def about_sets(parts: Parts) -> Iterator[Finding]:
    """Every finding about rows taken together."""
    train = next(iter(parts.values()))
    if not any(parts.values()):
        return
    yield from size(train)
    repeated: dict[str, str] = {}
    for rows in parts.values():
        found = list(repeats(rows))
        repeated.update((one.where, one.rule) for one in found)
        yield from found
    yield from near(parts, repeated)
    for rows in parts.values():
        for rule in (system_prompts, forms, marks):
            yield from rule(rows)
    yield from classes(train)
    yield from variety(train)
    if train:
        yield finding("try-prompting", train[0].where)


def size(train: Sequence[Row]) -> Iterator[Finding]:
    where = train[-1].where if train else "train"
    if len(train) < LEAST_EXAMPLES and not isinstance(next(iter(train), None), (Pair, ScoredPair)):
        yield finding("too-few", where, count=len(train), least=LEAST_EXAMPLES)
    elif len(train) < ENOUGH_EXAMPLES:
        yield finding("few", where, count=len(train))


def repeats(rows: Sequence[Row]) -> Iterator[Finding]:
    """Rows that say the same as an earlier one, or the contrary."""
    answers = [row.answer.strip() for row in rows if isinstance(row, Chat)]
    labels = len(set(answers)) * 2 <= len(answers)
    first: dict[tuple, Row] = {}
    first_prompt: dict[tuple, Row] = {}
    for row in rows:
        prompt, answers = _prompt(row), _answers(row)
        other = first.setdefault((prompt, answers), row)
        if other is not row:
            yield finding("duplicate", row.where, other=other.where)
        elif isinstance(row, Preference) and (prompt, answers[::-1]) in first:
            yield finding("preference-reversed", row.where, other=first[prompt, answers[::-1]].where)
        elif isinstance(row, Chat) and first_prompt.setdefault(prompt, row) is not row:
            one_is_right = labels or _fields(row.answer) is not None
            yield finding("contradiction" if one_is_right else "several-answers", row.where, other=first_prompt[prompt].where)


def near(parts: Parts, repeated: Mapping[str, str]) -> Iterator[Finding]:
    """Prompts that stand in two parts, wholly or nearly; and near-duplicates inside the first part.

    ``repeated`` holds the places that are reported already as saying the same, or answering the same prompt.
    """
    rows = [(part, row) for part, rows in parts.items() for row in rows]
    clusters = near_duplicates([row.text for _, row in rows])
    members: dict[int, list[int]] = {}
    for i in range(len(rows)):
        members.setdefault(clusters[i], []).append(i)
    exact: dict[str, tuple[str, Row]] = {}
    of_group: dict[str, tuple[str, Row]] = {}
    for i, (part, row) in enumerate(rows):
        seen, other = exact.setdefault(row.text.strip(), (part, row))
        if seen != part:
            yield finding("leak", row.where, part=seen, other=other.where)
            continue
        root_part, root = rows[clusters[i]]
        if root_part != part:
            yield finding("near-leak", row.where, part=root_part, other=root.where)
            continue
        group = getattr(row, "group", None)
        if group is not None and of_group.setdefault(group, (part, row))[0] != part:
            yield finding("group-leak", row.where, group=group[:40], part=of_group[group][0], other=of_group[group][1].where)
    first, train = next(iter(parts.items()))
    too_much = sum(repeated.get(row.where) == "duplicate" for row in train)
    for cluster in members.values():
        alike = [rows[i][1] for i in cluster if rows[i][0] == first and rows[i][1].where not in repeated]
        too_much += max(0, len(alike) - 1)
        if len(alike) > 1:
            more = {2: "", 3: say(", as does 1 more row")}.get(len(alike), say(f", as do {len(alike) - 2:,} more rows"))
            yield finding("near-duplicate", alike[1].where, other=alike[0].where, more=more)
    if too_much * 5 > len(train):
        yield finding("repeats", train[0].where, share=_share(too_much, len(train)))


def system_prompts(rows: Sequence[Row]) -> Iterator[Finding]:
    """The first row whose system prompt is not the commonest."""
    prompts = [_system(row) for row in rows if not isinstance(row, (Pair, ScoredPair))]
    count = Counter(prompts)
    if len(count) > 1:
        usual, times = count.most_common(1)[0]
        odd = next(i for i, prompt in enumerate(prompts) if prompt != usual)
        got = say("there is no system prompt here" if prompts[odd] is None else "the system prompt here is another one")
        like = say("no system prompt" if usual is None else "the usual one")
        share, first = _share(times, len(rows)), rows[prompts.index(usual)].where
        yield finding("system-prompt", rows[odd].where, got=got, share=share, usual=like, other=first)


def forms(rows: Sequence[Row]) -> Iterator[Finding]:
    """Answers that are not JSON, or lack fields, where nearly all others are and have them."""
    answers = [(row, _fields(row.answer)) for row in rows if isinstance(row, Chat)]
    objects = Counter(frozenset(fields) for _, fields in answers if fields is not None)
    total = sum(objects.values())
    if total * 2 <= len(answers):
        return
    usual, times = objects.most_common(1)[0]
    for row, fields in answers:
        if fields is None:
            yield finding("format", row.where, got=say("the answer is no JSON object"), share=_share(total, len(answers)))
        elif times >= 0.9 * len(answers) and fields.keys() != usual:
            names = ", ".join(sorted(usual ^ fields.keys()))
            got = say(f"fields missing or added: {names[:60]}")
            yield finding("format", row.where, got=got, share=_share(times, len(answers)))


def classes(rows: Sequence[Row]) -> Iterator[Finding]:
    """Labels that are rare, or the only one."""
    chats = [row for row in rows if isinstance(row, Chat)]
    if len(chats) < LEAST_EXAMPLES:
        return
    whole = [row.answer.strip() for row in chats]
    if len(set(whole)) == 1:
        yield finding("one-answer", chats[0].where, got=short(whole[0]))
        return
    columns = {"": whole}
    objects = [_fields(answer) for answer in whole]
    if all(fields is not None for fields in objects):
        columns = {name: [short(fields.get(name)) for fields in objects] for name in objects[0]}
    for name, labels in columns.items():
        count = Counter(labels)
        if not 1 < len(count) <= len(labels) ** 0.5:
            continue  # free text, not a class
        most, most_count = count.most_common(1)[0]
        for label, times in count.items():
            if times * RARE < most_count:
                where = chats[labels.index(label)].where
                values = {"count": times, "total": len(labels), "most": short(most), "most_count": most_count}
                yield finding("class-balance", where, label=short(label), field=say(" in {name!r}").format(name=name) if name else "", **values)


def variety(rows: Sequence[Row]) -> Iterator[Finding]:
    """The three words that many rows begin with."""
    if len(rows) < ENOUGH_EXAMPLES:
        return
    starts = [tuple(re.findall(r"\w+", row.text[:80].casefold())[:3]) for row in rows]
    start, times = Counter(starts).most_common(1)[0]
    if times * 3 > len(rows) and len(start) == 3:
        yield finding("variety", rows[starts.index(start)].where, share=_share(times, len(rows)), got=repr(" ".join(start)))


def marks(rows: Sequence[Row]) -> Iterator[Finding]:
    """The first row in Vietnamese without tone marks, where the others have them."""
    found = without_marks([row.text for row in rows])
    if found:
        row = rows[found[0]]
        yield finding("missing-marks", row.where, count=len(found), got=short(row.text))


def _prompt(row: Row) -> tuple:
    if isinstance(row, Pair):
        return (_same(row.anchor),)
    if isinstance(row, ScoredPair):
        return (_same(row.sentence1), _same(row.sentence2))
    messages = row.prompt
    return tuple((m["role"], _same(m["content"] or ""), _calls(m)) for m in messages)


def _answers(row: Row) -> tuple:
    if isinstance(row, Pair):
        return (_same(row.positive),)
    if isinstance(row, ScoredPair):
        return (str(row.score),)
    if isinstance(row, Preference):
        return _same(row.chosen), _same(row.rejected)
    return (_same(row.answer),)


def _same(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _calls(message: dict) -> str:
    return short(message["tool_calls"]) if message.get("tool_calls") else ""


def _system(row: Chat | Preference) -> str | None:
    first = row.messages[0]
    return first["content"] if first["role"] in ("system", "developer") else None


def _fields(answer: str) -> dict | None:
    """The answer as a JSON object, if it is one."""
    if not answer.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value else None


def _share(part: int, whole: int) -> str:
    """

    >>> _share(1, 3)
    '33 %'
    """
    return f"{100 * part / whole:.0f} %"
