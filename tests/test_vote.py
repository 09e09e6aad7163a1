"""Blind side-by-side votes: the part without a screen."""

import json
import math
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ftkit.errors import DataError
from ftkit.files import append_line, read_lines
from ftkit.report import Answer, Report
from ftkit.vote import Tally, Vote, agreement, ballot


def report(name: str, answers) -> Report:
    rows = tuple(Answer(f"question {i}", "", text) for i, text in enumerate(answers))
    return Report(name, "test", "f" * 64, rows, {}, 0.0, {})


BEFORE, AFTER = report("base", [f"old {i}" for i in range(40)]), report("tuned", [f"new {i}" for i in range(40)])


def vote_for(one, prefix: str) -> Vote:
    pairing = one.next()
    return one.vote("left" if pairing.left.startswith(prefix) else "right")


def test_sides_are_tossed_by_a_seeded_coin_and_the_winner_is_told_right(tmp_path):
    one = ballot(BEFORE, AFTER, tmp_path / "votes.jsonl", seed=3)
    while one.next():
        assert vote_for(one, "new").winner == "after"
    sides = [vote.side for vote in one.votes]
    assert 10 < sides.count("left") < 30, "the better model stands on either side"
    again = ballot(BEFORE, AFTER, tmp_path / "other.jsonl", seed=3)
    assert (again.rows, again.flipped) == (one.rows, one.flipped)
    assert ballot(BEFORE, AFTER, tmp_path / "x", seed=4).rows != one.rows
    assert ballot(BEFORE, AFTER, tmp_path / "x", seed=3, rater="An").flipped != one.flipped


def test_what_is_shown_does_not_tell_whose_answer_it_is(tmp_path):
    pairing = ballot(BEFORE, AFTER, tmp_path / "votes.jsonl").next()
    assert not {"base", "tuned", "before", "after"} & set(str(pairing).replace("'", " ").split())


def test_a_vote_is_on_disk_at_once_and_a_new_kernel_goes_on(tmp_path):
    path = tmp_path / "votes.jsonl"
    one = ballot(BEFORE, AFTER, path, rows=10)
    first = one.next()
    one.vote("tie")
    assert json.loads(path.read_text())["winner"] == "tie"
    again = ballot(BEFORE, AFTER, path, rows=10)
    assert again.done == 1 and again.next().row != first.row
    for _ in range(9):
        again.vote("left")
    assert again.next() is None and "10 of 10" in repr(again)
    with pytest.raises(DataError, match="all 10 rows have me's vote"):
        again.vote("left")


def test_half_a_line_left_by_a_crash_costs_nobodys_vote(tmp_path):
    path = tmp_path / "votes.jsonl"
    ballot(BEFORE, AFTER, path).vote("left")
    with open(path, "ab") as file:
        file.write(b'{"row": 3, "rat')
    ballot(BEFORE, AFTER, path).vote("right")
    assert len(ballot(BEFORE, AFTER, path).votes) == 2 and len(path.read_bytes().splitlines()) == 3


def test_votes_about_other_models_or_another_test_set_in_the_same_file_do_not_count(tmp_path):
    path = tmp_path / "votes.jsonl"
    ballot(BEFORE, AFTER, path).vote("left")
    assert ballot(BEFORE, report("another", [f"x {i}" for i in range(40)]), path).done == 0
    elsewhere = [replace(one, fingerprint="0" * 64) for one in (BEFORE, AFTER)]
    assert ballot(*elsewhere, path).done == 0 and ballot(BEFORE, AFTER, path).done == 1


def test_identical_answers_are_not_asked_and_all_identical_is_announced(tmp_path):
    half = report("tuned", [f"old {i}" if i < 30 else "new" for i in range(40)])
    assert sorted(ballot(BEFORE, half, tmp_path / "v").rows) == list(range(30, 40))
    with pytest.raises(DataError, match="ALL ANSWERS ARE IDENTICAL"):
        ballot(BEFORE, report("tuned", [answer.got for answer in BEFORE.answers]), tmp_path / "v")
    with pytest.raises(DataError, match="side must be one of left, tie, right; got 'LEFT'"):
        ballot(BEFORE, AFTER, tmp_path / "v").vote("LEFT")


def votes(winners: str, rater="me") -> list[Vote]:
    names = {"a": "after", "b": "before", "t": "tie"}
    return [Vote(i, rater, names[w], "tie" if w == "t" else "left") for i, w in enumerate(winners) if w != "."]


