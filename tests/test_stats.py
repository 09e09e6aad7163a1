"""Intervals against an independent oracle and by simulation."""

import numpy as np
import pytest

from ftkit import stats


def test_the_interval_of_shares_is_wilsons():
    # Brown, Cai and DasGupta 2001: z = 1.96, n = 20, x = 4
    low, high = stats.interval([1] * 4 + [0] * 16)
    assert (round(low, 4), round(high, 4)) == (0.0807, 0.416)


def test_the_bootstrap_agrees_with_the_normal_interval_on_many_rows():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = stats.interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


def test_the_paired_interval_is_narrow_where_rows_move_together():
    rng = np.random.default_rng(0)
    before = rng.normal(0, 5, 200)
    after = before + 0.5 + rng.normal(0, 0.1, 200)
    low, high = stats.paired_interval(before, after)
    assert 0.45 < low < 0.5 < high < 0.55


def test_a_paired_interval_of_unequal_lengths_is_refused():
    with pytest.raises(ValueError):
        stats.paired_interval([1, 2], [1])


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = 0
    for i in range(200):
        low, high = stats.interval(rng.exponential(1.0, 150), seed=i)
        hits += low <= 1.0 <= high
    assert 0.90 <= hits / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval():
    values = list(np.random.default_rng(0).random(50))
    assert stats.interval(values, seed=3) == stats.interval(values, seed=3) != stats.interval(values, seed=4)
