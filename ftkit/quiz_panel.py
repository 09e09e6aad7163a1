"""A quiz as buttons in a notebook. Made by `ftkit.quiz`; core ipywidgets only.

Radio buttons cut long labels off, so each choice is a small button with its letter and, beside it, text that wraps. Tab
and Space or Enter are enough; what a press says is announced to screen readers.
"""

import html
import os
import re

import ipywidgets

from ftkit.lang import say, spoken
from ftkit.progress import record_quiz
from ftkit.quiz import LETTERS, Question, Quiz
from ftkit.tables import escaped
from ftkit.widgets import LAYOUT, TOLD, Kept

LANGUAGES = (("English", "en"), ("Tiếng Việt", "vi"))


def marked(text: str) -> str:
    """HTML of a text with `code` in backticks and *stress* in stars.

    >>> marked("`x` < *1*")
    '<code>x</code> &lt; <em>1</em>'
    """
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


class Asked(ipywidgets.VBox):
    """One question: its text, a button and a text for each choice, and what there is to say about the chosen one."""

    def __init__(self, number: int, question: Question, answered):
        self.number, self.question, self.chosen = number, question, None
        self._answered = answered
        self.asked = ipywidgets.HTML(layout=LAYOUT)
        self.said = ipywidgets.HTML(layout=LAYOUT)
        small = ipywidgets.Layout(width="2.6rem", min_width="2.6rem")
        self.buttons = [ipywidgets.Button(description=LETTERS[i], layout=small) for i in range(len(question.choices))]
        self.texts = [ipywidgets.HTML(layout=ipywidgets.Layout(width="auto", flex="1 1 0%", min_width="0")) for _ in self.buttons]
        for i, button in enumerate(self.buttons):
            button.on_click(lambda pressed, i=i: self.choose(i))
        rows = [ipywidgets.HBox(pair, layout=ipywidgets.Layout(max_width="46rem")) for pair in zip(self.buttons, self.texts)]
        super().__init__([self.asked, *rows, self.said], layout=ipywidgets.Layout(margin="0 0 0.8rem 0"))

    def choose(self, which: int) -> None:
        """As if that button had been pressed."""
        self.chosen = which
        self._answered()

    def show(self, lang: str) -> None:
        """Everything in that language."""
        shown = f"<pre style='margin: 0.4rem 0; white-space: pre; overflow-x: auto'>{html.escape(self.question.shown.rstrip())}</pre>" if self.question.shown else ""
        self.asked.value = _lines(f"<b>{self.number}. {marked(self.question.text[lang])}</b>{shown}")
        for i, (choice, button, text) in enumerate(zip(self.question.choices, self.buttons, self.texts)):
            text.value = _lines(marked(choice.text[lang]), "padding: 4px 0 0 4px")  # level with the letter
            button.tooltip = choice.text[lang].replace("`", "")
            taken = i == self.chosen
            button.button_style = "" if not taken else "success" if choice.right else "warning"
        self.said.value = TOLD.format(self._said(lang))

    def _said(self, lang: str) -> str:
        if self.chosen is None:
            return ""
        right = self.question.choices[self.chosen].right
        said = f"{'✓' if right else '✗'} {marked(self.question.verdict(self.chosen, lang))}"
        if right:
            others = "".join(f"<li>{marked(line)}</li>" for line in self.question.others(lang))
            with spoken(lang):
                said += f"<details><summary>{say('Why not the others?')}</summary><ul>{others}</ul></details>"
        return _lines(said)


class QuizPanel(Kept):
    """All questions of a `Quiz`, a switch between the languages, and how many are right."""

    def __init__(self, quiz: Quiz):
        self.quiz = quiz
        self.language = ipywidgets.ToggleButtons(
            options=LANGUAGES, value=quiz.lang, description="Language", style={"button_width": "7rem"}
        )
        self.heading = ipywidgets.HTML(layout=LAYOUT)
        self.questions = [Asked(i, question, self._answered) for i, question in enumerate(quiz.questions, 1)]
        self.total = ipywidgets.HTML(layout=LAYOUT)
        super().__init__([self.language, self.heading, *self.questions, self.total], "quiz")
        self.language.observe(self._show, "value")
        self._saved = True
        self._show()

    @property
    def right(self) -> int:
        """How many questions are answered rightly now."""
        return sum(one.chosen == one.question.answer for one in self.questions)

    @property
    def text(self) -> str:
        """The quiz as plain text, without the answers; once one was given, how many are right."""
        asked = self.quiz.text(self.language.value)
        return f"{asked}\n\n{self._score}" if self.answered else asked

    @property
    def html(self) -> str:
        return f"<pre>{escaped(self.text)}</pre>"

    @property
    def answered(self) -> int:
        """How many questions have an answer."""
        return sum(one.chosen is not None for one in self.questions)

    @property
    def _score(self) -> str:
        return self.quiz.score(self.right, self.answered, self.language.value, self._saved)

    def _answered(self) -> None:
        self._saved = record_quiz(self.quiz.lesson, self.right, len(self.questions)) or bool(os.environ.get("FTKIT_GRADING"))
        self._show()

    def _show(self, change=None) -> None:
        lang = self.language.value
        self.heading.value = f"<b>{html.escape(self.quiz.heading(lang))}</b>"
        for one in self.questions:
            one.show(lang)
        self.total.value = TOLD.format(_lines(marked(self._score)))
        self._keep()


def _lines(text: str, style: str = "padding: 4px 0") -> str:
    """ipywidgets gives text the line height of a button, far too much for a paragraph."""
    return f'<div style="line-height: 1.45; white-space: normal; {style}">{text}</div>'
