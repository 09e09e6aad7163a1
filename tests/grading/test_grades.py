"""What is written: blank for what is not known, the person's points, nothing that a browser or a spreadsheet would run."""

import csv
import re

import pytest

from ftkit.errors import DataError
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


def edited(path, change):
    path.write_text(change(path.read_text(encoding="utf-8-sig")), encoding="utf-8")


def test_a_spreadsheet_may_write_semicolons(graded, tmp_path):
    report.write(graded, tmp_path)
    rows = [list(row.values()) for row in table(tmp_path / "manual.csv")]
    rows[0][4:6] = ["1,5", "-1: too short"]
    with open(tmp_path / "manual.csv", "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows([report.MANUAL_HEADS, *rows])
    for _ in range(3):
        report.write(graded, tmp_path)
    assert {row["key"]: row["q6"] for row in table(tmp_path / "grades.csv")}["an"] == "1.5"
    assert "<i>-1: too short</i>" in (tmp_path / "feedback" / "an.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("change", "why"), [
    (lambda text: text.replace(",3,,,", ",3,2 points,,", 1), "points are '2 points'"),
    (lambda text: text.replace(",3,,,", ",3,25,,", 1), "want 0 to 3"),
    (lambda text: text.replace(",3,,,", ",3,nan,,", 1), "want 0 to 3"),
    (lambda text: text.replace("answer_id", "id", 1), "no column answer_id"),
    (lambda text: text + text.splitlines()[1] + "\n", "twice"),
])  # fmt: skip
def test_what_a_person_wrote_is_never_lost_in_silence(graded, tmp_path, change, why):
    report.write(graded, tmp_path)
    edited(tmp_path / "manual.csv", change)
    was = (tmp_path / "manual.csv").read_bytes()
    with pytest.raises(DataError, match=why):
        report.write(graded, tmp_path)
    assert (tmp_path / "manual.csv").read_bytes() == was


def test_a_table_in_another_encoding_is_refused_with_advice(graded, tmp_path):
    (tmp_path / "manual.csv").write_bytes("key,student\nan,An Nguyễn".encode("utf-16"))
    with pytest.raises(DataError, match="CSV UTF-8"):
        report.write(graded, tmp_path)


def test_points_of_learners_who_are_not_in_this_bundle_stay_in_the_table(graded, tmp_path):
    report.write(graded, tmp_path)
    edited(tmp_path / "manual.csv", lambda text: text.replace(",3,,,", ",3,2.5,,", 1))  # an, q6
    whole, graded.results = graded.results, graded.results[1:]
    for _ in range(2):
        report.write(graded, tmp_path)
        assert [row["key"] for row in table(tmp_path / "manual.csv")] == ["cy", "cy", "an"]
    graded.results = whole
    report.write(graded, tmp_path)
    assert {row["key"]: row["total"] for row in table(tmp_path / "grades.csv")}["an"] == "4.5"


def test_who_was_graded_by_hand_is_not_said_to_be_incomplete(graded, tmp_path):
    graded.results[2].status = "partly graded"
    report.write(graded, tmp_path)
    assert {row["key"]: row["status"] for row in table(tmp_path / "grades.csv")}["cy"] == "partly graded"
    assert "class='warn'" in (tmp_path / "feedback" / "cy.html").read_text(encoding="utf-8")
    edited(tmp_path / "manual.csv", lambda text: text.replace(",q1,2,,", ",q1,2,1,").replace(",q6,3,,", ",q6,3,2,"))
    report.write(graded, tmp_path)
    row = {row["key"]: row for row in table(tmp_path / "grades.csv")}["cy"]
    assert (row["status"], row["total"]) == ("graded by hand", "3.0")
    assert "class='warn'" not in (tmp_path / "feedback" / "cy.html").read_text(encoding="utf-8")


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
