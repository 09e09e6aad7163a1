"""Evaluating and comparing."""

import json

import pytest

from ftkit import DataError
from ftkit.metrics.classify import exact_match, f1
from ftkit.comparison import compare
from ftkit.metrics import Corpus
from ftkit.metrics.text import bleu, json_field
from ftkit.report import Report, evaluate


class Parrot:
    """Answers row i rightly where ``right(i)``; else with ``wrong``."""

    def __init__(self, name, test, right, wrong="{}"):
        self.name = name
        self.known = {json.dumps(row.prompt): row.answer if right(i) else wrong for i, row in enumerate(test)}

    def replies(self, prompts, max_tokens):
        return [self.known[json.dumps(prompt)] for prompt in prompts]


@pytest.fixture(scope="module")
def test_rows(tickets):
    return tickets[:100]


def test_a_better_model_is_called_better_with_the_interval_above_zero(test_rows):
    before = evaluate(Parrot("base", test_rows, lambda i: i % 10 == 0), test_rows)
    after = evaluate(Parrot("tuned", test_rows, lambda i: i % 10 != 1), test_rows)
    change = compare(before, after)["exact_match"]
    assert (change.before, change.after) == (0.1, 0.9) and change.verdict == "better"
    assert change.low < change.change < change.high
    assert compare(after, before)["exact_match"].verdict == "worse"


def test_a_difference_within_the_noise_is_not_called_a_gain(test_rows):
    before = evaluate(Parrot("base", test_rows, lambda i: i < 50), test_rows)
    after = evaluate(Parrot("tuned", test_rows, lambda i: 48 < i < 100), test_rows)
    change = compare(before, after)["exact_match"]
    assert change.change > 0 and change.verdict == "not enough evidence"
    assert "more rows" in str(compare(before, after)) or "next to no change" in str(compare(before, after))


def test_identical_answers_are_announced(test_rows):
    one = evaluate(Parrot("base", test_rows, lambda i: i < 50), test_rows)
    comparison = compare(one, evaluate(Parrot("tuned", test_rows, lambda i: i < 50), test_rows))
    assert comparison.changed == 0 and "IDENTICAL" in str(comparison) and "IDENTICAL" in comparison._repr_html_()
    assert comparison["exact_match"].verdict == "unchanged"


def test_a_corpus_metric_is_compared_like_any_other(test_rows):
    rows = test_rows[:40]
    before, after = (
        evaluate(Parrot(name, rows, right), rows, [f1(), json_field("queue"), exact_match])
        for name, right in (("base", lambda i: i % 3 == 0), ("tuned", lambda i: True))
    )
    change = compare(before, after)["f1_macro"]
    assert change.after == 1.0 and change.low > 0
    with pytest.raises(DataError, match="'f1_macro' has no value per row"):
        before.row_scores("f1_macro")


def test_best_and_worst_rows_are_those_that_moved(test_rows):
    rows = test_rows[:10]
    before = evaluate(Parrot("base", rows, lambda i: i == 4), rows)
    after = evaluate(Parrot("tuned", rows, lambda i: i == 7), rows)
    comparison = compare(before, after)
    assert comparison.best(n=1)[0][1].prompt == rows[7].text
    assert comparison.worst(n=1)[0][1].prompt == rows[4].text


def test_reports_on_different_rows_do_not_compare(test_rows):
    one = evaluate(Parrot("m", test_rows, bool), test_rows)
    other = evaluate(Parrot("m", test_rows, bool), test_rows[:50])
    with pytest.raises(DataError, match="different rows"):
        compare(one, other)


def test_an_empty_test_set_and_a_metric_used_twice_are_refused(test_rows):
    model = Parrot("m", test_rows, bool)
    with pytest.raises(DataError, match="empty"):
        evaluate(model, test_rows[:0])
    with pytest.raises(DataError, match="two metrics are called 'exact_match'"):
        evaluate(model, test_rows, [exact_match, exact_match])


def test_what_a_model_says_cannot_break_the_html(test_rows):
    report = evaluate(Parrot("<script>alert(1)</script>", test_rows, bool), test_rows)
    assert "<script>" not in report._repr_html_() and "&lt;script&gt;" in report._repr_html_()


