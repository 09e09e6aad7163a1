"""The exercises themselves: built as committed, solvable, and explaining."""

import json
import re
from pathlib import Path

import pytest

from ftkit import exercise as learner
from ftkit.grading import build, probes, spec

ROOT = Path(__file__).parents[2] / "exercises"
FOLDERS = sorted(path.parent for path in ROOT.glob("*/exercise.toml"))
SECRET = b"a secret of sixteen bytes or more"


def cells(path: Path) -> dict[str, str]:
    page = json.loads(path.read_text(encoding="utf-8"))
    return {cell["id"]: "".join(cell["source"]) for cell in page["cells"]}


def names_of(folder: Path, which: str, questions) -> dict:
    """What the cells of these questions define, after the set-up cell."""
    space: dict = {}
    page = cells(folder / which)
    for name in ("setup", *questions):
        exec(page[name], space)  # our own notebook
    return space


def probed(folder: Path) -> list[str]:
    return [q.id for q in spec.read_exercise(folder).of_kind("probe")]


def test_there_are_three_exercises():
    assert [folder.name for folder in FOLDERS] == ["01_openai", "02_lora", "03_embeddings"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_what_is_generated_is_what_is_committed(folder):
    for path, text in build.build(folder).items():
        assert path.read_text(encoding="utf-8") == text, f"run: python -m ftkit.grading.build {folder.relative_to(ROOT.parent)}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_no_solution_is_handed_out(folder):
    page, source = cells(folder / "student.ipynb"), cells(folder / "source.ipynb")
    for question in spec.read_exercise(folder).questions:
        assert "SOLUTION" not in page[question.id] and page[question.id] != source[question.id]
        inside = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", source[question.id], re.DOTALL)
        assert inside and not [part for part in inside if part.strip() in page[question.id]]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_locked_cells_are_locked_and_solution_cells_are_not(folder):
    page = json.loads((folder / "student.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in page["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        about = cell["metadata"]["nbgrader"]
        assert about["locked"] != about["solution"]
        assert (cell["metadata"].get("editable") is False) == about["locked"]
        assert about["checksum"] and cell["outputs"] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_every_question_says_difficulty_minutes_points_and_has_two_folded_hints(folder):
    page = json.loads((folder / "student.ipynb").read_text(encoding="utf-8"))
    text = "\n".join("".join(cell["source"]) for cell in page["cells"] if cell["cell_type"] == "markdown")
    for question in spec.read_exercise(folder).questions:
        head = re.search(rf"## {question.id} · .*\((★+), (\d+) minutes, (\d+) points.*\)", text)
        assert head and float(head[3]) == question.points
    hinted = [part for part in re.split(r"(?m)^## q\d", text)[1:]]
    assert all(part.count("<details><summary>Hint") == 2 for part in hinted)
    assert text.count("<details>") == text.count("</details>")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_the_solution_answers_every_hidden_input(folder):
    read, names = spec.read_exercise(folder), names_of(folder, "source.ipynb", probed(folder))
    calls = probes.hidden_calls(read, SECRET)
    for question in read.of_kind("probe"):
        for call in calls[question.id]:
            _, reference = read.hidden.PROBES[question.id]
            got = names[question.function](*json.loads(json.dumps(call)))
            assert probes.same(reference(*call), getattr(got, "tolist", lambda got=got: got)()), (question.id, call)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_hidden_inputs_depend_on_the_secret_and_survive_json(folder):
    read = spec.read_exercise(folder)
    one, again, other = (probes.hidden_calls(read, secret) for secret in (SECRET, SECRET, b"another" + SECRET))
    assert one == again != other
    assert json.loads(json.dumps(one)) == one


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_the_self_checks_pass_the_solution_and_say_what_the_blank_notebook_lacks(folder, capsys):
    learner.start(folder.name)
    solution, blank = (names_of(folder, which, probed(folder)) for which in ("source.ipynb", "student.ipynb"))
    for question in probed(folder):
        capsys.readouterr()
        learner.check(question, solution)
        assert capsys.readouterr().out.startswith(f"✓ {question}")
        learner.check(question, blank)
        assert "not written yet" in capsys.readouterr().out
        learner.check(question, {})
        assert "is not there yet" in capsys.readouterr().out


@pytest.mark.parametrize("value", [None, 0, "x", lambda *a: 1 / 0, lambda *a: None, lambda *a: (_ for _ in ()).throw(SystemExit)])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_a_check_never_raises(folder, value, capsys):
    learner.start(folder.name)
    read = spec.read_exercise(folder)
    capsys.readouterr()
    names = {q.function or "recipe": value for q in read.questions} | dict.fromkeys(("run", "before", "after", "rows"), value)
    for question in [*(q.id for q in read.questions), "q99", "", "__init__"]:
        learner.check(question, names)
        said = capsys.readouterr().out
        assert said.startswith(("✗", "…")) and said.count("\n") == 1


def test_a_check_explains_a_usual_mistake(capsys):
    learner.start("02_lora")
    capsys.readouterr()
    learner.check("q1", {"lora_parameters": lambda shapes, r: 15})
    assert "W₀, which LoRA leaves frozen" in capsys.readouterr().out


def test_a_check_finds_the_notebooks_own_names(capsys):
    space = {}
    exec("import ftkit as ft\nft.exercise.start('02_lora')\ndef lora_parameters(shapes, r): return 3\nft.exercise.check('q1')", space)
    assert "got 3" in capsys.readouterr().out


def test_a_wheel_takes_the_checks_along_and_nothing_hidden(tmp_path):
    import subprocess
    import sys

    root = ROOT.parent
    done = subprocess.run([sys.executable, "-c", "import setup" if False else
        "import sys; sys.argv = ['setup.py', '-q', 'build_py', '--build-lib', sys.argv[1]]; exec(open('setup.py').read(), {'__file__': 'setup.py', '__name__': '__main__'})",
        str(tmp_path)], cwd=root, capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / "ftkit" / "_exercises").rglob("*") if p.is_file())
    assert found == [f"ftkit/_exercises/{f.name}/{name}" for f in FOLDERS for name in ("checks.py", "exercise.toml")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_the_bands_that_learners_read_are_those_that_decide(folder):
    for question in spec.read_exercise(folder).of_kind("measure"):
        said = ", ".join(f"{least:.2f} → {points:g}" for least, points in question.bands)
        for name in ("student.ipynb", "student_vi.ipynb"):
            assert said in (folder / name).read_text(encoding="utf-8")
