"""Names of three platforms, the newest hand-in, and folders that no name of a learner can choose."""

import json
import os
import zipfile

import pytest

from ftkit.errors import DataError
from ftkit.grading import ingest, spec


@pytest.fixture
def exercise():
    return spec.read_exercise("02_lora")


def taken(tmp_path, exercise, files: dict[str, str], zipped=True):
    """({student: (id, platform, text of the notebook)}, unmatched) of a bundle with these notebooks."""
    if zipped:
        bundle = tmp_path / "bundle.zip"
        with zipfile.ZipFile(bundle, "w") as archive:
            for number, (name, text) in enumerate(files.items()):
                archive.writestr(zipfile.ZipInfo(name, (2026, 11, 1, 10, number, 0)), text)
    else:
        bundle = tmp_path / "bundle"
        for number, (name, text) in enumerate(files.items()):
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            (bundle / name).write_text(text, encoding="utf-8")
            os.utime(bundle / name, (1000 + number, 1000 + number))
    found, unmatched = ingest.ingest(bundle, exercise, tmp_path / "work")
    return {s.student: (s.id, s.platform, _notebook(s)) for s in found}, unmatched


def _notebook(submission):
    path = submission.folder / ingest.NOTEBOOK
    return path.read_text(encoding="utf-8") if path.exists() else None


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("name", "student", "number", "platform"), [
    ("nguyenan_4711_99887_student.ipynb", "nguyenan", "4711", "canvas"),
    ("nguyenan_LATE_4711_99887_02_lora_final.ipynb", "nguyenan", "4711", "canvas"),
    ("An Nguyễn_5512_assignsubmission_file/student.ipynb", "An Nguyễn", "5512", "moodle"),
    ("An Nguyễn_5512_assignsubmission_file_/student.ipynb", "An Nguyễn", "5512", "moodle"),
    ("An Nguyễn_5512_assignsubmission_file_student.ipynb", "An Nguyễn", "5512", "moodle"),
    ("an_4711_99887_Bo_1_assignsubmission_file_x.ipynb", "an", "4711", "canvas"),  # a learner chose this file's name
    ("an_4711_assignsubmission_file/Bo_1_assignsubmission_file/x.ipynb", "an", "4711", "moodle"),
    ("an.ipynb", "an", "", "plain"),
    ("an/exercise/student.ipynb", "an", "", "plain"),
    ("submissions/an/student.ipynb", "an", "", "plain"),
    ("Copy of an.ipynb", "an", "", "plain"),
    ("an (2).ipynb", "an", "", "plain"),
])  # fmt: skip
def test_the_names_of_the_platforms_are_understood(tmp_path, exercise, name, student, number, platform, zipped):
    found, unmatched = taken(tmp_path, exercise, {name: "x"}, zipped)
    assert found == {student: (number, platform, "x")} and unmatched == []


def test_late_is_noted(tmp_path, exercise):
    (bundle := tmp_path / "b").mkdir()
    (bundle / "an_LATE_1_2_x.ipynb").write_text("{}")
    (submission,), _ = ingest.ingest(bundle, exercise, tmp_path / "work")
    assert submission.late


@pytest.mark.parametrize("files", [
    {"an_1_10_x.ipynb": "old", "an_1_11_x-1.ipynb": "new"},
    {"an_1_11_x-2.ipynb": "new", "an_1_10_x-1.ipynb": "old"},  # the number counts, not the date
    {"an.ipynb": "old", "an (1).ipynb": "new"},
    {"an/a.ipynb": "old", "an/b.ipynb": "new", "bo.ipynb": "new"},  # the date counts
])  # fmt: skip
def test_the_newest_hand_in_is_kept(tmp_path, exercise, files):
    found, _ = taken(tmp_path, exercise, files)
    assert {text for _, _, text in found.values()} == {"new"}


def test_what_belongs_to_nobody_is_listed_and_the_systems_litter_is_not(tmp_path, exercise):
    files = {"an.ipynb": "x", "grades.xlsx": "", "adapter_model.safetensors": "", "__MACOSX/._an.ipynb": "", "an/.DS_Store": ""}
    found, unmatched = taken(tmp_path, exercise, files)
    assert list(found) == ["an"] and unmatched == ["adapter_model.safetensors", "grades.xlsx"]


