"""What learners see, in Vietnamese too: labels, answers, errors, findings, what `check` of an exercise says.

    FTKIT_LANG=vi         in the environment, or
    ft.language("vi")     in a notebook

Words stand in English where they are used, in f-strings that anybody can read. `vi.json` has the Vietnamese sentence for
each, with {0}, {1}, … for the values, room by room. `say` finds a finished sentence again by its fixed parts and carries
the values over as they are; what it does not know stays English. tests/test_lang.py reads every sentence from the source
and fails where one is missing, stale or ambiguous.

English always: what programs read (files, names, states such as "succeeded"), what the service answers its clients, and
what the grader writes. Standard library only; the sentences are read when the first one is wanted.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "FTKIT_LANG"

_catalogues: dict[str, "Catalogue"] = {}


def language(name: str | None = None) -> str:
    """The language learners are spoken to in: "vi" for Vietnamese, else "en". With a name: from now on that one.

    The name is kept in the environment, so that ``!ftkit check`` in a notebook speaks it too. Another language than these
    is English.

    >>> language("vi_VN.UTF-8"), language("en"), language("eo")
    ('vi', 'en', 'en')
    """
    if name is not None:
        os.environ[VARIABLE] = name
    spoken_here = os.environ.get(VARIABLE, "").lower().replace("-", "_").replace(".", "_")  # as in LANG: vi_VN.UTF-8
    return "vi" if spoken_here.split("_")[0] == "vi" else "en"


@contextmanager
def spoken(name: str) -> Iterator[None]:
    """That language inside; for rooms that speak English to programs whatever the learner hears."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = name
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def say(text: str) -> str:
    """The text in the learner's language: a finished sentence, or one of `ftkit.rules` that is still to be filled.

    >>> with spoken("vi"):
    ...     say("split: sizes must be three shares that sum to 1; got (1, 2, 3)"), say("something else")
    ('split: sizes phải là ba tỉ lệ có tổng bằng 1; nhận được (1, 2, 3)', 'something else')
    """
    speaks = language()
    if speaks == "en":
        return text
    if speaks not in _catalogues:
        _catalogues[speaks] = Catalogue.read(speaks)
    return _catalogues[speaks].say(text)


class Catalogue:
    """English sentence → the same in another language."""

    def __init__(self, sentences: dict[str, str]):
        self.whole = dict(sentences)
        patterns = []
        for english, other in sentences.items():
            parts = fixed_parts(english)
            if parts and len(parts) == 1:
                self.whole.setdefault(parts[0], other.format())  # {{ and }} stand for one brace
            elif parts:
                patterns.append((parts, other))
        self.patterns = sorted(patterns, key=lambda pattern: -sum(map(len, pattern[0])))
        """(fixed parts, sentence), most letters first: the sentence that leaves least to its values is meant."""

    @classmethod
    def read(cls, name: str) -> "Catalogue":
        import json
        from pathlib import Path

        rooms = json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8"))
        return cls({english: other for sentences in rooms.values() for english, other in sentences.items()})

    def say(self, text: str) -> str:
        if text in self.whole:
            return self.whole[text]
        for parts, other in self.patterns:
            values = values_between(parts, text)
            if values is not None:
                return other.format(*values)
        return text


def fixed_parts(english: str) -> list[str] | None:
    """The parts around {0}, {1}, …; None where the values have names: such a sentence is looked up before it is filled.

    >>> fixed_parts("{0}: {1} rows"), fixed_parts("an {{object}}"), fixed_parts("{kind} rows")
    (['', ': ', ' rows'], ['an {object}'], None)
    """
    from string import Formatter

    parts = [""]
    for fixed, name, _, _ in Formatter().parse(english):
        parts[-1] += fixed
        if name is not None:
            if not name.isdigit():
                return None
            parts.append("")
    return parts


def values_between(parts: list[str], text: str) -> list[str] | None:
    """What stands between the parts, each found as far to the left as it can be; None where they do not fit.

    >>> values_between(["", ": ", " rows"], "a.jsonl: 12 rows"), values_between(["", ": ", " rows"], "a.jsonl: 12")
    (['a.jsonl', '12'], None)
    """
    first, *middle, last = parts
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return None
    values = []
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return None
        values.append(text[at:found])
        at = found + len(part)
    return [*values, text[at:end]]
