"""The documentation search set: read from the installed libraries, the same wherever they are the same."""

import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from ftkit.data import SearchSet
from ftkit.datasets.library_docs import FEWEST_WORDS, MOST_PARAMETERS, library_docs
from ftkit.errors import DataError

SMALL = ("numpy", "pandas")


@pytest.fixture(scope="module")
def docs():
    return library_docs()


@pytest.fixture(scope="module")
def by_name(docs):
    return {pair.positive.partition("(")[0]: pair for pair in docs}


def test_a_few_thousand_pairs_come_from_all_five_libraries(docs):
    shares = Counter(pair.positive.partition(".")[0] for pair in docs)
    assert 3000 < len(docs) < 9000
    assert set(shares) == {"numpy", "scipy", "sklearn", "pandas", "matplotlib"}
    assert min(shares.values()) > 400


def test_well_known_functions_are_there_as_one_would_write_them(by_name):
    assert by_name["numpy.linalg.norm"].anchor == "Matrix or vector norm"
    assert by_name["numpy.linalg.norm"].positive == "numpy.linalg.norm(x, ord, axis, keepdims)"
    assert by_name["numpy.linalg.norm"].group == "numpy.linalg"
    assert by_name["pandas.DataFrame.groupby"].group == "pandas.DataFrame"
    assert "matplotlib.pyplot.scatter" in by_name
    assert "sklearn.ensemble.RandomForestClassifier" in by_name


def test_summary_and_name_are_clean(docs):
    for pair in docs:
        assert not re.search(r"[`\n]|:[a-z]+:|\s\s|(?<!\S)\*\w+\*", pair.anchor), pair
        assert len(pair.anchor.split()) >= FEWEST_WORDS, pair
        assert re.fullmatch(r"[\w.]+(\([\w, …]*\))?", pair.positive), pair  # no defaults, no annotations
        assert pair.positive.count(",") <= MOST_PARAMETERS, pair
        assert not any(part.startswith("_") for part in pair.positive.partition("(")[0].split(".")), pair


def test_every_question_has_one_answer(docs):
    task = SearchSet.from_pairs(docs)
    assert len(task.queries) == len(task.corpus) == len(docs)


def test_no_group_and_no_chain_of_look_alikes_swallows_the_split(docs):
    split = docs.split(seed=0)
    assert abs(len(split.test) / len(docs) - 0.1) < 0.01
    groups = [{pair.group for pair in part} for part in (split.train, split.val, split.test)]
    assert not groups[0] & groups[2]
    assert len({pair.positive.partition(".")[0] for pair in split.test}) >= 4


@pytest.mark.parametrize("before", ["", "import sklearn.experimental.enable_halving_search_cv, matplotlib.pyplot; "])
def test_another_process_gets_the_same_pairs_in_silence(docs, before):
    """Other hash seed, other libraries already imported: the walk depends on neither."""
    code = f"{before}from ftkit.datasets.library_docs import library_docs as d; print(d().fingerprint)"
    env = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (docs.fingerprint, "")


def test_a_limit_draws_evenly_and_always_the_same():
    few = library_docs(SMALL, limit=200)
    assert len(few) == 200
    assert few == library_docs(SMALL, limit=200)
    assert {pair.positive.partition(".")[0] for pair in few} == set(SMALL)


def test_the_order_of_the_packages_does_not_matter():
    assert library_docs(SMALL).fingerprint == library_docs(SMALL[::-1]).fingerprint


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(DataError, match="'no_such_library' cannot be imported"):
        library_docs(("numpy", "no_such_library"))
