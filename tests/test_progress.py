"""The progress file helps and never hinders: damaged, locked, of another version, or out of reach."""

import json
import subprocess
import sys
from pathlib import Path

import portalocker
import pytest

from ftkit import exercise, progress
from ftkit.course import COURSE, LESSONS
from ftkit.progress import record_check, record_quiz

# `ftkit.progress` is the function; the module behind it
module = sys.modules["ftkit.progress"]


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / ".ftkit" / "progress.json"


def test_without_a_file_nothing_is_done_and_the_first_lesson_comes_next(file):
    found = progress()
    assert found.next.name == "00" and f"Next: lesson 00, {LESSONS['00'].minutes} minutes: lessons/00_should_i_fine_tune.ipynb" in str(found)
    assert "✓" not in str(found) and not file.exists(), "looking writes nothing"


def test_the_best_result_of_a_quiz_stays(file):
    assert record_quiz("00", 4, 6) and record_quiz("00", 2, 6)
    assert progress().quizzes == {"00": (4, 6)} and "quiz: 4 of 6 right" in str(progress())
    assert progress().next.name == "00", "a quiz that is not all right leaves the lesson open"
    record_quiz("00", 6, 6)
    assert "✓ quiz: 6 of 6 right" in str(progress()) and progress().next.name == "01"


def test_a_longer_quiz_of_a_later_version_counts_by_its_share():
    record_quiz("00", 5, 6)
    record_quiz("00", 5, 7)
    assert progress().quizzes == {"00": (5, 6)}


def test_an_exercise_is_done_when_all_its_checks_have_passed():
    record_check("02_lora", "q1")
    record_check("02_lora", "q1")
    assert progress().checks == {"02_lora": ("q1",)} and "checks: 1 of 5 passed" in str(progress())
    for question in ("q2", "q3", "q4", "q5"):
        record_check("02_lora", question)
    assert "✓ checks: 5 of 5 passed" in str(progress())


def test_a_passed_self_check_is_recorded_and_a_failed_one_is_not(capsys):
    exercise.start("02_lora")
    exercise.check("q1", {"lora_parameters": lambda shapes, r: 0})
    assert progress().checks == {}
    exercise.check("q1", {"lora_parameters": lambda shapes, r: sum(r * (rows + columns) for rows, columns in shapes)})
    assert "✓ q1" in capsys.readouterr().out and progress().checks == {"02_lora": ("q1",)}


def test_check_says_right_even_if_that_cannot_be_kept(capsys, monkeypatch, tmp_path):
    (tmp_path / "blocked").write_text("a file where the folder should be", encoding="utf-8")
    monkeypatch.setenv("FTKIT_HOME", str(tmp_path / "blocked"))
    exercise.start("02_lora")
    exercise.check("q1", {"lora_parameters": lambda shapes, r: sum(r * (rows + columns) for rows, columns in shapes)})
    said = capsys.readouterr().out
    assert "✓ q1" in said and "✗" not in said
    assert record_quiz("00", 1, 6) is False and progress().next.name == "00"


def test_when_all_is_done_it_says_so():
    for station in COURSE:
        if station.is_lesson:
            record_quiz(station.name, 6, 6)
        for question in station.checks:
            record_check(station.name, question)
    assert progress().next is None and str(progress()).endswith("All done.") and str(progress("vi")).endswith("Đã xong tất cả.")


