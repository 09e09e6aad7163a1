"""Each metric against its library and a case worked by hand."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftkit.metrics.classify import Confusion, confusion, exact_match, f1, precision, recall
from ftkit.errors import DataError
from ftkit.report import Answer
from ftkit.metrics.text import bleu, chrf, json_field, json_fields, json_valid, rouge

LABELS = st.sampled_from(["billing", "hoàn tiền", "shipping"])
TEXTS = st.text(st.sampled_from("abc đơnềmá .,"), max_size=30)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(LABELS, st.sampled_from(["billing", "hoàn tiền", "shipping", "noise"])), min_size=2, max_size=30))
def test_precision_recall_and_f1_equal_scikit_learns_on_all_rows_and_on_resamples(rows):
    import numpy as np
    from sklearn.metrics import precision_recall_fscore_support

    wants, gots = map(list, zip(*rows))
    labels = sorted(set(wants))
    drawn = np.random.default_rng(0).integers(0, len(rows), (3, len(rows)))
    for average in ("macro", "micro", "weighted"):
        for choice in (range(len(rows)), *drawn):
            want, got = [wants[i] for i in choice], [gots[i] for i in choice]
            theirs = precision_recall_fscore_support(want, got, labels=labels, average=average, zero_division=0)
            ours = [metric(average).prepare(wants, gots)(list(choice)) for metric in (precision, recall, f1)]
            assert ours == pytest.approx(theirs[:3])
        at_once = f1(average).prepare(wants, gots)(drawn)
        assert list(at_once) == pytest.approx([f1(average).prepare(wants, gots)(one) for one in drawn])


def test_labels_are_found_in_a_json_field_and_a_wanted_one_must_be_there():
    wants = ['{"queue": "billing"}', '{"queue": "refund", "n": 1}', '{"queue": "refund"}']
    gots = ['{"queue": "billing"}', '{"queue": "billing"}', "refund"]
    assert recall("macro", field="queue")(wants, gots) == pytest.approx(1 / 2)
    assert recall("macro", field="queue").name == "recall_macro of queue"
    with pytest.raises(DataError, match="row 2: the wanted answer has no field 'queue'"):
        f1(field="queue")([wants[0], "{}"], gots[:2])
    with pytest.raises(DataError, match="average must be one of macro, micro, weighted; got 'mean'"):
        f1("mean")


class Answers:
    def __init__(self, *pairs):
        self.answers = [Answer("", want, got) for want, got in pairs]


def test_a_confusion_matrix_by_hand():
    found = confusion(Answers(("a", "a"), ("a", "b"), ("a", "nonsense"), ("b", "b"), ("b", "b"), ("<b>", "a")))
    assert found == Confusion(("<b>", "a", "b"), ((0, 1, 0, 0), (0, 1, 1, 1), (0, 0, 2, 0)))
    # a: precision 1/2, recall 1/3, F1 2/5; b: 2/3, 1, 4/5
    lines = str(found).splitlines()
    assert lines[0].split()[-3:] == ["precision", "recall", "F1"] and "(other)" in lines[0]
    assert lines[2].split() == ["a", "0", "1", "1", "1", "0.500", "0.333", "0.400"]
    assert lines[3].split() == ["b", "0", "0", "2", "0", "0.667", "1.000", "0.800"]
    assert "<b>" not in found._repr_html_() and "&lt;b&gt;" in found._repr_html_()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30))
def test_a_confusion_matrix_equals_scikit_learns_and_so_do_its_shares(rows):
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    wants, gots = map(list, zip(*rows))
    found = confusion(Answers(*rows))
    everything = [*found.labels, *(set(gots) - set(wants)), "never seen"]
    known = len(found.labels)
    theirs = confusion_matrix(wants, gots, labels=everything)[:known]
    assert [row[:known] for row in found.counts] == [tuple(row[:known]) for row in theirs]
    assert [row[known] for row in found.counts] == [sum(row[known:]) for row in theirs]
    theirs = precision_recall_fscore_support(wants, gots, labels=list(found.labels), zero_division=0)
    for row, *shares in zip(found.table()[1], *theirs[:3]):
        assert [float(cell) for cell in row[-3:]] == pytest.approx(shares, abs=0.0006)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_bleu_and_chrf_equal_sacrebleus_on_any_text(rows):
    import unicodedata

    import sacrebleu

    wants, gots = ([unicodedata.normalize("NFC", text) for text in column] for column in zip(*rows))
    assert bleu()(wants, gots) == pytest.approx(sacrebleu.corpus_bleu(gots, [wants]).score)
    for want, got in zip(wants, gots):
        assert chrf(want, got) == pytest.approx(sacrebleu.sentence_chrf(got, [want]).score)


@settings(max_examples=40, deadline=None)
@given(st.text("abc 12.", max_size=40), st.text("abc 12.", max_size=40))
def test_rouge_equals_rouge_score_on_any_english_letters(want, got):
    from rouge_score.rouge_scorer import RougeScorer

    for kind in ("rouge1", "rouge2", "rougeL"):
        assert rouge(kind)(want, got) == pytest.approx(RougeScorer([kind]).score(want, got)[kind].fmeasure)


@settings(max_examples=60, deadline=None)
@given(*2 * [st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0, 1, True, "đơn", None]), max_size=4)])
def test_json_fields_equals_f1_over_the_pairs_as_sets(want, got):
    import json

    pairs = [{(name, json.dumps(value)) for name, value in one.items()} for one in (want, got)]
    right, total = len(pairs[0] & pairs[1]), len(pairs[0]) + len(pairs[1])
    assert json_fields(json.dumps(want), json.dumps(got)) == pytest.approx(2 * right / total if total else 1.0)


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


def test_counting_rows_for_bleu_warns_of_nothing(caplog):
    assert bleu().prepare(["a b c d e", "x y"], ["a b c d", "x"])([0, 1]) > 0
    assert not caplog.records
