"""The widgets, moved by value as a browser would move them."""

import ipywidgets
import pytest

from ftkit import widgets
from ftkit.cost import serving_cost
from ftkit.report import Answer, Report
from ftkit.vote import ballot


def every_widget(one):
    yield one
    for child in getattr(one, "children", ()):
        yield from every_widget(child)


def report(name, answers) -> Report:
    return Report(name, "t", "f" * 64, tuple(Answer(f"<q{i}>", "", text) for i, text in enumerate(answers)), {}, 0.0, {})


@pytest.fixture
def votes(tmp_path):
    return ballot(report("base", ["<b>old</b>"] * 4), report("tuned", ["new"] * 4), tmp_path / "votes.jsonl")


def make_all(votes):
    cost = serving_cost(model="gpt-4o-mini-2024-07-18", input_tokens=500, output_tokens=100, requests_per_second=5)
    search = widgets.search_box(lambda question: f"nothing found for {question!r}", "a question")
    return widgets.advisor(), search, widgets.cost_slider(cost), widgets.ab_player(), widgets.voter(votes)


def test_only_core_widgets_are_used_and_every_control_can_be_reached_by_tab_and_has_a_name(votes):
    for one in make_all(votes):
        for widget in every_widget(one):
            assert widget._model_module in ("@jupyter-widgets/controls", "@jupyter-widgets/base")
            assert widget.tabbable is not False
            if not isinstance(widget, (ipywidgets.Box, ipywidgets.HTML)):
                assert widget.description


@pytest.fixture
def cell(monkeypatch):
    """What is put under a cell that shows a widget: the outputs in order, each as it is now."""
    outputs = []

    class Handle:
        def __init__(self):
            self.at = len(outputs)

        def update(self, data, raw):
            outputs[self.at] = data

    def display(data, raw, display_id=False):
        handle = Handle()
        outputs.append(data)
        return handle if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return outputs


def test_every_answer_stays_in_an_output_of_its_own_below_the_widget(votes, cell):
    for one in make_all(votes):
        cell.clear()
        one._ipython_display_()
        drawn, kept = cell
        assert "application/vnd.jupyter.widget-view+json" in drawn and drawn["text/plain"] == "", "told once, below"
        assert kept["text/plain"] == one.text == repr(one) and one.text
        assert kept["text/html"] == f"<div class='ftkit-kept'>{one.html}</div>"


def test_what_is_kept_is_the_last_answer(votes, cell):
    advisor, search, *_, voter = make_all(votes)
    for one in (advisor, search, voter):
        one._ipython_display_()
    before = [cell[i]["text/plain"] for i in (1, 3, 5)]
    advisor.questions["behaviour"].value = True
    search.question.value = "<another>"
    while votes.next():
        voter.vote("tie")
    after = [cell[i]["text/plain"] for i in (1, 3, 5)]
    assert after == [advisor.text, search.text, voter.text] and not set(before) & set(after)
    assert "&lt;another&gt;" in cell[3]["text/html"]


def test_the_advisor_says_what_the_function_says():
    from ftkit.advice import advise

    one = widgets.advisor()
    assert one.text == str(advise())
    for name, value in {"behaviour": True, "prompted": True, "few_shot": True, "examples": 80, "gpu_gib": 16}.items():
        one.questions[name].value = value
    assert one.text.startswith("Fine-tune an open model with QLoRA") and "QLoRA" in one.answer.value
    one.questions["budget"].value = False
    assert one.text.startswith("Keep what you have") and "Keep what you have" in one.answer.value
    import inspect

    assert set(one.questions) == set(inspect.signature(advise).parameters), "every question of the function is asked"


def test_the_search_box_shows_what_the_question_in_it_finds():
    one = widgets.search_box(str.upper, "a <question>")
    assert one.text == "A <QUESTION>" and "A &lt;QUESTION&gt;" in one.answer.value
    one.question.value = "another"
    assert one.text == "ANOTHER" and "ANOTHER" in one.answer.value
    assert not one.question.continuous_update, "Enter searches, not every letter"


def test_the_slider_tells_the_number_in_words():
    cost = serving_cost(model="gpt-4o-mini-2024-07-18", input_tokens=500, output_tokens=100, requests_per_second=5)
    one = widgets.cost_slider(cost)
    one.volume.value = 1_000_000
    assert one.text.startswith("1,000,000 requests a month for 12 months: hosted $3,240, self-hosted $17,")
    assert "1,000,000 requests" in one.answer.value and 'aria-live="polite"' in one.answer.value


def test_the_ab_player_knows_what_a_test_of_that_size_misses():
    one = widgets.ab_player()
    assert "Four in five would see it with 1,471." in one.text
    one.users.value = 1_471
    assert "80% of such tests see the gain" in one.text
    one.base.value = 0.98
    assert "From 98% to 99%" in one.text


def test_voting_by_button_saves_shows_the_next_row_and_names_nobody_before_the_end(votes):
    one = widgets.voter(votes)
    assert "&lt;q" in one.shown.value and "&lt;b&gt;old" in one.shown.value and "<b>old" not in one.shown.value
    while votes.next():
        assert "tuned" not in one.shown.value and "base" not in one.shown.value
        one.buttons["left" if votes.next().left == "new" else "right"].click()
    assert "4 for tuned" in one.text and "4 for tuned" in one.shown.value
    assert all(button.disabled for button in one.buttons.values())
    one.vote("left")  # a click that came too late
    assert votes.done == 4 and "4 of 4" in repr(ballot(votes.before, votes.after, votes.path))
