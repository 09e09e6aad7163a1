"""Splits: seeded, stratified, grouped, without leaks."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftkit import DataError, Pair
from ftkit.data import Dataset
from ftkit.split import assign, near_duplicates, words


def label(row) -> str:
    import json

    return json.loads(row.answer)["queue"]


def test_the_same_seed_gives_the_same_split_and_another_seed_another(tickets):
    one, two, other = tickets.split(seed=0), tickets.split(seed=0), tickets.split(seed=1)
    assert one.fingerprints == two.fingerprints != other.fingerprints


def test_every_row_lands_in_exactly_one_part(tickets):
    split = tickets.split(seed=3)
    places = [row.where for part in (split.train, split.val, split.test) for row in part]
    assert Counter(places) == Counter(row.where for row in tickets)


def test_no_test_row_has_a_near_duplicate_in_train(tickets):
    split = tickets.split(seed=0)
    seen = {words(row.text) for row in split.train} | {words(row.text) for row in split.val}
    for row in split.test:
        mine = words(row.text)
        closest = max(len(mine & other) / len(mine | other) for other in seen)
        assert closest < 0.8, row


def test_the_parts_keep_the_balance_of_labels(tickets):
    split = tickets.split(seed=0, stratify="queue")
    whole = Counter(map(label, tickets))
    for part, size in ((split.train, 0.8), (split.val, 0.1), (split.test, 0.1)):
        for queue, count in Counter(map(label, part)).items():
            assert abs(count - size * whole[queue]) <= 3, (queue, count)


def test_short_answers_that_repeat_are_stratified_without_being_asked():
    from ftkit import Chat

    texts = [f"{word} {i * 7919}" for i, word in enumerate("abcdefghijklmnopqrstuvwxyz" * 4)]
    rows = tuple(
        Chat(({"role": "user", "content": f"{text} {chr(97 + i % 26)}{i}x"}, {"role": "assistant", "content": "yes" if i % 4 else "no"}))
        for i, text in enumerate(texts)
    )
    split = Dataset(rows).split(seed=0)
    assert abs(sum(row.answer == "no" for row in split.test) - len(split.test) / 4) <= 1


def test_groups_stay_whole():
    letters = "abcdefghij"
    rows = tuple(Pair(f"{a}{b} {b}{a}{b} {a}{a}{b}", f"{a}{b}", group=a) for a in letters for b in letters)
    split = Dataset(rows).split(seed=0)
    groups = [{row.group for row in part} for part in (split.train, split.val, split.test)]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert [len(part) for part in (split.train, split.val, split.test)] == [80, 10, 10]


def test_too_few_rows_and_wrong_sizes_are_refused(tickets):
    with pytest.raises(DataError, match="2 rows are too few for a"):
        tickets[:2].split()
    with pytest.raises(DataError, match="three shares that sum to 1"):
        tickets.split(sizes=(0.8, 0.1, 0.2))
    with pytest.raises(DataError, match="stratify='colour' needs answers that are JSON"):
        tickets.split(stratify="colour")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcdefgh ", max_size=16), max_size=25), st.sampled_from([0.5, 0.6, 0.8, 1.0]))
def test_near_duplicates_are_exactly_those_that_a_full_comparison_finds(texts, threshold):
    check_near_duplicates(texts, threshold)


@pytest.mark.parametrize("pairs_up_to", [4, 8, 64])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_near_duplicates_of_one_template_are_found_by_single_words_and_by_pairs(pairs_up_to, monkeypatch, data):
    """Texts that differ in a few words, around the size where the way to look them up changes."""
    monkeypatch.setattr("ftkit.split.PAIRS_UP_TO", pairs_up_to)
    template = [f"{letter}{letter}" for letter in "abcdefghijklmnopqrst"][: data.draw(st.integers(2, 20))]
    word = st.sampled_from([*template, *"vwxyz"])
    change = st.dictionaries(st.integers(0, len(template) - 1), word, max_size=4)
    texts = [
        " ".join(changed.get(i, usual) for i, usual in enumerate(template)) for changed in data.draw(st.lists(change, max_size=25))
    ]
    check_near_duplicates(texts, data.draw(st.sampled_from([0.5, 0.7, 0.8, 0.9])))


def check_near_duplicates(texts, threshold):
    found = near_duplicates(texts, threshold)
    sets = [words(text) for text in texts]
    naive = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            union = len(sets[i] | sets[j])
            if sets[i] == sets[j] or (union and len(sets[i] & sets[j]) >= threshold * union - 1e-9):
                low, high = sorted((naive[i], naive[j]))
                naive = [low if x == high else x for x in naive]
    assert [found[i] for i in range(len(texts))] == naive


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from("ab"), st.sampled_from("xyz")), max_size=60), st.integers(0, 3))
def test_any_input_is_dealt_out_whole(rows, seed):
    texts, labels, groups = zip(*rows) if rows else ((), (), ())
    parts = assign([f"w{text}q z{text}" for text in texts], (0.8, 0.1, 0.1), seed, list(labels), list(groups))
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))
    for group in set(groups):
        assert sum(any(groups[i] == group for i in part) for part in parts) == 1
