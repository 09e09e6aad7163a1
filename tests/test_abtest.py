"""A/B tests: assignment, the log, the arithmetic against published numbers, and every promise by simulation."""

import math
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from ftkit.abtest import ABTest, effect, mismatch, power, simulate, users_per_arm
from ftkit.errors import DataError, FtkitError
from ftkit.abtest.result import MISMATCH_ALARM
from ftkit.abtest.sequential import always_valid_p, half_width


def test_a_user_keeps_the_arm_and_half_of_all_users_get_each(tmp_path):
    test = ABTest(tmp_path / "ab.jsonl")
    arms = [test.arm(f"user-{i}") for i in range(10_000)]
    assert arms == [ABTest(tmp_path / "other.jsonl").arm(f"user-{i}") for i in range(10_000)]
    assert 4_850 < arms.count("tuned") < 5_150  # three standard deviations
    few = ABTest(tmp_path / "ab.jsonl", share=0.1)
    assert 900 < sum(few.arm(f"user-{i}") == "tuned" for i in range(10_000)) < 1_100


def test_another_salt_divides_the_users_independently(tmp_path):
    one, other = ABTest(tmp_path / "a"), ABTest(tmp_path / "a", salt="b")
    same = sum(one.arm(f"người dùng {i}") == other.arm(f"người dùng {i}") for i in range(10_000))
    assert 4_850 < same < 5_150


