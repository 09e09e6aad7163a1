"""Rules about the text of one row: garbled, decomposed and invisible characters, and Vietnamese without its marks."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

_TYPOGRAPHIC = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"  # what Windows-1252 makes of the bytes 0x80 to 0x9f
_TAIL = f"[\u0080-\u00bf{_TYPOGRAPHIC}]"
_GARBLED = re.compile(f"[\u00c3-\u00c6\u00c2]{_TAIL}|[\u00e0-\u00ef]{_TAIL}{{2}}|[\u00f0-\u00f4]{_TAIL}{{3}}")
_CLOSING = frozenset("”’»›…–—\u00a0")  # may follow a letter such as Ã or é in sound text
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b\u2060\u202a-\u202e\ufeff]")
_MARKS = re.compile("[\u0300-\u036f]")


def garbled(text: str) -> tuple[str, str] | None:
    """The first garbled letters and what they should be: UTF-8 that was read as Windows-1252.

    >>> garbled("cafÃ© ngon"), garbled("café ngon")
    (('Ã©', 'é'), None)
    """
    weak = []
    for match in _GARBLED.finditer(text):
        try:
            want = b"".join(_byte(c) for c in match[0]).decode("utf-8")
        except UnicodeError:
            continue
        if not _CLOSING.issuperset(match[0][1:]):
            return match[0], want
        weak.append((match[0], want))
    return weak[0] if len(weak) >= 3 else None


def _byte(character: str) -> bytes:
    return character.encode("latin-1" if character <= "\u00ff" else "cp1252")


def decomposed(text: str) -> bool:
    """Whether letters and marks are stored apart though one character holds both."""
    return not unicodedata.is_normalized("NFC", text) and bool(_MARKS.search(text))


def invisible(text: str) -> str | None:
    """The first character that shows nothing, as an escape."""
    match = _INVISIBLE.search(text)
    return f"U+{ord(match[0]):04X}" if match else None


def without_marks(texts: Sequence[str]) -> list[int]:
    """The numbers of the texts that are Vietnamese written without tone marks.

    The other texts are the dictionary: at least 50 of them must carry marks, and all of a text's words (five or
    more, none with a mark) must be words of theirs with the marks taken away, most of them words that need marks.

    >>> without_marks(["đơn hàng của tôi ở đâu rồi"] * 50 + ["don hang cua toi o dau roi", "Where is my order now then"])
    [50]
    """
    marked, plain, candidates = set(), set(), []
    rich = 0
    for i, text in enumerate(texts):
        words = re.findall(r"[^\W\d_]+", text.casefold())
        if not text.isascii():
            bare = list(map(_bare, words))
            needy = [b for word, b in zip(words, bare) if b != word]
            if needy:
                rich += len(needy) >= len(words) / 3
                marked.update(needy)
                plain.update(b for word, b in zip(words, bare) if b == word)
                continue
        if len(words) >= 5:
            candidates.append((i, words))
    if rich < 50:
        return []
    need = marked - plain
    return [i for i, words in candidates if marked.union(plain).issuperset(words) and sum(w in need for w in words) * 2 >= len(words)]


@lru_cache(maxsize=100_000)
def _bare(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", word.replace("đ", "d")) if not unicodedata.combining(c))


def strings(value: object) -> Iterable[str]:
    """Every text inside a JSON value, without recursion."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending.extend(one.values())
        elif isinstance(one, (list, tuple)):
            pending.extend(one)