DAMAGED = {
    "half written": b'{"version": 1, "quizzes": {"00": {"ri',
    "not text": b"\xff\xfe\x00\x80",
    "empty": b"",
    "a list": b"[]",
    "no version": b'{"quizzes": {}, "checks": {}}',
    "wrong types": b'{"version": 1, "quizzes": {"00": {"right": "6", "of": 6}}, "checks": {}}',
    "more right than asked": b'{"version": 1, "quizzes": {"00": {"right": 9, "of": 6}}, "checks": {}}',
    "of none": b'{"version": 1, "quizzes": {"00": {"right": 0, "of": 0}}, "checks": {}}',
    "checks of numbers": b'{"version": 1, "quizzes": {}, "checks": {"02_lora": [1]}}',
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("first", [progress, lambda: record_quiz("01", 3, 6)], ids=["looked at", "written to"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(file, content, first):
    file.parent.mkdir()
    file.write_bytes(content)
    first()
    assert (file.parent / "progress.damaged.json").read_bytes() == content
    assert record_quiz("01", 3, 6) and progress().quizzes == {"01": (3, 6)}


def test_whoever_looks_is_told_that_the_file_was_damaged(file):
    file.parent.mkdir()
    file.write_text("{", encoding="utf-8")
    said = str(progress())
    assert "cannot be read" in said and "progress.damaged.json" in said
    assert "cannot be read" not in str(progress()), "said once"


def test_a_file_of_another_version_is_left_as_it_is(file):
    file.parent.mkdir()
    file.write_text('{"version": 2, "new": true}', encoding="utf-8")
    assert record_quiz("00", 6, 6) is False and record_check("02_lora", "q1") is False
    assert "another version of ftkit" in str(progress()) and "phiên bản ftkit khác" in progress("vi")._repr_html_()
    assert json.loads(file.read_text(encoding="utf-8")) == {"version": 2, "new": True}


def test_a_file_that_another_notebook_holds_costs_a_moment_and_no_error(file, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    assert record_quiz("00", 1, 6)
    with portalocker.Lock(file.with_name("progress.lock"), "a"):
        assert record_quiz("00", 2, 6) is False
    assert record_quiz("00", 2, 6) is True and progress().quizzes == {"00": (2, 6)}


def test_several_notebooks_lose_nothing_of_each_other():
    code = (
        "import sys, ftkit; module = sys.modules['ftkit.progress']; module.PATIENCE = 60\n"
        "for i in range(8): assert module.record_check(sys.argv[1], f'q{i}')"
    )
    names = ("01_openai", "02_lora", "03_embeddings")
    writers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in names]
    assert [one.wait(120) for one in writers] == [0, 0, 0]
    assert {name: len(passed) for name, passed in progress().checks.items()} == dict.fromkeys(names, 8)


def test_in_a_grading_sandbox_nothing_is_written_and_nothing_moved(file, monkeypatch):
    monkeypatch.setenv("FTKIT_GRADING", "1")
    assert record_quiz("00", 6, 6) is False and not file.parent.exists()
    file.parent.mkdir()
    file.write_text("{", encoding="utf-8")
    progress()
    assert [path.name for path in file.parent.iterdir()] == ["progress.json"]


def test_nothing_personal_is_kept_or_shown(file, monkeypatch):
    monkeypatch.delenv("FTKIT_HOME")
    monkeypatch.setattr(module.os.path, "expanduser", lambda path: path.replace("~", str(file.parent.parent)))
    record_quiz("00", 6, 6)
    record_check("02_lora", "q1")
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "version": 1, "quizzes": {"00": {"right": 6, "of": 6}}, "checks": {"02_lora": ["q1"]},
    }  # fmt: skip
    file.write_text("{", encoding="utf-8")
    said = str(progress())
    assert str(file.parent.parent) not in said and "progress.json cannot be read" in said and said.splitlines()[-1].startswith("~")


def test_the_page_and_the_vietnamese_say_the_same():
    record_quiz("00", 6, 6)
    record_check("01_openai", "q1")
    english, vietnamese = progress(), progress("vi")
    for station in COURSE:
        assert station.title in english._repr_html_() and station.title_vi in vietnamese._repr_html_()
    assert "✓ câu hỏi: đúng 6/6" in str(vietnamese) and "tự kiểm: qua 1/5" in str(vietnamese)
    assert f"Tiếp theo: bài 01, {LESSONS['01'].minutes} phút: lessons/vi/01_openai.ipynb" in vietnamese._repr_html_()
    assert f"Next: lesson 01, {LESSONS['01'].minutes} minutes" in english._repr_html_()


def test_ftkit_progress_prints_it():
    record_quiz("00", 5, 6)
    done = subprocess.run([sys.executable, "-m", "ftkit", "progress", "--lang", "vi"], capture_output=True, encoding="utf-8")
    assert done.returncode == 0 and done.stdout == f"{progress('vi')}\n" and "đúng 5/6" in done.stdout
