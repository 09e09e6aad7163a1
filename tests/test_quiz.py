"""The quizzes: whole in both languages, explained, and the same in a notebook and in a terminal."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import ipywidgets
import nbformat
import pytest

import ftkit as ft
from ftkit.course import LESSONS
from ftkit.lang import say, spoken
from ftkit.quiz import LETTERS, read_quiz
from ftkit.quiz_panel import QuizPanel, marked
from ftkit.widgets import HIDE

QUIZZES = [read_quiz(name) for name in LESSONS]
QUESTIONS = [(quiz.lesson, i, question) for quiz in QUIZZES for i, question in enumerate(quiz.questions, 1)]
EACH_QUIZ = pytest.mark.parametrize("quiz", QUIZZES, ids=lambda quiz: quiz.lesson)


def texts(question):
    """Every text of a question, as {"en": …, "vi": …}."""
    return [question.text, *(text for choice in question.choices for text in (choice.text, choice.why))]


@EACH_QUIZ
def test_there_are_five_to_seven_questions_with_one_right_choice_each(quiz):
    assert 5 <= len(quiz.questions) <= 7
    for question in quiz.questions:
        assert [choice.right for choice in question.choices].count(True) == 1
        assert 3 <= len(question.choices) <= len(LETTERS)


@EACH_QUIZ
def test_everything_is_there_in_both_languages_and_every_choice_is_explained(quiz):
    for question in quiz.questions:
        for text in texts(question):
            assert set(text) == {"en", "vi"} and all(words.strip() == words and words for words in text.values())
        for choice in question.choices:
            assert len(choice.why["en"].split()) >= 8, f"hardly an explanation: {choice.why['en']}"


def test_no_text_occurs_twice():
    for lang in ("en", "vi"):
        counted = Counter(text[lang] for _, _, question in QUESTIONS for text in texts(question))
        assert not [text for text, count in counted.items() if count > 1]


def test_what_is_vietnamese_is_vietnamese():
    marks = re.compile("[ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđăâêôơư]", re.IGNORECASE)
    for _, _, question in QUESTIONS:
        for text in texts(question):
            same = text["en"] == text["vi"]
            assert not same and (marks.search(text["vi"]) or len(text["vi"]) < 50), text["vi"]
            assert not marks.search(re.sub('"[^"]*"', "", text["en"])), text["en"]


def test_the_right_choice_is_not_given_away_by_its_place_or_its_length():
    places = Counter(question.answer for _, _, question in QUESTIONS)
    assert max(places.values()) <= 0.4 * len(QUESTIONS)
    for lang in ("en", "vi"):
        longest = [
            len(question.choices[question.answer].text[lang]) == max(len(choice.text[lang]) for choice in question.choices)
            for _, _, question in QUESTIONS
        ]
        assert sum(longest) <= 0.45 * len(longest)
    for quiz in QUIZZES:
        assert len({question.answer for question in quiz.questions}) >= 3


def test_a_picture_that_a_question_names_is_in_its_lesson():
    named = 0
    for lesson, _, question in QUESTIONS:
        for title in re.findall(r'picture "([^"]+)"', question.text["en"]):
            named += 1
            assert title in (Path(__file__).parents[1] / LESSONS[lesson].path).read_text(encoding="utf-8")
            assert title in question.text["vi"]
    assert named >= 2


def test_the_arithmetic_of_the_answers_is_right():
    """What can be computed is computed, from the numbers in the questions."""
    right = {(lesson, i): question.choices[question.answer].text["en"] for lesson, i, question in QUESTIONS}
    assert right["01", 4].startswith(f"${2_000 * 400 * 3 / 1e6 * 5:.0f},")
    wants, gots = ["billing"] * 95 + ["refund"] * 5, ["billing"] * 100
    assert right["04", 1] == "About one half." and abs(ft.f1("macro")(wants, gots) - 0.5) < 0.02
    assert right["03", 1].startswith(f"{(1 / 2 + 1 + 0) / 3:.2f}:")
    clinic = ft.advise(behaviour=True, prompted=True, few_shot=True, examples=400, private=True, gpu_gib=16)
    assert clinic.choice == "qlora" and "QLoRA" in right["00", 6]


@EACH_QUIZ
def test_the_lesson_ends_with_its_quiz_stored_as_text_without_the_answers(quiz):
    for path in (LESSONS[quiz.lesson].path, LESSONS[quiz.lesson].path_vi):
        cells = nbformat.read(Path(__file__).parents[1] / path, as_version=4).cells
        (cell,) = [cell for cell in cells if cell.source == f'ft.quiz("{quiz.lesson}")']
        _, kept = cell.outputs
        assert kept.data["text/plain"] == quiz.text("en"), "run the cell again and store what it shows"
        assert not [choice.why["en"] for question in quiz.questions for choice in question.choices if choice.why["en"] in str(kept)]


def test_another_lesson_is_refused_with_a_list():
    with pytest.raises(ft.FtkitError, match="no lesson '07'; there are 00, 01, 02, 03, 04"):
        ft.quiz("07")


def test_outside_a_notebook_it_prints_as_text_and_says_how_to_answer():
    shown = repr(ft.quiz("00"))
    assert shown.startswith(read_quiz("00").text("en")) and "ftkit quiz 00" in shown
    assert repr(ft.quiz("00", lang="vi")).startswith("Câu hỏi ôn bài 00")


# in a notebook


@pytest.fixture
def panel() -> QuizPanel:
    return QuizPanel(read_quiz("02"))


def every_widget(one):
    yield one
    for child in getattr(one, "children", ()):
        yield from every_widget(child)


def test_only_core_widgets_with_a_name_and_a_place_in_the_tab_order(panel):
    for widget in every_widget(panel):
        assert widget._model_module in ("@jupyter-widgets/controls", "@jupyter-widgets/base")
        assert widget.tabbable is not False
        if not isinstance(widget, (ipywidgets.Box, ipywidgets.HTML)):
            assert widget.description
    for asked in panel.questions:
        assert [button.tooltip for button in asked.buttons] == [c.text["en"].replace("`", "") for c in asked.question.choices]


def test_what_is_kept_is_the_whole_quiz_without_answers_and_how_many_are_right(panel):
    assert panel.text == panel.quiz.text() == repr(panel)
    asked = panel.questions[0]
    asked.buttons[asked.question.answer].click()
    assert panel.text == f"{panel.quiz.text()}\n\n1 of 6 right; 5 not answered yet"
    assert asked.question.choices[asked.question.answer].why["en"] not in panel.text
    panel.language.value = "vi"
    assert panel.text.startswith(panel.quiz.text("vi"))


def test_a_press_says_at_once_whether_it_is_right_and_why(panel):
    for asked in panel.questions:
        for i in [*(i for i, choice in enumerate(asked.question.choices) if not choice.right), asked.question.answer]:
            choice = asked.question.choices[i]
            assert marked(choice.why["en"]) not in asked.said.value
            asked.buttons[i].click()
            said = asked.said.value
            assert f"{LETTERS[i]} is {'right' if choice.right else 'not it'}." in said and marked(choice.why["en"]) in said
            assert 'role="status" aria-live="polite"' in said and ("✓" in said) == choice.right == ("✗" not in said)
        assert all(marked(choice.why["en"]) in asked.said.value for choice in asked.question.choices), "the others, folded"


def test_one_may_change_ones_mind_and_the_best_result_is_kept(panel):
    n = len(panel.questions)
    for asked in panel.questions:
        asked.buttons[asked.question.answer].click()
    assert panel.right == n and f"All {n} right" in panel.total.value and ft.progress().quizzes == {"02": (n, n)}
    asked.buttons[(asked.question.answer + 1) % 2].click()
    assert panel.right == n - 1 and f"{n - 1} of {n} right" in panel.total.value
    assert ft.progress().quizzes == {"02": (n, n)}


def test_the_switch_changes_every_text_and_keeps_the_answers(panel):
    asked = panel.questions[0]
    asked.buttons[asked.question.answer].click()
    before = [widget.value for widget in every_widget(panel) if isinstance(widget, ipywidgets.HTML) and ">" in widget.value]
    panel.language.value = "vi"
    after = {widget.value for widget in every_widget(panel) if isinstance(widget, ipywidgets.HTML)}
    wordless = ('<div role="status" aria-live="polite"></div>', HIDE)
    assert not [text for text in before if text not in wordless and text in after]
    assert marked(asked.question.choices[asked.question.answer].why["vi"]) in asked.said.value and "Đúng 1/" in panel.total.value
    assert asked.buttons[0].tooltip == asked.question.choices[0].text["vi"].replace("`", "")


def test_a_result_that_cannot_be_kept_is_said_to_be_so(panel, monkeypatch, tmp_path):
    (tmp_path / "blocked").write_text("", encoding="utf-8")
    monkeypatch.setenv("FTKIT_HOME", str(tmp_path / "blocked"))
    panel.questions[0].buttons[0].click()
    assert "could not be saved" in panel.total.value
    monkeypatch.setenv("FTKIT_GRADING", "1")
    panel.questions[0].buttons[1].click()
    assert "could not be saved" not in panel.total.value, "in the sandbox it is meant to be so"


def test_html_in_a_text_is_shown_and_not_obeyed():
    assert marked("<b> & `a < b` *so*") == "&lt;b&gt; &amp; <code>a &lt; b</code> <em>so</em>"


# in a terminal


def in_terminal(typed: str, *more: str):
    return subprocess.run([sys.executable, "-m", "ftkit", "quiz", *more], input=typed, capture_output=True, encoding="utf-8")


@pytest.mark.parametrize("lang", ["en", "vi"])
def test_the_terminal_asks_explains_and_records(lang):
    quiz = read_quiz("01")
    first = quiz.questions[0]
    wrong = (first.answer + 1) % 2
    typed = [LETTERS[wrong].lower(), "z", *(LETTERS[question.answer] for question in quiz.questions)]
    done = in_terminal("\n".join(typed) + "\n", "01", "--lang", lang)
    said = " ".join(done.stdout.split())
    assert done.returncode == 0 and quiz.heading(lang) in said
    assert first.verdict(wrong, lang) in said
    with spoken(lang):
        assert say("Choose again, or Enter to go on.") in said
        assert say("Type one of A/B/C/D, or just Enter to go on.") in said
    for question in quiz.questions:
        assert question.text[lang] in said and question.verdict(question.answer, lang) in said
        assert all(choice.why[lang] in said for choice in question.choices)
    n = len(quiz.questions)
    assert ft.progress().quizzes == {"01": (n, n)} and f"{n}" in done.stdout.splitlines()[-1] and "ftkit progress" in said


def test_enter_goes_on_and_the_end_of_input_ends_the_quiz():
    quiz = read_quiz("00")
    done = in_terminal(f"\n{LETTERS[quiz.questions[1].answer]}\n", "00")
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == f"1 of {len(quiz.questions)} right; 5 not answered yet"
    assert ft.progress().quizzes == {"00": (1, 6)} and not done.stderr


def test_the_terminal_refuses_another_lesson():
    done = in_terminal("", "09")
    assert done.returncode == 1 and done.stderr.startswith("ftkit: quiz: there is no lesson '09'")
