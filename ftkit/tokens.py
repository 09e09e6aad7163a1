"""How many tokens a service or a model counts: exactly where its tokenizer is at hand, else as a range that says so.

Nothing is downloaded. At hand are: a folder with a tokenizer, or a model in the hub's cache; OpenAI's vocabularies in the
package bpe-openai (extra ``tokens``) or in the cache of tiktoken.
"""

import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ftkit.data import Chat, Pair, Row
from ftkit.prices import prices

MESSAGE_TOKENS = 4
"""Billed for each message besides its content; with `EXAMPLE_TOKENS` it fitted recorded bills exactly."""

EXAMPLE_TOKENS = 1
"""Billed for each example besides its messages."""

FRAME_ERROR = 0.04
"""The share by which a bill may differ from an exact count: what stands around the contents is not published."""

CHARACTERS_PER_TOKEN = 6
"""The low end: no tokenizer in use packs prose in any language tighter than this, on average."""

VOCABULARIES = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
"""Where tiktoken gets a vocabulary; its cache names the file by the SHA-1 of this address."""


@dataclass(frozen=True)
class TokenCount:
    """Tokens, from low to high, and how they were counted.

    >>> print(TokenCount(1000, 1000, "o200k_base"))
    1,000 tokens, counted with o200k_base
    """

    low: int
    high: int
    vocabulary: str | None
    """What counted them; None: nothing was at hand, and the range is from the length of the text."""

    @property
    def exact(self) -> bool:
        return self.vocabulary is not None

    def billed(self, times: float = 1) -> tuple[int, int]:
        """(low, high) of what is billed when the rows are read so many times: a count may be off by `FRAME_ERROR`.

        >>> TokenCount(1000, 1000, "o200k_base").billed(times=3), TokenCount(10, 20, None).billed()
        ((2880, 3120), (10, 20))
        """
        error = FRAME_ERROR if self.exact else 0.0
        return math.floor(self.low * times * (1 - error)), math.ceil(self.high * times * (1 + error))

    def __str__(self) -> str:
        if self.exact:
            return f"{self.low:,} tokens, counted with {self.vocabulary}"
        return f"{self.low:,}–{self.high:,} tokens, a range from the length of the text"


def count_tokens(rows: Iterable[Row], model: str | None = None) -> TokenCount:
    """The tokens of the rows, each seen once, as ``model`` counts them.

    A chat counts 4 for each message and 1 for itself besides its contents, as OpenAI billed; a preference counts as two
    chats, a pair as its two texts.

    Args:
        model: a folder, a hub id, or the name of an OpenAI model, tuned ones (``ft:…``) too.

    >>> chat = Chat(({"role": "user", "content": "hello world"}, {"role": "assistant", "content": "hi"}))
    >>> print(count_tokens([chat]))
    12–22 tokens, a range from the length of the text
    """
    found = tokenizer(model)
    low = high = 0
    for row in rows:
        for texts, frame in _counted(row):
            if found:
                low += frame + sum(map(found[0], texts))
            else:
                low += frame + sum(map(at_least, texts))
                high += frame + sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return TokenCount(low, low, found[1]) if found else TokenCount(low, high, None)


def at_least(text: str) -> int:
    """Tokens that the text has in any vocabulary in use, if it is prose."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


@cache
def tokenizer(model: str | None) -> tuple[Callable[[str], int], str] | None:
    """(text → its number of tokens, the vocabulary's name), or None where none is at hand."""
    if model is None:
        return None
    encoding = encoding_of(model)
    if encoding:
        return _openai_vocabulary(encoding)
    name = str(model)
    folder = Path(__file__).parent / "models" / name  # the embedded model, by its name
    return _own_tokenizer(str(folder) if folder.is_dir() and "/" not in name else name)


def encoding_of(model: str) -> str | None:
    """The name of an OpenAI model's encoding.

    >>> encoding_of("ft:gpt-4.1-mini-2025-04-14:org::abc"), encoding_of("gpt-4-0613"), encoding_of("phi-2")
    ('o200k_base', 'cl100k_base', None)
    """
    base = str(model).removeprefix("ft:").partition(":")[0]
    fits = [start for start in prices()["encodings"] if base == start or base.startswith(f"{start}-")]
    return prices()["encodings"][max(fits, key=len)] if fits else None


def _openai_vocabulary(encoding: str):
    if find_spec("bpe_openai"):
        import bpe_openai  # carries the vocabularies, byte for byte those that tiktoken downloads

        counted = bpe_openai.get_encoding(encoding)
    elif find_spec("tiktoken") and _cached_by_tiktoken(encoding):
        import tiktoken  # 1 s

        counted = tiktoken.get_encoding(encoding)
    else:
        return None
    return lambda text: len(counted.encode_ordinary(text)), encoding


def _cached_by_tiktoken(encoding: str) -> bool:
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    folder = Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache")
    return (folder / hashlib.sha1(VOCABULARIES.format(encoding).encode()).hexdigest()).is_file()


def _own_tokenizer(model: str):
    if not Path(model).is_dir() and not ("/" in model and find_spec("huggingface_hub") and _in_hub_cache(model)):
        return None
    from transformers import AutoTokenizer  # seconds

    try:
        loaded = AutoTokenizer.from_pretrained(model, local_files_only=True)
    except (OSError, ValueError, KeyError):  # a folder without a tokenizer
        return None
    return lambda text: len(loaded(text, add_special_tokens=False).input_ids), f"the tokenizer of {Path(model).name}"


def _in_hub_cache(model: str) -> bool:
    from huggingface_hub import try_to_load_from_cache  # 0.3 s
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(model, "tokenizer_config.json"), str)
    except HFValidationError:
        return False


def _counted(row: Row) -> list[tuple[list[str], int]]:
    """(texts, tokens around them) of each part of the row that is counted."""
    if isinstance(row, Pair):
        return [([row.anchor, row.positive], 0)]
    chats = [row] if isinstance(row, Chat) else row.answers
    texts = [[message.get("content") or "" for message in chat.messages] for chat in chats]
    return [(one, MESSAGE_TOKENS * len(one) + EXAMPLE_TOKENS) for one in texts]
