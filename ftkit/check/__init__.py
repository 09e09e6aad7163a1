"""Checking training data before time or money is spent on them. Introduced in lesson 01.

    rules.py (the words) ← texts, personal (one row) · sets (rows together) → report

Every rule gives `Finding` values with file, line, what is wrong, how to mend it and why it matters. Nothing in a file can make
`check` fail; only a file that cannot be opened is an error to raise.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from ftkit.check.personal import personal, redacted
from ftkit.check.report import CheckReport
from ftkit.check.sets import about_sets
from ftkit.check.texts import decomposed, garbled, invisible, strings
from ftkit.data import PARSERS, Chat, Dataset, Pair, Preference, Row, ScoredPair, Split, objects
from ftkit.errors import DataError
from ftkit.lang import say
from ftkit.rules import LEVELS, Finding, finding
from ftkit.tokens import at_least, tokenizer

__all__ = ["CheckReport", "check"]

LONGEST_EXAMPLE = 65_536
"""Tokens. The longest example OpenAI trained gpt-4o and gpt-4o-mini on whole; what is beyond was cut off."""

KEYS = {
    "chat": ("messages",),
    "pair": ("anchor", "positive"),
    "scored": ("sentence1", "sentence2"),
    "preference": ("input", "preferred_output"),
}
"""Kind of row → the keys that tell it."""

Data = str | os.PathLike | Dataset


def check(
    train: Data | Split, val: Data | None = None, test: Data | None = None, *, max_tokens: int | None = None, model: str | None = None
) -> CheckReport:
    """A CheckReport on a JSON Lines file (chats, pairs or preferences), a Dataset or a Split.

    With validation and test data, rows that stand in two parts are found too.

    Args:
        max_tokens: where a recipe or a service cuts a row; default: 65,536.
        model: whose tokens they are (see `count_tokens`); where its tokenizer is not at hand, only rows that are
            certainly longer are reported.

    >>> report = check(Dataset((Pair("mean of x", "numpy.mean", where="pairs.jsonl:1"),) * 2))
    >>> report.ok, [one.rule for one in report.findings]
    (True, ['duplicate', 'few', 'repeats', 'try-prompting'])

    Raises:
        DataError: a file that cannot be opened, or something that is no data at all.
    """
    given = (train.train, train.val, train.test) if isinstance(train, Split) else (train, val, test)
    given = {name: data for name, data in zip(("train", "val", "test"), given) if data is not None}
    parts: dict[str, list[Row]] = {name: [] for name in given}
    findings: list[Finding] = []
    measure = tokenizer(model)
    for name, data in given.items():
        for one in _rows(data):
            if isinstance(one, Finding):
                findings.append(one)
            else:
                parts[name].append(one)
                findings += _about_row(one, max_tokens or LONGEST_EXAMPLE, measure[0] if measure else at_least)
    findings += about_sets(parts)
    findings = [_without_secrets(one) for one in findings]
    rank = {rule: i for i, rule in enumerate(dict.fromkeys(one.rule for one in findings))}
    findings.sort(key=lambda one: (LEVELS.index(one.level), rank[one.rule]))
    names = dict.fromkeys(data.name if isinstance(data, Dataset) else Path(data).name for data in given.values())
    return CheckReport(", ".join(names), sum(map(len, parts.values())), tuple(findings))


def _rows(data: Data) -> Iterator[Row | Finding]:
    """Each row, or what is wrong with it."""
    if isinstance(data, Dataset):
        kinds = {Chat: "chat", Pair: "pair", ScoredPair: "scored", Preference: "preference"}
        for i, row in enumerate(data, start=1):  # rows made by hand were never checked
            yield PARSERS[kinds[type(row)]](row.to_dict(), row.where or f"{data.name}:{i}")
        return
    if not isinstance(data, (str, os.PathLike)):
        raise DataError(f"check: want a path, a Dataset or a Split; got {type(data).__name__}")
    kind = None
    for where, value in objects(Path(data)):
        if isinstance(value, Finding):
            yield value
            continue
        mine = next((name for name, keys in KEYS.items() if any(key in value for key in keys)), None)
        kind = kind or mine
        if mine not in (kind, None):
            yield finding("row-kind", where, got=mine, kind=kind)
        else:
            yield PARSERS[kind or "chat"](value, where)


def _about_row(row: Row, limit: int, measure) -> Iterator[Finding]:
    """The findings about the text of one row, at most one of each rule and kind."""
    texts = list(strings(row.to_dict()))
    text = "\n".join(texts)
    for rule, kind, got in dict.fromkeys(personal(text)):
        yield finding(rule, row.where, kind=say(kind), got=got)
    if bad := garbled(text):
        yield finding("mojibake", row.where, got=repr(bad[0]), want=repr(bad[1]))
    if "\ufffd" in text:
        yield finding("replacement", row.where)
    if decomposed(text):
        yield finding("decomposed", row.where)
    if hidden := invisible(text):
        yield finding("invisible", row.where, got=hidden)
    learnt = {Chat: ("answer",), Pair: ("positive",), ScoredPair: ("sentence2",), Preference: ("chosen", "rejected")}
    answers = [getattr(row, name) for name in learnt[type(row)]]
    if any(answer != answer.strip() for answer in answers):
        yield finding("whitespace", row.where)
    longest = max(map(len, texts)) if isinstance(row, (Pair, ScoredPair)) else len(text)
    if longest > limit // 4:  # no vocabulary makes more than four tokens of a character
        tokens = max(map(measure, texts)) if isinstance(row, (Pair, ScoredPair)) else sum(map(measure, texts))
        if tokens > limit:
            yield finding("too-long", row.where, tokens=f"{tokens:,}", limit=f"{limit:,}")


def _without_secrets(one: Finding) -> Finding:
    """The finding with nothing in it that could be a key or a person's number: some quote the row."""
    return Finding(one.level, one.rule, one.where, redacted(one.what), one.mend, one.why)
