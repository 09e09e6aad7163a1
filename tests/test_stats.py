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


def test_the_paired_interval_of_shares_is_bonett_and_prices():
    # gained 5 of 20, lost 0: p+ = 6/22, p- = 1/22, their difference 5/22 ± 1.96·√((7/22 − (5/22)²)/22)
    low, high = stats.paired_interval([0] * 20, [0] * 15 + [1] * 5)
    half = 1.959964 * ((7 / 22 - (5 / 22) ** 2) / 22) ** 0.5
    assert (low, high) == (pytest.approx(5 / 22 - half), pytest.approx(5 / 22 + half))


def test_no_row_changed_is_not_certainty():
    low, high = stats.paired_interval([1] * 50, [1] * 50)
    assert low == -high and 0.03 < high < 0.06


def test_mcnemar_is_the_binomial_test_on_the_rows_that_changed():
    before, after = [0] * 9 + [1] * 2 + [1] * 30, [1] * 9 + [0] * 2 + [1] * 30
    # two-sided: 2·(1 + 11 + 55)/2^11, since 9 gains and 2 losses are as far from half as 10:1, 11:0 and their mirrors
    assert stats.paired_test(before, after) == (pytest.approx(2 * (1 + 11 + 55) / 2**11), "McNemar")
    assert stats.paired_test([1, 0], [1, 0]) == (1.0, "McNemar")


def test_few_rows_are_permuted_in_every_way():
    # all five differences are positive: 2 of the 2^5 ways to set the signs are as extreme
    p, name = stats.paired_test([0.1, 0.2, 0.3, 0.4, 0.5], [0.2, 0.4, 0.6, 0.7, 0.9])
    assert (p, name) == (pytest.approx(2 / 32), "permutation")


def test_the_permutation_test_agrees_with_the_t_test_on_many_rows():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    before = rng.normal(0, 1, 200)
    after = before + rng.normal(0.1, 1, 200)
    assert stats.paired_test(before, after)[0] == pytest.approx(ttest_rel(before, after).pvalue, abs=0.02)


def test_the_swap_test_on_a_mean_agrees_with_mcnemar():
    before, after = [0] * 9 + [1] * 2 + [1] * 30, [1] * 9 + [0] * 2 + [1] * 30
    both = np.array(before + after)
    p = stats.swap_test(lambda rows: both[rows].mean(), len(before))
    assert p == pytest.approx(stats.paired_test(before, after)[0], abs=0.02)
    assert stats.swap_test(lambda rows: 0.5, 10) == 1.0


def test_a_recommended_number_of_rows_finds_the_difference_four_times_in_five():
    rng = np.random.default_rng(0)
    low, high = 0.1 - 1.96 * 0.1, 0.1 + 1.96 * 0.1  # a mean of 0.1 whose standard error is 0.1 on 100 rows: sd = 1
    rows = stats.rows_needed(100, 0.1, low, high)
    means = rng.normal(0.1, 1 / rows**0.5, 4000)
    found = np.abs(means) > 1.96 / rows**0.5
    assert found.mean() == pytest.approx(0.8, abs=0.02)
    assert stats.rows_needed(100, 0.0, -0.1, 0.1) is None


def coverage(draw, truth: float, find, times: int) -> float:
    """How often ``find(draw(rng), seed)`` holds the truth."""
    rng = np.random.default_rng(2026)
    found = [find(draw(rng), i) for i in range(times)]
    return sum(low <= truth <= high for low, high in found) / times


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(50, 0.5), (100, 0.9), (100, 0.7), (200, 0.95)])
def test_95_percent_intervals_of_shares_hold_the_truth_93_to_97_times_in_100(n, share):
    held = coverage(lambda rng: [int(x) for x in rng.random(n) < share], share, stats.interval, 2000)
    assert 0.93 <= held <= 0.97


@pytest.mark.parametrize(("n", "lost", "gained"), [(50, 0.05, 0.15), (100, 0.05, 0.15), (100, 0.02, 0.48), (200, 0.1, 0.1)])
def test_95_percent_intervals_of_paired_shares_hold_the_truth_93_to_97_times_in_100(n, lost, gained):
    def draw(rng):
        change = rng.choice([-1, 0, 1], n, p=[lost, 1 - lost - gained, gained])
        return [int(x == -1) for x in change], [int(x == 1) for x in change]

    assert 0.93 <= coverage(draw, gained - lost, lambda rows, i: stats.paired_interval(*rows), 2000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: rng.beta(5, 1, 100), 5 / 6),
        (lambda rng: rng.beta(0.5, 0.5, 60), 0.5),
        (lambda rng: rng.choice([0, 0.5, 1], 100, p=[0.3, 0.2, 0.5]), 0.6),
        (lambda rng: rng.exponential(1, 200), 1.0),
    ],
    ids=["skewed", "u-shaped", "votes with ties", "long tail"],
)
def test_95_percent_bootstrap_intervals_hold_the_truth_93_to_97_times_in_100(draw, truth):
    assert 0.93 <= coverage(draw, truth, stats.interval, 2000) <= 0.97


@pytest.mark.slow
def test_the_95_percent_interval_of_a_corpus_metrics_change_holds_the_truth_93_to_97_times_in_100():
    """Micro F1 over two labels is accuracy, whose truth is known; both models answer the same rows."""
    from ftkit.metrics.classify import f1

    def draw(rng):
        want = rng.integers(0, 2, 150)
        return want, np.where(rng.random(150) < 0.7, want, 1 - want), np.where(rng.random(150) < 0.8, want, 1 - want)

    def find(rows, seed):
        want, a, b = (list(map(str, column)) for column in rows)
        first, second = f1("micro").prepare(want, a), f1("micro").prepare(want, b)

        def change(rows):
            return second(rows) - first(rows)

        change.vectorized = True
        return stats.bootstrap(change, 150, seed)

    assert 0.93 <= coverage(draw, 0.1, find, 400) <= 0.97
