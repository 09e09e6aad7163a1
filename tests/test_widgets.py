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


def test_every_answer_is_also_the_cells_plain_text(votes):
    for one in make_all(votes):
        bundle = one._repr_mimebundle_()
        assert bundle["text/plain"] == one.text and "application/vnd.jupyter.widget-view+json" in bundle
        assert one.text and repr(one) == one.text


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
