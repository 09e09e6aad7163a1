"""What is written: blank for what is not known, the person's points, nothing that a browser or a spreadsheet would run."""

import csv
import re

import pytest

from ftkit.grading import report, run, spec
from ftkit.grading.probes import Mark


@pytest.fixture
def graded():
    exercise = spec.read_exercise("02_lora")

    def result(key, student, q1, q6="to be read", platform="plain", number=""):
        marks = {q.id: Mark(0.0, "graded", "right") for q in exercise.questions}
        marks |= {"q1": Mark(q1, "graded" if q1 is not None else "not graded", "n"), "q6": Mark(None if q6 == "to be read" else 0.0, q6, "")}
        found = run.Result(student, number, platform, key, False, status="graded", marks=marks, texts={"q6": f"text of {key}"})
        found.sha256 = key
        return found

    results = [
        result("an", "An Nguyễn", 2.0), result("bo", "=cmd|' /C calc'!A0", 1.0, "not answered"), result("cy", "<script>x</script>", None),
        result("di-11", "Di", 2.0, "not answered", "canvas", "11"), result("el-12", "El", 2.0, "not answered", "moodle", "12"),
    ]  # fmt: skip
    return run.Graded(exercise, "bubblewrap", results, ["odd.xlsx"], 5, 0)


def table(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_not_known_is_blank_and_never_zero(graded, tmp_path):
    report.write(graded, tmp_path)
    rows = {row["key"]: row for row in table(tmp_path / "grades.csv")}
    assert (rows["an"]["q1"], rows["an"]["q6"], rows["an"]["total"]) == ("2.0", "", "")
    assert (rows["bo"]["q1"], rows["bo"]["q6"], rows["bo"]["total"]) == ("1.0", "0.0", "1.0")
    assert (rows["cy"]["q1"], rows["cy"]["total"]) == ("", "")


def test_points_of_a_person_count_until_the_answer_changes(graded, tmp_path):
    report.write(graded, tmp_path)
    rows = table(tmp_path / "manual.csv")
    assert [(row["key"], row["question"]) for row in rows] == [("an", "q6"), ("cy", "q1"), ("cy", "q6")]
    rows[0] |= {"points": "2,5", "comment": "good, but <b>short</b>"}
    with open(tmp_path / "manual.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, report.MANUAL_HEADS)
        writer.writeheader()
        writer.writerows(rows)
    report.write(graded, tmp_path)
    assert {row["key"]: row["total"] for row in table(tmp_path / "grades.csv")}["an"] == "4.5"
    assert "good, but &lt;b&gt;short" in (tmp_path / "feedback" / "an.html").read_text(encoding="utf-8")
    assert table(tmp_path / "manual.csv")[0]["points"] == "2.5"  # kept for the next run
    graded.results[0].texts["q6"] = "another answer"
    report.write(graded, tmp_path)
    assert {row["key"]: row["total"] for row in table(tmp_path / "grades.csv")}["an"] == ""


def test_platforms_get_what_they_import(graded, tmp_path):
    report.write(graded, tmp_path, assignment="Exercise 2 (4711)")
    canvas = list(csv.reader((tmp_path / "canvas.csv").read_text(encoding="utf-8").splitlines()))
    assert canvas[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Exercise 2 (4711)"]
    assert canvas[1] == ["    Points Possible", "", "", "", "", "20"]
    assert ["Di", "11", "", "", "", "2.0"] in canvas and not [row for row in canvas if row[0] == "El"]
    moodle = table(tmp_path / "moodle.csv")
    assert {"Identifier": "Participant 12", "Full name": "El", "Grade": "2.0", "Maximum Grade": "20"}.items() <= moodle[-1].items()


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "  =1", "\t=1", "\r=1", "\n=1", "＝1"])
def test_no_text_becomes_a_formula(text):
    assert not re.match(r"\s*[=+\-@＝]", report._cell(text))


def test_pages_forbid_scripts_and_escape_names(graded, tmp_path):
    report.write(graded, tmp_path)
    for path in [tmp_path / "attention.html", *(tmp_path / "feedback").iterdir()]:
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text and "default-src 'none'" in text
    assert "&lt;script&gt;x" in (tmp_path / "attention.html").read_text(encoding="utf-8")


def test_the_weaker_level_is_said_loudly(graded, tmp_path):
    graded.isolation = "process"
    report.write(graded, tmp_path)
    assert "A SEPARATE PROCESS ONLY" in (tmp_path / "attention.html").read_text(encoding="utf-8")


def test_feedback_does_not_name_other_learners(graded, tmp_path):
    graded.results[0].flags = ["the same weights as Bo", "claims json_fields 0.9, measured 0.1"]
    graded.results[0].status = "partly graded"
    report.write(graded, tmp_path)
    assert "same weights" not in (tmp_path / "feedback" / "an.html").read_text(encoding="utf-8")
    assert "same weights" in (tmp_path / "attention.html").read_text(encoding="utf-8")


def test_feedback_of_somebody_who_is_gone_goes_too(graded, tmp_path):
    report.write(graded, tmp_path)
    graded.results.pop()
    report.write(graded, tmp_path)
    assert not (tmp_path / "feedback" / "el-12.html").exists()


def test_scores_reach_the_gradebook_of_nbgrader(graded, tmp_path):
    from nbgrader.api import Gradebook

    from ftkit.grading import gradebook

    for _ in range(2):  # twice: nothing is added double
        path = gradebook.write(graded, tmp_path, {})
    with Gradebook(f"sqlite:///{path}") as book:
        submission = book.find_submission("02_lora", "bo")
        assert submission.score == 1.0 and submission.max_score == 20
        assert book.find_submission("02_lora", "an").needs_manual_grade
        assert len(book.students) == 5
