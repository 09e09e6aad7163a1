"""What ftkit/course.py says of lessons and exercises is what they say of themselves."""

import re
from pathlib import Path

import nbformat
import pytest

from ftkit import course
from ftkit.grading.spec import load_module, read_exercise

ROOT = Path(__file__).parents[1]


def first_cell(path: str) -> str:
    return nbformat.read(ROOT / path, as_version=4).cells[0].source


def title(text: str) -> str:
    return text.splitlines()[0].partition(" · ")[2]


def test_every_lesson_and_every_exercise_is_listed():
    lessons = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "lessons").glob("*.ipynb"))
    exercises = sorted(path.parent.name for path in ROOT.glob("exercises/*/exercise.toml"))
    assert [lesson.path for lesson in course.LESSONS.values()] == lessons
    assert list(course.EXERCISES) == exercises


@pytest.mark.parametrize("lesson", course.LESSONS.values(), ids=lambda lesson: lesson.name)
def test_a_lesson_has_the_title_and_the_minutes_of_its_first_cell(lesson):
    english, vietnamese = first_cell(lesson.path), first_cell(lesson.path_vi)
    assert (title(english), title(vietnamese)) == (lesson.title, lesson.title_vi)
    assert re.search(r"(\d+) minutes", english)[1] == re.search(r"(\d+) phút", vietnamese)[1] == str(lesson.minutes)


def test_the_lessons_take_three_hours_at_most():
    assert sum(lesson.minutes for lesson in course.LESSONS.values()) <= 180


@pytest.mark.parametrize("exercise", course.EXERCISES.values(), ids=lambda exercise: exercise.name)
def test_an_exercise_has_the_title_the_minutes_and_the_checks_of_its_folder(exercise):
    known = read_exercise(exercise.name)
    assert (known.title, known.minutes) == (exercise.title, exercise.minutes)
    assert title(first_cell(exercise.path)) == exercise.title and title(first_cell(exercise.path_vi)) == exercise.title_vi
    checks = load_module(ROOT / "exercises" / exercise.name / "checks.py", f"checks_of_{exercise.name}")
    assert exercise.checks == tuple(sorted(name for name in vars(checks) if re.fullmatch(r"q\d+", name)))


def test_the_language_is_what_is_asked_for_then_what_the_environment_says_then_english(monkeypatch):
    monkeypatch.delenv("FTKIT_LANG", raising=False)
    assert course.language() == "en"
    monkeypatch.setenv("FTKIT_LANG", "vi_VN.UTF-8")
    assert course.language() == "vi" and course.language("en") == "en"
