"""A few questions at the end of each lesson; every answer, right or wrong, is explained.

`ft.quiz("00")` in a notebook gives buttons; ``ftkit quiz 00`` asks in a terminal. The questions lie in ``quizzes/NN.toml``,
English and Vietnamese side by side.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ftkit.course import LESSONS, language
from ftkit.errors import FtkitError
from ftkit.lang import say, spoken
from ftkit.progress import record_quiz
from ftkit.screens import in_a_notebook

LETTERS = "ABCD"
WIDTH = 92
"""Characters of a line in the plain text."""


@dataclass(frozen=True)
class Choice:
    """One possible answer. Texts are {"en": …, "vi": …}."""

    text: dict[str, str]
    why: dict[str, str]
    """Why it is right, or why it is not."""
    right: bool


@dataclass(frozen=True)
class Question:
    """A question with its choices, one of them right."""

    text: dict[str, str]
    choices: tuple[Choice, ...]
    shown: str = ""
    """A small table to read, as it would be printed."""

    @property
    def answer(self) -> int:
        """Which choice is right."""
        return next(i for i, choice in enumerate(self.choices) if choice.right)

    def verdict(self, chosen: int, lang: str) -> str:
        """Whether it is right, and why."""
        letter, choice = LETTERS[chosen], self.choices[chosen]
        with spoken(lang):
            return f"{say(f'{letter} is right.') if choice.right else say(f'{letter} is not it.')} {choice.why[lang]}"

    def others(self, lang: str) -> list[str]:
        """Why the wrong choices are wrong, a line each."""
        return [f"{LETTERS[i]}: {choice.why[lang]}" for i, choice in enumerate(self.choices) if not choice.right]


@dataclass(frozen=True)
class Quiz:
    """The questions of one lesson. It prints as plain text, without the answers."""

    lesson: str
    questions: tuple[Question, ...]
    lang: str = "en"

    def heading(self, lang: str) -> str:
        with spoken(lang):
            return say(f"Quiz of lesson {self.lesson}: {len(self.questions)} questions")

    def text(self, lang: str | None = None) -> str:
        """All questions and choices, not the answers."""
        lang = lang or self.lang
        blocks = [_asked(i, question, lang) for i, question in enumerate(self.questions, 1)]
        return "\n\n".join([self.heading(lang), *blocks])

    def score(self, right: int, answered: int, lang: str, saved: bool = True) -> str:
        """Where the learner stands, as a sentence."""
        n = len(self.questions)
        with spoken(lang):
            said = say(f"All {n} right. `ft.progress()` shows what comes next.") if right == n else say(f"{right} of {n} right")
            if answered < n:
                said += "; " + say(f"{n - answered} not answered yet")
            return said if saved else f"{said} {say('(this could not be saved on this machine)')}"

    def __str__(self) -> str:
        with spoken(self.lang):
            how = say(f'Answer them with ftkit quiz {self.lesson} in a terminal, or ft.quiz("{self.lesson}") in a notebook.')
        return f"{self.text()}\n\n{how}"

    __repr__ = __str__


def read_quiz(lesson: str, lang: str | None = None) -> Quiz:
    """The quiz of a lesson.

    >>> len(read_quiz("00").questions) >= 5
    True

    Raises:
        FtkitError: there is no such lesson.
    """
    import tomllib  # here, as `import ftkit` should stay quick

    name = str(lesson).zfill(2)
    if name not in LESSONS:
        raise FtkitError(f"quiz: there is no lesson {lesson!r}; there are {', '.join(LESSONS)}")
    path = Path(__file__).parent / "quizzes" / f"{name}.toml"
    return Quiz(name, tuple(map(_question, tomllib.loads(path.read_text(encoding="utf-8"))["question"])), language(lang))


def quiz(lesson: str, lang: str | None = None):
    """The questions of a lesson: buttons in a notebook, elsewhere a Quiz, which prints as text.

    A best result is kept on this machine (see `ft.progress`).

    Args:
        lesson: "00" to "04".
        lang: "en" or "vi"; default: what FTKIT_LANG says, else English. The buttons can be switched, too.

    Raises:
        FtkitError: there is no such lesson.
    """
    found = read_quiz(lesson, lang)
    if not in_a_notebook():
        return found
    from ftkit.quiz_panel import QuizPanel  # brings ipywidgets

    return QuizPanel(found)


def ask(quiz: Quiz) -> int:
    """How many were right, asked one after the other in a terminal. End of input ends the quiz."""
    lang = quiz.lang
    width = min(shutil.get_terminal_size().columns, WIDTH)
    right = answered = 0
    print(quiz.heading(lang))
    try:
        for i, question in enumerate(quiz.questions, 1):
            print(f"\n{_asked(i, question, lang, width)}\n")
            chosen = _answer(question, lang, width)
            answered += chosen is not None
            right += chosen == question.answer
    except EOFError:
        print()
    saved = not right or record_quiz(quiz.lesson, right, len(quiz.questions)) or bool(os.environ.get("FTKIT_GRADING"))
    print(f"\n{quiz.score(right, answered, lang, saved).replace('`ft.progress()`', '`ftkit progress`')}")
    return right


def _answer(question: Question, lang: str, width: int) -> int | None:
    """The last choice, explained each time; None if there was none."""
    chosen = None
    letters = LETTERS[: len(question.choices)]
    slashed = "/".join(letters)
    with spoken(lang):
        while typed := input(say(f"Your answer ({slashed}; Enter: go on): ")).strip().upper():
            if len(typed) > 1 or typed not in letters:
                print(say(f"Type one of {slashed}, or just Enter to go on."))
                continue
            chosen = letters.index(typed)
            print(_wrap(question.verdict(chosen, lang), width))
            if chosen == question.answer:
                print("\n".join(_wrap(line, width, "   ") for line in question.others(lang)))
                break
            print(say("Choose again, or Enter to go on."))
    return chosen


def _asked(number: int, question: Question, lang: str, width: int = WIDTH) -> str:
    """One question with its choices as plain text."""
    lines = [_wrap(f"{number}. {question.text[lang]}", width, "", "   ")]
    if question.shown:
        lines += ["", *(f"   {line}" for line in question.shown.rstrip().splitlines()), ""]
    lines += [_wrap(f"{LETTERS[i]}  {choice.text[lang]}", width, "   ", "      ") for i, choice in enumerate(question.choices)]
    return "\n".join(lines)


def _wrap(text: str, width: int, first: str = "", rest: str | None = None) -> str:
    import textwrap

    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=first if rest is None else rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _question(given: dict) -> Question:
    choices = tuple(
        Choice(_both(one), {"en": one["why_en"], "vi": one["why_vi"]}, one.get("right", False)) for one in given["choice"]
    )
    return Question(_both(given), choices, given.get("shown", ""))


def _both(given: dict) -> dict[str, str]:
    return {"en": given["en"], "vi": given["vi"]}
