"""Every animal of the zoo gets what it should, and none stops the others."""

import csv
import re

import animals
import psutil
import pytest

from ftkit.grading import report, run, sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not sandbox._works(), reason="the zoo holds hostile code: it needs bubblewrap (Debian: apt install bubblewrap)"),
]

NAMES = [animal.name for animal in animals.ZOO]


def test_the_zoo_is_large_and_every_animal_has_its_own_name():
    assert len(NAMES) >= 40 and len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("animal", animals.ZOO, ids=lambda animal: animal.make.__name__)
def test_it_gets_what_it_should(animal, by_name):
    result = by_name[animal.name]
    told = f"{result.status}; {result.flags}; { {q: (m.points, m.status, m.note) for q, m in result.marks.items()} }; {result.cells}"
    assert result.status == animal.status, told
    got = {q: result.marks[q].points for q in animal.points}
    assert got == animal.points, told
    if animal.flag:
        assert any(re.search(animal.flag, flag) for flag in result.flags), told
    else:
        assert not result.flags, told


@pytest.mark.parametrize("animal", [a for a in animals.ZOO if a.total is not ...], ids=lambda animal: animal.make.__name__)
def test_the_total_is_blank_where_something_could_not_be_graded(animal, graded, by_name):
    assert report.total_of(graded[0].exercise, by_name[animal.name], {}) == animal.total


def table(path) -> list[list[str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def dicts(path) -> list[dict[str, str]]:
    head, *rows = table(path)
    return [dict(zip(head, row)) for row in rows]


def test_everyone_is_in_the_table_once_and_what_belongs_to_nobody_is_listed(graded):
    found, out = graded
    rows = dicts(out / "grades.csv")
    assert len(rows) == len(animals.ZOO) == len({row["key"] for row in rows})
    assert found.unmatched == ["timetable.xlsx"]
    assert "timetable.xlsx" in (out / "attention.html").read_text(encoding="utf-8")


def test_nobody_called_the_server_on_this_machine(graded):
    port, callers = animals.listener()
    assert callers == []


def test_nothing_that_they_started_still_runs(graded):
    lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if "time.sleep(4242)" in line]


def test_nothing_was_written_outside_the_folder_of_grades(graded, bundle):
    _, out = graded
    assert not (out.parent / "grades.csv").exists() and not (bundle.parent / "grades.csv").exists()
    for path in (out / "work").rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.name in ("notebook.ipynb", "adapter_model.safetensors", "adapter_config.json", "claims.json", ".ftkit-grade")


def test_no_page_holds_markup_of_a_learner(graded):
    _, out = graded
    pages = [out / "attention.html", *(out / "feedback").glob("*.html")]
    assert len(pages) == len(animals.ZOO) + 1
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "Content-Security-Policy" in text and "default-src 'none'" in text
        assert not re.search(r"<(script|img|iframe|b )", text) and "\u202e" not in text


def test_no_cell_of_a_table_is_a_formula(graded):
    _, out = graded
    for name in ("grades.csv", "manual.csv", "canvas.csv", "moodle.csv"):
        for row in table(out / name):
            assert not [cell for cell in row if cell[:1] in "=+@" and cell], name


def test_feedback_shows_no_hidden_input_and_no_right_answer(graded, exercise, secret):
    from ftkit.grading import probes, spec

    read = spec.read_exercise(exercise)
    replies = [reply for (reply,) in probes.hidden_calls(read, secret.read_bytes())["q5"] if len(reply) > 20]
    assert replies
    _, out = graded
    for path in (out / "feedback").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "told" not in text.replace("has been told", ""), path.name
        assert not [reply for reply in replies if report._text(reply) in text]


def test_the_solution_has_full_marks_once_its_text_was_read_and_nothing_is_graded_twice(graded, exercise, bundle, secret):
    _, out = graded
    rows = table(out / "manual.csv")
    points, key, question = (rows[0].index(name) for name in ("points", "key", "question"))
    for row in rows[1:]:
        if row[key] == "solution" and row[question] == "q6":
            row[points] = "3"
    with open(out / "manual.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    again = run.grade(exercise, bundle, out, secret)
    report.write(again, out)
    assert again.fresh == 0
    found = {row["key"]: row for row in dicts(out / "grades.csv")}
    assert float(found["solution"]["total"]) == again.exercise.points == 20
    assert found["blank"]["total"] == "0.0"
    assert found["memory-hog"]["total"] == ""