def test_two_learners_of_one_name_are_two_learners(tmp_path, exercise):
    bundle = tmp_path / "b"
    bundle.mkdir()
    for name in ("an_1_10_x.ipynb", "an_2_11_x.ipynb"):
        (bundle / name).write_text("{}")
    found, _ = ingest.ingest(bundle, exercise, tmp_path / "work")
    assert len({s.key for s in found}) == 2


@pytest.mark.parametrize("name", ["../../evil", "a/b", "..", "C:evil", "con", "a\u202eb", "\u0000", "é" * 500, "=1+1", "../x" * 30])
def test_no_name_of_a_learner_reaches_the_file_system(tmp_path, name):
    key = ingest._key(ingest.clean_name(name), "", set())
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") and 0 < len(key) <= 60


def test_a_link_in_a_folder_is_not_followed(tmp_path, exercise):
    (tmp_path / "secret.ipynb").write_text("secret")
    (bundle := tmp_path / "b").mkdir()
    try:
        (bundle / "an.ipynb").symlink_to(tmp_path / "secret.ipynb")
        (bundle / "bo").symlink_to(tmp_path)
    except OSError:
        pytest.skip("this system makes no links")
    assert ingest.ingest(bundle, exercise, tmp_path / "work") == ([], [])


def test_only_the_newest_zip_is_read_and_never_mixed_with_an_older_one(tmp_path, exercise):
    bundle = tmp_path / "b"
    bundle.mkdir()
    for number, files in enumerate([{"notebook.ipynb": "old", "claims.json": "{}"}, {"notebook.ipynb": "new"}]):
        with zipfile.ZipFile(bundle / f"an_1_{number}_x-{number + 1}.zip", "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    (submission,), _ = ingest.ingest(bundle, exercise, tmp_path / "work")
    assert _notebook(submission) == "new" and not submission.has("claims.json") and "older" in submission.notes[0]


def test_there_is_a_sentence_where_nothing_is(tmp_path, exercise):
    with pytest.raises(DataError, match="no such file or folder"):
        ingest.ingest(tmp_path / "nothing.zip", exercise, tmp_path / "work")
    (tmp_path / "text.zip").write_text(json.dumps({}))
    with pytest.raises(DataError, match="not a whole zip"):
        ingest.ingest(tmp_path / "text.zip", exercise, tmp_path / "work")


def test_a_folder_around_the_whole_class_is_not_a_learner(tmp_path, exercise):
    found, _ = taken(tmp_path, exercise, {"02 hand-ins/an.ipynb": "a", "02 hand-ins/bo.ipynb": "b", "02 hand-ins/bo (1).ipynb": "c", "list.xlsx": ""})
    assert {student: text for student, (_, _, text) in found.items()} == {"an": "a", "bo": "c"}
    found, _ = taken(tmp_path / "2", exercise, {"class/an/x.ipynb": "a", "class/bo/runs/x.ipynb": "b"}, zipped=False)
    assert set(found) == {"an", "bo"}


@pytest.mark.parametrize("files", [("an/x.ipynb", "an/y.zip"), ("an/x.ipynb", "an/runs/1/claims.json"), ("an/x.ipynb", "an/x (1).ipynb")])
def test_a_folder_of_one_learner_is_that_learner(tmp_path, exercise, files):
    found, _ = taken(tmp_path, exercise, dict.fromkeys(files, "x"), zipped=False)
    assert set(found) == {"an"}


def test_an_odd_file_name_of_one_does_not_stop_the_class(tmp_path, exercise):
    found, unmatched = taken(tmp_path, exercise, {"an.ipynb": "a", "bo/..\\..\\x.ipynb": "b", "cy.ipynb": "c"})
    assert set(found) == {"an", "cy"} and len(unmatched) == 1 and "leads out" in unmatched[0]


def test_only_a_folder_of_the_graders_own_is_emptied(tmp_path, exercise):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "an.ipynb").write_text("{}")
    with pytest.raises(DataError, match="choose another folder"):
        ingest.ingest(bundle, exercise, bundle / "graded" / "work")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").write_text("three years")
    with pytest.raises(DataError, match="not the grader's"):
        ingest.ingest(bundle, exercise, tmp_path / "work")
    assert (tmp_path / "work" / "thesis.tex").exists()


def test_vietnamese_names_can_still_be_read_in_file_names():
    assert ingest._key("Đỗ Thị Ánh", "", set()) == "do-thi-anh"
