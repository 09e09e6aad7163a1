"""Ranking metrics: by hand on three rows, then equal to two libraries that share no code with ours."""

import math
import subprocess
import sys

import numpy as np
import pytest

from ftkit.errors import FtkitError
from ftkit.metrics.rank import METRICS, per_query

RIGHT = {"first": {"a": 1}, "third": {"c": 1}, "never": {"z": 1}}
FOUND = {query: {"a": 0.9, "b": 0.8, "c": 0.7} for query in RIGHT}


def test_three_rows_by_hand():
    scores = per_query(FOUND, RIGHT)
    assert scores["hit@1"] == {"first": 1, "third": 0, "never": 0}
    assert scores["hit@10"] == {"first": 1, "third": 1, "never": 0}
    assert scores["mrr@10"] == pytest.approx({"first": 1, "third": 1 / 3, "never": 0})
    assert scores["ndcg@10"] == pytest.approx({"first": 1, "third": 1 / math.log2(4), "never": 0})


def test_ndcg_counts_grades_and_the_best_possible_order():
    """Found: grade 1, then grade 3. Best: 3, then 1. (1/1 + 3/log₂3) / (3/1 + 1/log₂3)."""
    scores = per_query({"q": {"a": 0.9, "b": 0.8}}, {"q": {"a": 1, "b": 3}}, ["ndcg@10"])
    assert scores["ndcg@10"]["q"] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_every_judged_query_is_scored_and_no_other():
    scores = per_query({"q1": {"a": 1.0}, "q2": {}, "stray": {"a": 1.0}}, {q: {"a": 1} for q in ("q1", "q2", "q3")})
    assert all(scores[metric] == {"q1": 1, "q2": 0, "q3": 0} for metric in METRICS)
    assert per_query({}, {"q": {"a": 1}}, ["hit@1"]) == {"hit@1": {"q": 0}}
    assert per_query({}, {}, ["hit@1"]) == {"hit@1": {}}


def test_recall_is_the_share_of_right_answers_found_whatever_their_grade():
    right = {"q": {"a": 1, "c": 3, "y": 1, "z": 2, "b": 0}}
    scores = per_query({"q": FOUND["first"]}, right, ["recall@1", "recall@2", "recall@3", "recall@10"])
    assert [values["q"] for values in scores.values()] == [0.25, 0.25, 0.5, 0.5]


def test_a_query_without_an_answer_is_left_out_and_one_without_results_scores_nothing():
    right = {"unanswerable": {"a": 0}, "unjudged": {}, "answered": {"a": 1}, "nothing found": {"a": 1}}
    scores = per_query({"unanswerable": {"a": 1.0}, "answered": {"a": 1.0}}, right, ["hit@1", "recall@10"])
    assert scores["hit@1"] == scores["recall@10"] == {"answered": 1, "nothing found": 0}


def test_what_lies_below_the_cut_does_not_count():
    found = {"q": {f"d{i}": -float(i) for i in range(12)}}
    scores = per_query(found, {"q": {"d10": 1}}, ["hit@10", "mrr@10", "ndcg@10", "hit@11"])
    assert [scores[metric]["q"] for metric in ("hit@10", "mrr@10", "ndcg@10", "hit@11")] == [0, 0, 0, 1]


@pytest.mark.parametrize("right", ["z", "a"])
def test_equal_scores_keep_the_order_of_the_ranking(right):
    """Both ways round, since scorers that break ties by the spelling of ids get one of them right by luck."""
    other = {"z": "a", "a": "z"}[right]
    found = {"q": {right: 0.5, other: 0.5}}
    assert per_query(found, {"q": {right: 1}}, ["hit@1"])["hit@1"]["q"] == 1
    assert per_query(found, {"q": {other: 1}}, ["hit@1"])["hit@1"]["q"] == 0


@pytest.mark.parametrize("wrong", ["precision@10", "hit", "hit@", "hit@0", "hit@ten", "ndcg@-1"])
def test_an_unknown_metric_is_refused_with_the_known_ones(wrong):
    with pytest.raises(FtkitError, match="use hit@k, mrr@k, ndcg@k, recall@k"):
        per_query(FOUND, RIGHT, [wrong])


def _random_task(seed: int, queries: int = 30, documents: int = 40):
    draw = np.random.default_rng(seed)
    scores = draw.permuted(np.tile(np.arange(documents, dtype=float), (queries, 1)), axis=1)  # (Q, D), no ties
    grades = draw.choice([0, 0, 0, 0, 0, 0, 0, 1, 2], size=(queries, documents))
    grades[np.arange(queries), draw.integers(documents, size=queries)] = 1  # a right answer for everyone
    found = {f"q{i}": {f"d{j}": s for j, s in enumerate(row)} for i, row in enumerate(scores)}
    right = {f"q{i}": {f"d{j}": int(g) for j, g in enumerate(row) if g} for i, row in enumerate(grades)}
    return scores, grades, found, right


def test_ndcg_equals_scikit_learns():
    from sklearn.metrics import ndcg_score

    scores, grades, found, right = _random_task(0)
    ours = per_query(found, right, ["ndcg@10", "ndcg@3"])
    for k in (3, 10):
        theirs = [ndcg_score([grade], [score], k=k) for grade, score in zip(grades, scores)]
        assert list(ours[f"ndcg@{k}"].values()) == pytest.approx(theirs)


def test_the_means_equal_those_of_sentence_transformers_evaluator():
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    _, _, found, right = _random_task(1)
    right = {query: dict.fromkeys(documents, 1) for query, documents in right.items()}  # it knows right and wrong only
    ours = per_query(found, right, (*METRICS, "recall@1", "recall@10"))
    evaluator = InformationRetrievalEvaluator(
        queries=dict.fromkeys(found, ""),
        corpus={f"d{j}": "" for j in range(40)},
        relevant_docs={query: set(documents) for query, documents in right.items()},
        accuracy_at_k=[1, 10],
        mrr_at_k=[10],
        ndcg_at_k=[10],
        precision_recall_at_k=[1, 10],
    )
    results = [[{"corpus_id": d, "score": s} for d, s in found[query].items()] for query in evaluator.queries_ids]
    theirs = evaluator.compute_metrics(results)
    means = {metric: sum(values.values()) / len(values) for metric, values in ours.items()}
    assert means == pytest.approx(
        {
            "hit@1": theirs["accuracy@k"][1],
            "hit@10": theirs["accuracy@k"][10],
            "mrr@10": theirs["mrr@k"][10],
            "ndcg@10": theirs["ndcg@k"][10],
            "recall@1": theirs["recall@k"][1],
            "recall@10": theirs["recall@k"][10],
        }
    )


def test_the_module_opens_nothing_heavy():
    code = "import sys, ftkit.metrics.rank; print({'numpy', 'ir_measures'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
