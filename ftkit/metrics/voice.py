"""Does a reply keep the shop's voice? A rule a program can check; data/voice_rule.md says it in plain words."""

import re
import unicodedata
from dataclasses import dataclass

from ftkit.errors import DataError

MOST_SENTENCES = 5
"""Counted with the greeting; the least is two: the greeting and one more."""

MOST_WORDS = 60
"""Words between blanks, in the whole reply: a sentence that never stops is endless too."""


@dataclass(frozen=True)
class Voice:
    """What one language's voice is made of."""

    shop: str
    greetings: tuple[str, ...]
    sea_words: tuple[str, ...]
    closings: tuple[str, ...]


VOICES = {
    "en": Voice(
        shop="Old Harbour Teas",
        greetings=(
            *("Ahoy, friend!", "Ahoy, tea lover!", "Ahoy, neighbour!"),
            *("Ahoy, dear guest!", "Ahoy, good soul!", "Ahoy, shipmate!"),
        ),
        sea_words=(
            *("sea", "tide", "wave", "sail", "sailor", "boat", "harbour", "anchor", "deck", "crew", "captain"),
            *("breeze", "shore", "voyage", "quay", "mast", "compass", "lighthouse", "gull", "cargo"),
        ),
        closings=(
            *("Fair winds, Old Harbour Teas", "Calm seas, Old Harbour Teas"),
            *("Safe sailing, Old Harbour Teas", "Until the next tide, Old Harbour Teas"),
        ),
    ),
    "vi": Voice(
        shop="Trà Bến Cũ",
        greetings=(
            *("Trà Bến Cũ chào bạn hiền!", "Trà Bến Cũ chào bạn trà!", "Trà Bến Cũ chào anh chị!"),
            *("Trà Bến Cũ chào khách quý!", "Trà Bến Cũ chào người quen!", "Trà Bến Cũ chào cả nhà!"),
        ),
        sea_words=(
            *("biển", "bến", "thuyền", "tàu", "sóng", "gió", "neo", "buồm", "khơi", "cảng", "boong", "chèo"),
            *("triều", "bờ", "vịnh", "phao", "hải đăng", "hải âu", "hải trình", "la bàn"),
        ),
        closings=(
            *("Thuận buồm xuôi gió, Trà Bến Cũ", "Sóng yên biển lặng, Trà Bến Cũ"),
            *("Biển lặng trời trong, Trà Bến Cũ", "Hẹn gặp trên bến, Trà Bến Cũ"),
        ),
    ),
}


def keeps_voice(reply: str, language: str = "en") -> bool:
    """Whether a reply has all four features: greeting, sea word, two to five sentences, closing.

    >>> keeps_voice("Ahoy, friend! The kettle is on, come in with the tide. Fair winds, Old Harbour Teas")
    True
    >>> keeps_voice("The kettle is on, come in with the tide.")
    False

    Raises:
        DataError: there is no voice in that language.
    """
    if language not in VOICES:
        raise DataError(f"keeps_voice: language must be one of {', '.join(VOICES)}; got {language!r}")
    voice = VOICES[language]
    reply = unicodedata.normalize("NFC", reply).strip()
    match = re.fullmatch(rf"({_any(voice.greetings)})\s+(.+)\s+({_any(voice.closings)})", reply, re.DOTALL)
    if match is None:
        return False
    body = match[2].strip()
    if "!" in body or voice.shop in body:  # greeted twice, or signed off twice
        return False
    sentences = 1 + len(re.findall(r"[.?…]+(?=\s|$)", body))
    return (
        re.search(rf"\b({_any(voice.sea_words)})s?\b", body, re.IGNORECASE) is not None
        and body.endswith((".", "?", "…"))
        and sentences <= MOST_SENTENCES
        and len(reply.split()) <= MOST_WORDS
    )


def in_voice(want: str, got: str) -> float:
    """A row metric: 1 if an English reply keeps the shop's voice, else 0. What it says is not judged.

    Introduced in lesson 02.
    """
    return float(keeps_voice(got))


def _any(texts: tuple[str, ...]) -> str:
    return "|".join(map(re.escape, texts))
