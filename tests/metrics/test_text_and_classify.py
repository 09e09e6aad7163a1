"""Each metric against its library and a case worked by hand."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftkit.metrics.classify import exact_match, f1
from ftkit.metrics.text import bleu, chrf, json_field, json_fields, json_valid, rouge

LABELS = st.sampled_from(["billing", "refund", "shipping"])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(LABELS, st.sampled_from(["billing", "refund", "shipping", "noise"])), min_size=2, max_size=30))
def test_f1_equals_scikit_learns(rows):
    from sklearn.metrics import f1_score

    wants, gots = map(list, zip(*rows))
    for average in ("macro", "micro", "weighted"):
        expected = f1_score(wants, gots, labels=sorted(set(wants)), average=average, zero_division=0)
        assert f1(average)(wants, gots) == pytest.approx(expected)


def test_f1_by_hand():
    # billing: precision 1/2, recall 1 → 2/3; refund: precision 1, recall 1/2 → 2/3
    assert f1()(["billing", "refund", "refund"], ["billing", "billing", "refund"]) == pytest.approx(2 / 3)


def test_bleu_equals_sacrebleus_corpus_score_on_any_choice_of_rows():
    import sacrebleu

    rng = random.Random(0)
    pool = "the cat sat on a mat while two dogs ran past an old house".split()
    wants = [" ".join(rng.choices(pool, k=rng.randint(3, 12))) for _ in range(20)]
    gots = [" ".join(word if rng.random() < 0.7 else rng.choice(pool) for word in want.split()) for want in wants]
    assert bleu()(wants, gots) == pytest.approx(sacrebleu.corpus_bleu(gots, [wants]).score)
    rows = [3, 3, 7, 11, 0, 19]
    expected = sacrebleu.corpus_bleu([gots[i] for i in rows], [[wants[i] for i in rows]]).score
    assert bleu().prepare(wants, gots)(rows) == pytest.approx(expected)


def test_rouge_hears_vietnamese_tones():
    right, wrong = "hoá đơn của tôi bị sai", "hoa don cua toi bi sai"
    assert rouge("rouge1")(right, right) == 1.0
    assert rouge("rouge1")(right, wrong) == pytest.approx(1 / 6)  # only "sai" is the same word


def test_rouge_equals_rouge_score_on_english():
    from rouge_score.rouge_scorer import RougeScorer

    want, got = "the cat sat on the mat", "the cat lay on a mat"
    assert rouge("rougeL")(want, got) == pytest.approx(RougeScorer(["rougeL"]).score(want, got)["rougeL"].fmeasure)


def test_chrf_equals_sacrebleus_and_does_not_care_how_accents_are_encoded():
    import unicodedata

    import sacrebleu

    assert chrf("the cat sat", "the cat lay") == pytest.approx(sacrebleu.sentence_chrf("the cat lay", ["the cat sat"]).score)
    assert chrf("hoá đơn", unicodedata.normalize("NFD", "hoá đơn")) == 100.0


def test_json_metrics_by_hand():
    want = '{"queue": "billing", "order_id": "#1", "n": 1}'
    assert json_fields(want, want) == 1.0
    assert json_fields(want, '{"queue": "billing"}') == 0.5  # 2·1 / (3 + 1)
    assert json_fields(want, '{"queue": "billing", "n": true}') == pytest.approx(2 / 5)  # true is not 1
    assert json_fields(want, "[1]") == json_fields(want, "nonsense") == 0.0
    assert json_valid("", "{}") == 1.0 and json_valid("", "[]") == json_valid("", "{") == 0.0
    assert json_field("queue")(want, '{"queue": "billing"}') == 1.0
    assert json_field("queue")(want, "{}") == json_field("queue")(want, "oops") == 0.0
    assert json_field("product")(want, "{}") == 0.0


def test_exact_match_forgives_outer_blanks_only():
    assert exact_match("a", " a\n") == 1.0 and exact_match("a", "A") == 0.0