def test_a_search_is_evaluated_per_query():
    from ftkit import SearchSet

    class Fixed:
        name = "fixed"

        def rank(self, task, k):
            return {"q1": {"d1": 1.0, "d2": 0.5}, "q2": {"d1": 1.0, "d2": 0.5}}

    task = SearchSet({"d1": "one", "d2": "two"}, {"q1": "1?", "q2": "2?"}, {"q1": {"d1": 1}, "q2": {"d2": 1}})
    report = evaluate(Fixed(), task)
    assert report.row_scores("hit@1") == [1.0, 0.0] and report.row_scores("mrr@10") == [1.0, 0.5]
    assert report.answers[1].want == "two" and report.answers[1].got == "one"


def test_a_few_lucky_rows_are_no_evidence(test_rows):
    """Five rows of five gained: an interval far above zero, but McNemar's p is 2/2^5."""
    rows = test_rows[:5]
    change = compare(evaluate(Parrot("a", rows, lambda i: False), rows), evaluate(Parrot("b", rows, bool), rows))["exact_match"]
    sure = compare(
        evaluate(Parrot("a", rows, lambda i: False), rows), evaluate(Parrot("b", rows, lambda i: True), rows)
    )["exact_match"]
    assert sure.p == 2 / 2**5 and sure.low > 0 and sure.verdict == "not enough evidence"
    assert 2 <= sure.more_rows <= 20, "p 0.06 is nearly 0.05; the interval alone would say that no row is missing"
    assert change.p == 2 / 2**4 and change.verdict == "not enough evidence"


def test_too_small_a_test_set_says_how_many_rows_it_would_take(test_rows):
    before = evaluate(Parrot("a", test_rows, lambda i: i < 50), test_rows)
    after = evaluate(Parrot("b", test_rows, lambda i: i < 55 and i != 0), test_rows)
    change = compare(before, after)["exact_match"]
    assert change.change == pytest.approx(0.04) and change.test == "McNemar"
    assert change.words == f"not enough evidence: a change of this size needs about {change.more_rows} more rows"
    assert 50 < change.more_rows < 400


def test_a_report_is_the_same_after_it_was_saved_corpus_metrics_and_all(test_rows, tmp_path):
    metrics, rows = [exact_match, f1("weighted", field="queue"), bleu(), json_field("queue")], test_rows[:30]
    before, after = (
        evaluate(Parrot(name, rows, right), rows, metrics)
        for name, right in (("base", lambda i: i % 3 == 0), ("tuned", lambda i: i % 5 != 0))
    )
    saved = [Report.load(report.save(tmp_path / f"{report.model}.json")) for report in (before, after)]
    assert saved == [before, after]
    assert str(compare(*saved)) == str(compare(before, after))
    assert compare(*saved).best(n=1) == compare(before, after).best(n=1)