def fill(test: ABTest, users: int, rate: dict, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for i in range(users):
        arm = test.arm(f"u{i}")
        test.log(f"u{i}", completed=bool(rng.random() < rate[arm]), quality=float(rng.normal(3, 1)))


def test_a_clear_gain_is_called_better_and_noise_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # 400 flushes are not what is tested here
    test = ABTest(tmp_path / "ab.jsonl")
    fill(test, 400, {"base": 0.4, "tuned": 0.7})
    found = test.result()
    assert sum(found.users) == 400 and not found.alarm
    assert found["completed"].verdict == "better" and 0.15 < found["completed"].low < 0.3 < found["completed"].high < 0.45
    assert found["quality"].verdict == "not enough evidence"
    assert "valid for one look" in str(found) and found._repr_html_().startswith("<table>")
    always = test.result(anytime=True)
    assert always["completed"].verdict == "better" and always["completed"].low < found["completed"].low
    with pytest.raises(KeyError, match="measured were quality, completed"):
        found["satisfaction"]


def test_a_talkative_user_counts_once(tmp_path):
    test = ABTest(tmp_path / "ab.jsonl")
    for value in (1, 0, 1, 1):
        test.log("u1", satisfaction=value)
    test.log("u2")
    assert test.users() == {"u1": {"satisfaction": 0.75}, "u2": {}} and sum(test.result().users) == 2


def test_an_outcome_that_was_not_announced_or_is_no_number_is_refused(tmp_path):
    test = ABTest(tmp_path / "ab.jsonl")
    with pytest.raises(DataError, match="unknown outcome 'qualty'; this test has quality, satisfaction, completed"):
        test.log("u", qualty=3)
    for wrong in (float("nan"), float("inf"), "4", None):
        with pytest.raises(DataError, match="quality must be a finite number"):
            test.log("u", quality=wrong)
    assert not test.path.exists()
    with pytest.raises(FtkitError, match="share must be between 0 and 1"):
        ABTest(tmp_path / "ab.jsonl", share=1)


def test_a_share_changed_half_way_is_found_out(tmp_path):
    test = ABTest(tmp_path / "ab.jsonl")
    for i in range(20):
        test.log(f"u{i}")
    with pytest.raises(DataError, match="under another share; start a new salt"):
        ABTest(tmp_path / "ab.jsonl", share=0.9).result()


def test_no_users_no_verdict(tmp_path):
    found = ABTest(tmp_path / "ab.jsonl").result()
    assert found.users == (0, 0) and found.effects == () and not found.alarm


def serve(path: Path, start: int, users: int) -> None:
    test = ABTest(path)
    for i in range(start, start + users):
        test.log(f"u{i}", completed=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX's")
def test_servers_log_at_once_and_one_that_is_killed_takes_nothing_with_it(tmp_path):
    path, context = tmp_path / "ab.jsonl", multiprocessing.get_context("spawn")
    doomed = context.Process(target=serve, args=(path, 1_000_000, 1_000_000))
    others = [context.Process(target=serve, args=(path, start, 60)) for start in (0, 100)]
    for process in (doomed, *others):
        process.start()
    while not path.exists() or path.read_bytes().count(b'"u1000') < 20:
        time.sleep(0.01)
    os.kill(doomed.pid, signal.SIGKILL)
    for process in (doomed, *others):
        process.join()
    ABTest(path).log("last", completed=False)
    users = ABTest(path).users()
    assert {f"u{i}" for start in (0, 100) for i in range(start, start + 60)} | {"last"} <= set(users)
    killed = sorted(int(user[1:]) for user in users if user[1:].isdigit() and int(user[1:]) >= 1_000_000)
    assert killed == list(range(1_000_000, 1_000_000 + len(killed))) and len(killed) >= 20


def test_a_lost_arm_sets_off_the_alarm_and_silences_the_verdict(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    test = ABTest(tmp_path / "ab.jsonl")
    for i in range(600):
        if test.arm(f"u{i}") == "base" or i % 3:  # a third of the tuned arm is never heard of again
            test.log(f"u{i}", completed=test.arm(f"u{i}") == "tuned")
    found = test.result()
    assert found.alarm and "SAMPLE RATIO MISMATCH" in str(found) and "none: sample ratio mismatch" in found._repr_html_()


def test_the_mismatch_test_is_the_chi_square_test_and_rarely_cries_wolf():
    from scipy.stats import chisquare

    assert mismatch((480, 520)) == pytest.approx(chisquare([480, 520]).pvalue)
    assert mismatch((850, 150), share=0.1) == pytest.approx(chisquare([850, 150], [900, 100]).pvalue)
    fair = np.random.default_rng(0).binomial(2_000, 0.5, 20_000)
    assert np.mean([mismatch((2_000 - n, n)) < MISMATCH_ALARM for n in fair]) < 0.002


def test_sample_sizes_equal_published_ones():
    # The examples of R's power.prop.test and power.t.test: n = 76.7 and n = 22.02, per group, power 0.9
    assert users_per_arm(base=0.5, change=0.25, power=0.9) == 77
    assert users_per_arm(change=1, sd=1, power=0.9) == 23
    assert power(50, base=0.5, change=0.25) == pytest.approx(0.7401, abs=0.001)
    assert power(20, change=1, sd=1) == pytest.approx(0.8690, abs=0.0001)


def test_a_size_or_power_that_makes_no_sense_is_refused():
    with pytest.raises(FtkitError, match="give base= for a share, or sd= for a mean"):
        users_per_arm(change=0.1)
    with pytest.raises(FtkitError, match="must be from 0 to 1"):
        users_per_arm(base=0.9, change=0.2)
    with pytest.raises(FtkitError, match="a change of 0"):
        users_per_arm(base=0.5, change=0)


def test_power_is_how_often_a_simulated_test_finds_the_change():
    users = users_per_arm(base=0.6, change=0.1)
    found = simulate(base=0.6, tuned=0.7, users=users, looks=1, tests=20_000)
    assert found.at_the_end == pytest.approx(0.8, abs=0.01)


def test_the_two_share_interval_and_test_equal_published_and_library_numbers():
    from scipy.stats import chi2_contingency

    found = effect("x", [1] * 56 + [0] * 14, [1] * 48 + [0] * 32)  # Newcombe 1998, table II, example (a), method 10
    assert (-found.high, -found.low) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert found.p == pytest.approx(chi2_contingency([[56, 14], [48, 32]], correction=False).pvalue)


def test_means_are_compared_by_welchs_t():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(0)
    base, tuned = rng.normal(3, 1, 40), rng.normal(3.4, 2, 60)
    theirs = ttest_ind(tuned, base, equal_var=False)
    ours = effect("x", list(base), list(tuned))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval())) and ours.p == pytest.approx(theirs.pvalue)
    nothing = effect("x", [3.0], [4.0, 5.0])
    assert nothing.verdict == "not enough evidence" and nothing.high == math.inf and nothing.words == "not enough evidence"


def held(draw, truth: float, times: int, **how) -> float:
    rng, hits = np.random.default_rng(7), 0
    for _ in range(times):
        found = effect("x", *draw(rng), **how)
        hits += found.low <= truth <= found.high
    return hits / times


@pytest.mark.slow
@pytest.mark.parametrize(("n", "base", "tuned"), [(50, 0.5, 0.6), (100, 0.9, 0.95), (300, 0.6, 0.6)])
def test_95_percent_intervals_of_two_shares_hold_the_truth_93_to_97_times_in_100(n, base, tuned):
    def draw(rng):
        return [int(x) for x in rng.random(n) < base], [int(x) for x in rng.random(n) < tuned]

    assert 0.93 <= held(draw, tuned - base, 2_000) <= 0.97


@pytest.mark.slow
def test_95_percent_intervals_of_two_means_hold_the_truth_93_to_97_times_in_100():
    def draw(rng):  # stars from 1 to 5, unlike spreads
        return list(rng.choice(5, 60, p=[0.1, 0.1, 0.2, 0.3, 0.3]) + 1.0), list(rng.choice([1.0, 5.0], 90, p=[0.25, 0.75]))

    assert 0.93 <= held(draw, 4.0 - 3.6, 2_000) <= 0.97


def test_peeking_calls_false_winners_and_the_always_valid_interval_does_not():
    """Both models are the same. Twenty looks at p < 0.05: about one test in four is fooled (Armitage et al. 1969)."""
    found = simulate(base=0.6, tuned=0.6, users=2_000, looks=20, tests=10_000)
    assert found.at_the_end == pytest.approx(0.05, abs=0.01)
    assert found.peeking[-1] == pytest.approx(0.25, abs=0.02)
    assert found.anytime[-1] <= 0.05
    assert all(a <= b for a, b in zip(found.peeking, found.peeking[1:]))
    assert "25%" in str(found) and "a winner that is none" in str(found)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_look_after_every_user_still_fools_the_always_valid_interval_at_most_once_in_twenty(share):
    found = simulate(base=share, tuned=share, users=1_000, looks=1_000, tests=1_000, worth_seeing=0.05)
    assert found.anytime[-1] <= 0.05 and found.peeking[-1] > 0.3


def test_the_always_valid_interval_finds_what_is_there():
    found = simulate(base=0.5, tuned=0.6, users=2_000, looks=20, tests=1_000)
    assert found.anytime[-1] > 0.95 and found.anytime[-1] > found.anytime[0]


def test_the_simulation_uses_the_same_interval_as_the_result():
    rng = np.random.default_rng(0)
    base, tuned = ([int(x) for x in rng.random(400) < share] for share in (0.5, 0.6))
    found = effect("x", base, tuned, anytime=True, worth_seeing=0.1)
    spread = sum(np.var(arm, ddof=1) / 400 for arm in (base, tuned))
    assert (found.high - found.low) / 2 == pytest.approx(half_width(spread, 0.1))
    assert found.p == pytest.approx(always_valid_p(found.change, spread, 0.1))
    edge = half_width(spread, 0.1)
    assert always_valid_p(edge, spread, 0.1) == pytest.approx(0.05), "the p is 0.05 where the interval touches zero"
    assert effect("x", base[:20], tuned[:20], anytime=True).high == math.inf


def test_the_picture_of_peeking_says_in_words_what_it_shows():
    from ftkit.plots import peeking

    found = simulate(base=0.6, tuned=0.6, tests=200)
    shown = peeking(found)
    assert shown.text == found.words and shown.png.startswith(b"\x89PNG")
