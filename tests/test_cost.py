"""What answering costs, by hand."""

import json
from dataclasses import replace

import pytest

from ftkit.cost import HOURS_PER_MONTH, inference_cost, serving_cost
from ftkit.errors import FtkitError
from ftkit.estimate import prices

COST = serving_cost(
    model="any",
    input_tokens=1_000,
    output_tokens=500,
    requests_per_second=1,
    training_tokens=2_000_000,
    training_hours=(4, 8),
    gpu="mine",
    months=10,
    usd_per_million=(1.0, 4.0),
    usd_per_million_training=3.0,
    usd_per_hour=(2.0, 3.0),
)


def test_a_volume_by_hand():
    # hosted: 2 M · $3 = $6; a request: 1,000 · $1/M + 500 · $4/M = $0.003
    assert COST.hosted(0) == 6 and COST.hosted(10_000) == pytest.approx(6 + 10 * 10_000 * 0.003)
    # own: 4 h · $2 = $8 to 8 h · $3 = $24 (the curriculum's A100); 730 h · $2 = $1,460 a month to $2,190
    assert COST.self_hosted(10_000) == (8 + 10 * 1_460, 24 + 10 * 2_190)
    # one GPU answers 3,600 · 730 = 2,628,000 a month
    assert COST.gpus(2_628_000) == 1 and COST.gpus(2_628_001) == 2 and COST.gpus(0) == 1
    assert COST.self_hosted(3_000_000)[0] == 8 + 20 * 1_460


def test_the_break_even_is_where_both_cost_the_same():
    low, high = COST.break_even
    assert COST.hosted(low) == pytest.approx(COST.self_hosted(low)[0])
    assert COST.hosted(high) == pytest.approx(COST.self_hosted(high)[1])
    for volume in (0.99 * low, 1.01 * low):
        assert (COST.hosted(volume) > COST.self_hosted(volume)[0]) == (volume > low)
    assert (round(low), round(high)) == (486_733, 730_600)  # (1,460 + 0.2) / 0.003 and (2,190 + 1.8) / 0.003
    assert "pays from about 490,000 to 730,000 requests a month" in COST.words


@pytest.mark.parametrize("seed", range(30))
def test_the_break_even_is_the_first_volume_that_pays_also_with_many_gpus(seed):
    import random

    draw = random.Random(seed)
    cost = replace(
        COST,
        hosted_training_usd=draw.choice([0, 500, 50_000]),
        gpu_training_usd=(draw.choice([0, 300, 20_000]),) * 2,
        requests_per_gpu=draw.choice([100_000, 490_000, 1_000_000]),
    )
    found = cost.break_even[0]
    volumes = [step * 10_000 for step in range(0, 2_000)]
    paying = next((n for n in volumes if cost.hosted(n) >= cost.self_hosted(n)[0]), None)
    if found is None:
        assert paying is None
    elif found < volumes[-1]:
        assert paying is not None and paying - 10_000 < found <= paying + 1


def test_a_gpu_that_is_dearer_even_when_always_busy_never_pays():
    slow = replace(COST, requests_per_gpu=400_000)  # worth $1,200 a month hosted, and rented for $1,460
    assert slow.break_even == (None, None) and "never pays" in slow.words
    between = replace(COST, requests_per_gpu=600_000)
    assert between.break_even[0] and between.break_even[1] is None and "never at its highest" in between.words


def test_every_price_is_dated_and_can_be_replaced():
    cost = serving_cost(model="gpt-4o-mini-2024-07-18", input_tokens=100, output_tokens=10, requests_per_second=1)
    assert "as of 2026-" in cost.prices and "$0.3 in and $1.2 out" in cost.prices
    assert "as you said" in COST.prices and "as of" not in COST.prices
    table = prices()
    assert table["inference"]["as_of"] and table["inference"]["source"]
    assert all(gpu["as_of"] and gpu["source"] for gpu in table["gpus"].values() if "usd_per_hour_low" in gpu)
    for price in table["inference"]["models"].values():
        assert price["tuned"][0] >= price["base"][0] and price["tuned"][1] >= price["base"][1]


def test_what_no_price_is_known_for_is_refused_with_the_argument_that_helps():
    known = {"input_tokens": 1, "output_tokens": 1, "requests_per_second": 1}
    with pytest.raises(FtkitError, match="no usd_per_million for 'new'; pass usd_per_million="):
        serving_cost(model="new", **known)
    with pytest.raises(FtkitError, match="no usd_per_hour for 'B9'; pass usd_per_hour="):
        serving_cost(model="gpt-4o-2024-08-06", gpu="B9", **known)
    with pytest.raises(FtkitError, match="requests_per_second must be above 0; got 0"):
        serving_cost(model="gpt-4o-2024-08-06", **known | {"requests_per_second": 0})


def test_inference_is_priced_from_both_ends():
    found = inference_cost(["x" * 60] * 100, 20, "mine", (0.15, 0.60))
    assert (found.tokens_low, found.tokens_high) == (100 * (5 + 10), 100 * (5 + 60 + 20))
    assert found.usd_high == pytest.approx((100 * 65 * 0.15 + 100 * 20 * 0.60) / 1e6)
    counted = inference_cost(["hello world"], 1, "gpt-4o-mini-2024-07-18")  # 2 tokens and 5 around them, ± 4 %
    assert (counted.tokens_low, counted.tokens_high) == (6, 8 + 1)
    assert inference_cost(["x"], 1, "new").usd_high is None and "no price" in inference_cost(["x"], 1, "new").price


def test_the_picture_says_in_words_what_it_shows():
    from ftkit.plots import break_even

    shown = break_even(COST)
    assert shown.text == COST.words and shown.png.startswith(b"\x89PNG")
    assert break_even(replace(COST, requests_per_gpu=400_000)).png
    assert json.dumps(COST._repr_html_()) and COST.words in str(COST) and HOURS_PER_MONTH == 24 * 365 / 12