def test_a_file_that_is_no_report_is_refused_in_a_sentence(tmp_path, test_rows):
    with pytest.raises(DataError, match="nothing.json: cannot be read"):
        Report.load(tmp_path / "nothing.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match="list.json: is no report of ours"):
        Report.load(tmp_path / "list.json")
    mine = Corpus("mine", lambda wants, gots: lambda rows: 1.0)
    path = evaluate(Parrot("m", test_rows, bool), test_rows, [mine]).save(tmp_path / "mine.json")
    with pytest.raises(DataError, match="'mine', which is not the kit's; pass it in metrics="):
        Report.load(path)
    assert Report.load(path, metrics=[mine]).scores["mine"].value == 1.0


def test_a_comparison_is_a_page_that_needs_nothing_else_by_day_and_by_night(test_rows, tmp_path):
    before = evaluate(Parrot("<base>", test_rows, lambda i: i < 50), test_rows)
    after = evaluate(Parrot("tuned", test_rows, lambda i: i > 20), test_rows)
    page = compare(before, after).save_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in page and "Gained most" in page and "McNemar" in page
    assert "<base>" not in page and "http" not in page
    for shown in (compare(before, after)._repr_html_(), before._repr_html_()):
        assert "color" not in shown, "a notebook's own colours are used, light or dark"


def test_a_figure_with_its_interval_stays_on_one_line_and_a_verdict_may_wrap(test_rows):
    before = evaluate(Parrot("base", test_rows, lambda i: i < 50), test_rows)
    after = evaluate(Parrot("tuned", test_rows, lambda i: i > 20), test_rows)
    change = compare(before, after)
    shown, interval = change._repr_html_(), change.table()[1][0][3]
    assert f"<td style='text-align:left;white-space:nowrap'>{interval}</td>" in shown
    assert f"<td style='text-align:left'>{change['exact_match'].words}</td>" in shown


def test_an_unknown_metric_is_asked_for_with_the_known_ones_in_sight(test_rows):
    one = evaluate(Parrot("m", test_rows, bool), test_rows)
    with pytest.raises(KeyError, match="compared were exact_match"):
        compare(one, one)["f1"]


def test_levels_stand_on_the_weights_they_round():
    from ftkit.plots import levels_on_weights

    shown = levels_on_weights([-0.5, 0.0, 0.01, 0.4], [-1.0, 0.0, 1.0], "a title")
    assert repr(shown) == "levels at -1.00, 0.00, 1.00" and shown.png.startswith(b"\x89PNG")
    lines = [line.get_xdata()[0] for line in shown.figure.axes[0].lines]
    assert lines == [-1.0, 0.0, 1.0]


def test_curves_say_their_numbers_and_mark_every_x():
    from ftkit.plots import curves

    shown = curves({"base": {64: 0.25, 32: 0.125}, "tuned": {32: 0.5, 64: 0.75}}, "numbers", "NDCG@10", "a title")
    assert repr(shown) == "base: 0.125 at 32, 0.250 at 64; tuned: 0.500 at 32, 0.750 at 64"
    axes = shown.figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["32", "64"] and axes.get_title(loc="left") == "a title"
    assert shown.png.startswith(b"\x89PNG")


def test_several_models_stand_side_by_side_and_the_picture_says_their_numbers(test_rows):
    from ftkit.plots import side_by_side

    reports = [evaluate(Parrot(name, test_rows, lambda i: i % 4 < k), test_rows) for k, name in enumerate(("a", "b", "c"))]
    shown = side_by_side(reports, "exact_match")
    assert shown.text == ", ".join(f"{report.model}: {report.scores['exact_match']}" for report in reports)
    assert shown.png.startswith(b"\x89PNG") and side_by_side(reports[:1], "exact_match").png


def test_as_many_gains_as_losses_is_not_called_unchanged(test_rows):
    before = evaluate(Parrot("a", test_rows, lambda i: i < 5), test_rows)
    after = evaluate(Parrot("b", test_rows, lambda i: 5 <= i < 10), test_rows)
    change = compare(before, after)["exact_match"]
    assert (change.change, change.p, change.moved) == (0, 1, 10)
    assert change.words == "not enough evidence: next to no change seen"


def test_a_query_without_an_answer_is_left_out_and_the_model_is_asked_as_deep_as_the_metrics_look():
    from ftkit import SearchSet

    class Deep:
        name = "deep"

        def rank(self, task, k):
            self.k = k
            return {query: {f"d{i}": 1.0 - i / 100 for i in range(k)} for query in task.queries}

    corpus = {f"d{i}": f"text {i}" for i in range(60)}
    model = Deep()
    task = SearchSet(corpus, {"q": "?", "lost": "??"}, {"q": {"d49": 2, "d3": 0}, "lost": {"d0": 0}})
    report = evaluate(model, task, ["recall@50", "hit@1"])
    assert model.k == 50 and len(report) == 1 and report.row_scores("recall@50") == [1.0]
    assert report.answers[0].want == "text 49", "a document judged 0 is no answer"
    with pytest.raises(DataError, match="no query has a right answer"):
        evaluate(model, SearchSet(corpus, {"lost": "??"}, {"lost": {"d0": 0}}))
