"""Counting tokens: exactly where a vocabulary is at hand, else as a range that says so."""

import gzip
import hashlib
from pathlib import Path

import pytest

import ftkit as ft
from ftkit import tokens
from ftkit.data import Chat, Pair, Preference
from ftkit.estimate import estimate

TEXTS = ["hello world", "Đơn hàng của tôi ở đâu?", "def f(x):\n    return x ** 2", "订单在哪里？", "🎉 it’s done", ""]


def chat(user: str, answer: str = "ok") -> Chat:
    return Chat(({"role": "user", "content": user}, {"role": "assistant", "content": answer}))


@pytest.fixture
def nothing_at_hand(monkeypatch, tmp_path):
    """A machine without vocabularies: the package is not installed and tiktoken's cache is empty."""
    monkeypatch.setattr(tokens, "find_spec", lambda name: None if name == "bpe_openai" else object())
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    tokens.tokenizer.cache_clear()
    yield tmp_path
    tokens.tokenizer.cache_clear()


@pytest.fixture
def cached_by_tiktoken(nothing_at_hand):
    """The same machine once tiktoken has cached o200k_base; the bytes are those whose SHA-256 tiktoken demands."""
    import bpe_openai

    packed = Path(bpe_openai.__file__).parent / "data" / "o200k_base.tiktoken.gz"
    name = hashlib.sha1(tokens.VOCABULARIES.format("o200k_base").encode()).hexdigest()
    (nothing_at_hand / name).write_bytes(gzip.decompress(packed.read_bytes()))


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("ft:gpt-4.1-mini-2025-04-14:my-org:suffix:abc123", "o200k_base"),
        ("ft:gpt-4.1-mini", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("ft:gpt-4o-2024-08-06:org::id", "o200k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("ft:gpt-3.5-turbo:org:x:y", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
    ],
)
def test_a_models_encoding_is_that_of_its_base(model, encoding):
    import tiktoken

    assert tokens.encoding_of(model) == encoding
    base = model.removeprefix("ft:").partition(":")[0]
    assert tiktoken.encoding_name_for_model(base) == encoding, "tiktoken is the witness"


@pytest.mark.parametrize("model", ["gpt-4.7", "gpt-4ox", "microsoft/phi-2", "phi-11m", "", "ft:"])
def test_an_unknown_model_gets_no_encoding_rather_than_a_wrong_one(model):
    assert tokens.encoding_of(model) is None


def test_counts_are_known_from_openais_own_examples():
    """The cookbook of tiktoken gives 6 tokens for this in both encodings; the words differ."""
    count = tokens.tokenizer("gpt-4o")[0]
    assert count("tiktoken is great!") == 6 and count("hello world") == 2
    assert tokens.tokenizer("gpt-4")[0]("Đơn hàng của tôi ở đâu?") == 13 > count("Đơn hàng của tôi ở đâu?") == 8


def test_tiktoken_counts_the_same_from_its_cache(cached_by_tiktoken):
    from_cache = tokens.tokenizer("gpt-4o")
    import bpe_openai

    package = bpe_openai.get_encoding("o200k_base")
    assert from_cache[1] == "o200k_base"
    assert [from_cache[0](text) for text in TEXTS] == [len(package.encode_ordinary(text)) for text in TEXTS]


def test_a_text_that_names_a_special_token_is_counted_like_any_other():
    assert tokens.tokenizer("gpt-4o")[0]("<|endoftext|>") > 1


def test_without_a_vocabulary_nothing_is_downloaded_and_the_range_says_so(nothing_at_hand, monkeypatch):
    import requests

    monkeypatch.setattr(requests, "get", lambda *_, **__: pytest.fail("asked the network"))
    counted = ft.count_tokens([chat(text) for text in TEXTS], "gpt-4o")
    assert not counted.exact and counted.low < counted.high and "a range from the length of the text" in str(counted)


def test_the_range_holds_the_exact_count():
    rows = [chat(text) for text in TEXTS]
    ranged, exact = ft.count_tokens(rows), ft.count_tokens(rows, "gpt-4o")
    assert exact.exact and ranged.low <= exact.low == exact.high <= ranged.high


def test_a_chat_counts_four_a_message_and_one_a_row_besides_its_contents():
    exact = ft.count_tokens([chat("hello world", "hello")] * 3, "gpt-4o")
    assert exact.low == 3 * (4 + 2 + 4 + 1 + 1)
    assert str(exact) == "36 tokens, counted with o200k_base"


def test_a_preference_counts_as_two_chats_and_a_pair_as_its_texts():
    asked = ({"role": "user", "content": "hello world"},)
    assert ft.count_tokens([Preference(asked, "hello", "hello world")], "gpt-4o").low == (4 + 2 + 4 + 1 + 1) + (4 + 2 + 4 + 2 + 1)
    assert ft.count_tokens([Pair("hello world", "hello")], "gpt-4o").low == 3


@pytest.mark.parametrize("by", ["folder", "name"])
def test_a_models_own_tokenizer_is_used(by):
    from tokenizers import Tokenizer

    folder = Path(ft.__file__).parent / "models" / "phi-11m"
    witness = Tokenizer.from_file(str(folder / "tokenizer.json"))
    count, vocabulary = tokens.tokenizer(str(folder) if by == "folder" else "phi-11m")
    assert [count(text) for text in TEXTS] == [len(witness.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    assert vocabulary == "the tokenizer of phi-11m"


def test_tokens_that_a_tokenizer_puts_around_a_text_are_not_counted(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    own = Tokenizer(models.WordLevel({"[CLS]": 0, "[UNK]": 1, "hello": 2}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
    PreTrainedTokenizerFast(tokenizer_object=own, unk_token="[UNK]").save_pretrained(tmp_path)
    assert tokens.tokenizer(str(tmp_path))[0]("hello hello") == 2


@pytest.mark.parametrize("model", ["no-such-model", "nobody/nothing-like-this", "a/b/c", "../..", "."])
def test_a_model_without_a_tokenizer_at_hand_gives_a_range(model):
    assert not ft.count_tokens([chat("x")], model).exact


def test_an_estimate_says_how_it_counted_and_allows_four_percent():
    rows = ft.Dataset((chat("hello world", "hello"),) * 1000)
    cost = estimate(rows, 3, "gpt-4o-mini-2024-07-18")
    exact = 1000 * 12 * 3
    assert (cost.tokens_low, cost.tokens_high) == (pytest.approx(exact * 0.96, abs=1), pytest.approx(exact * 1.04, abs=1))
    assert "counted with o200k_base, ± 4 %" in str(cost) and "2027-01-14" in str(cost)
    assert "a range from the text" in str(estimate(rows, 3, "some-model", usd_per_million=1.0))