def test_the_win_rate_by_hand():
    found = Tally("base", "tuned", tuple(votes("a" * 14 + "b" * 4 + "tt")))
    assert found.win_rate.value == (14 + 2 / 2) / 20
    # sign test: 14 of 18, two-sided
    assert found.p == pytest.approx(2 * sum(math.comb(18, k) for k in range(14, 19)) / 2**18)
    assert found.words == "tuned is preferred" and "14 for tuned, 4 for base, 2 ties" in str(found)
    assert found._repr_html_().startswith("<table>")


def test_a_preference_within_the_noise_says_how_many_rows_it_would_take():
    found = Tally("base", "tuned", tuple(votes("aaaaaabbbb")))
    assert "not enough evidence: a preference of this size needs about" in found.words
    assert "about equally" in Tally("base", "tuned", tuple(votes("aabb"))).words
    unanimous = Tally("base", "tuned", tuple(votes("aaaaa")))  # an interval above one half, but p is 2/2^5
    assert "needs about 7 more rows" in unanimous.words
    with pytest.raises(DataError, match="no votes yet"):
        Tally("base", "tuned", ()).win_rate


def test_two_raters_of_a_row_are_not_two_rows():
    one = Tally("base", "tuned", tuple(votes("aaab")))
    both = Tally("base", "tuned", tuple(votes("aaab") + votes("aaab", "An")))
    assert both.win_rate == one.win_rate and both.p == one.p
    assert "alpha 1.00" in str(both)


def test_alpha_is_the_formula_worked_by_hand():
    # Nominal by hand where only two values occur: units aa ab bb: Do = 2/6, De = 2·3·3/(6·5) = 0.6, alpha = 1 − (1/3)/0.6
    found = agreement(votes("aab") + votes("abb", "An"))
    assert found == pytest.approx(1 - (2 / 6) / (18 / 30))
    assert agreement(votes("aabb") + votes("bbaa", "An")) < 0
    assert math.isnan(agreement(votes("ab"))) and math.isnan(agreement(votes("aa") + votes("aa", "An")))
    assert agreement(votes("aat.") + votes("a.tb", "An")) == pytest.approx(1.0)


def test_a_tie_is_nearer_to_either_side_than_the_other_side():
    """The ordinal formula by hand (Krippendorff 2004, §11.3): units bb, bt, ta, aa; n_b 3, n_t 2, n_a 3.

    d²(b,t) = d²(t,a) = (3 + 2 − 5/2)² = 6.25, d²(b,a) = (8 − 3)² = 25; Do = 2·(6.25 + 6.25)/8,
    De = 2·(6·6.25 + 6·6.25 + 9·25)/(8·7). On a nominal scale it would be 1/3.
    """
    found = agreement(votes("bbta") + votes("btaa", "An"))
    assert found == pytest.approx(1 - (2 * 12.5 / 8) / (2 * 300 / 56)) == pytest.approx(0.7083, abs=1e-4)


def test_a_writer_waits_while_another_one_holds_the_file(tmp_path):
    import threading

    import portalocker

    path = tmp_path / "log.jsonl"
    append_line(path, {"i": 0})
    with open(path, "ab") as held:
        portalocker.lock(held, portalocker.LockFlags.EXCLUSIVE)
        writer = threading.Thread(target=append_line, args=(path, {"i": 1}))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive() and path.read_bytes().count(b"\n") == 1
        portalocker.unlock(held)
    writer.join()
    assert read_lines(path) == [{"i": 0}, {"i": 1}]


def write_many(path: Path, name: str, times: int) -> None:
    for i in range(times):
        append_line(path, {"who": name, "i": i, "text": "hoá đơn " * 50})


def test_many_processes_append_at_once_and_no_line_is_lost_or_torn(tmp_path):
    path = tmp_path / "log.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(path, str(n), 50)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = read_lines(path)
    assert sorted((line["who"], line["i"]) for line in found) == sorted((str(n), i) for n in range(4) for i in range(50))
    assert len(path.read_bytes().splitlines()) == 200


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX's")
def test_a_writer_killed_at_work_loses_nothing_it_was_told_is_saved_and_locks_nobody_out(tmp_path):
    path = tmp_path / "log.jsonl"
    writer = multiprocessing.get_context("spawn").Process(target=write_many, args=(path, "killed", 1_000_000))
    writer.start()
    while not path.exists() or path.stat().st_size < 20_000:
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    append_line(path, {"who": "next"})
    found = read_lines(path)
    assert found[-1] == {"who": "next"}
    assert [line["i"] for line in found[:-1]] == list(range(len(found) - 1))
