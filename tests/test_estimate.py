"""Tokens and dollars before anything is sent."""

import pytest

from ftkit.data import Chat, Dataset
from ftkit.estimate import auto_epochs, estimate, priced, prices


def rows(n: int, text: str) -> Dataset:
    return Dataset((Chat(({"role": "user", "content": text}, {"role": "assistant", "content": "ok"})),) * n)


@pytest.mark.parametrize("model, usd", [("gpt-4o-mini-2024-07-18", 4.50), ("gpt-4o-2024-08-06", 37.50)])
def test_the_worked_example_of_the_lesson(model, usd):
    """1,000 examples of 500 tokens, seen 3 times: 1.5 M tokens."""
    cost = priced(1000 * 500 * 3, 1000 * 500 * 3, model)
    assert (cost.usd_low, cost.usd_high) == (usd, usd)
    assert str(cost).startswith(f"1,500,000 tokens · ${usd:.2f} · ") and "2027-01-14" in str(cost)


@pytest.mark.parametrize("text", ["Where is my order 74937?", "Đơn hàng của tôi ở đâu?", "订单在哪里？"])
def test_the_range_holds_what_a_real_tokenizer_counts(text):
    """GPT-2's byte-pair encoding, embedded with the small model, as the witness."""
    from pathlib import Path

    from tokenizers import Tokenizer

    import ftkit

    tokenizer = Tokenizer.from_file(str(Path(ftkit.__file__).parent / "models" / "phi-11m" / "tokenizer.json"))
    counted = 20 * (4 + len(tokenizer.encode(text).ids) + 4 + len(tokenizer.encode("ok").ids) + 1)
    cost = estimate(rows(20, text), epochs=1)
    assert cost.tokens_low <= counted <= cost.tokens_high


def test_epochs_multiply_the_cost_and_auto_is_resolved():
    one, auto = (estimate(rows(50, "hello"), epochs, "gpt-4o-2024-08-06") for epochs in (1, "auto"))
    assert auto.tokens_low == 3 * one.tokens_low and auto.usd_high == pytest.approx(3 * one.usd_high)


@pytest.mark.parametrize("n, epochs", [(1, 25), (4, 25), (10, 10), (33, 3), (34, 3), (8333, 3), (8334, 2), (30_000, 1)])
def test_auto_epochs_follow_the_published_rule(n, epochs):
    assert auto_epochs(n) == epochs


def test_an_unknown_model_has_no_price_until_one_is_given():
    assert priced(1000, 2000, "new").usd_high is None and "price unknown" in str(priced(1000, 2000, "new"))
    assert priced(1_000_000, 2_000_000, "new", usd_per_million=2.0).usd_high == 4.0


def test_every_price_is_dated_and_has_a_source():
    table = prices()
    assert table["as_of"] and table["source"].startswith("https://")
    for entry in table["training"].values():
        assert entry["usd_per_million_tokens"] > 0 and entry["shutdown"] > "2026"
