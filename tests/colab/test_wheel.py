"""The kit as people get it who have no checkout: a wheel, and a single notebook. And what Colab has stays as it is.

twin.py beside this file does the whole of it with Colab's own versions; it takes too long for every day.
"""

import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile

import nbformat
import pytest
from packaging.requirements import Requirement
from twin import HELD, ROOT, build_wheel, held, python, run, run_alone, same

COLAB = {same(name): version.partition("+")[0] for name, version in held().items()}
WANTED = [
    Requirement(line) for line in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_the_kits_ranges_hold_what_colab_has(wanted):
    version = COLAB.get(same(wanted.name))
    assert version is None or wanted.specifier.contains(version), f"Colab has {wanted.name} {version}; the kit wants {wanted.specifier}"


def test_most_of_what_the_kit_needs_is_in_colab_already():
    assert {same(one.name) for one in WANTED} - COLAB.keys() == {
        "ir-measures", "krippendorff", "portalocker", "rouge-score", "sacrebleu"
    }  # fmt: skip


@pytest.mark.slow
def test_what_colab_lacks_can_be_had_beside_what_it_has(tmp_path):
    """pip's own resolution, with Colab's versions held; nothing is installed."""
    lacking = [str(one) for one in WANTED if same(one.name) not in COLAB]
    report = run(sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "-c", HELD, *lacking, cwd=tmp_path)
    assert "ERROR" not in report


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def interpreter(wheel, tmp_path_factory):
    """An empty environment with the wheel in it; the libraries, which are GBs, are lent to it by those who run this test."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder)
    found = python(folder)
    run(sys.executable, "-m", "pip", "--python", found, "install", "-q", "--no-deps", "--no-index", wheel)
    own = run(found, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    lent = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    with open(f"{own}/lent.pth", "w", encoding="utf-8") as file:
        file.write("\n".join(lent) + "\n")
    return found


@pytest.mark.slow
def test_every_file_of_the_package_is_in_the_wheel(wheel):
    listed = subprocess.run(["git", "ls-files", "-z", "ftkit"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.split("\0") if name}
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert tracked and not tracked - inside
    assert not [name for name in inside if "hidden" in name or "source.ipynb" in name or name.startswith(("tests", "lessons"))]


@pytest.mark.slow
def test_the_kit_works_from_the_wheel_alone(interpreter, tmp_path):
    """The data, the model, the prices and the self-checks, with no checkout in sight."""
    code = """
import sys
from pathlib import Path
import ftkit as ft
from ftkit.grading.spec import exercises_folder
from ftkit.prices import prices

assert Path(ft.__file__).is_relative_to(sys.prefix), ft.__file__
assert len(ft.read_chats(ft.dataset("tickets"))) > 1000
assert prices()["gpus"]["T4"]
rows = ft.read_chats(ft.dataset("tickets"))[:8]
run = ft.LoRA(epochs=1, batch_size=4).train(ft.Split(rows, rows[:0], rows))
assert run.status == "succeeded" and len(run.model.reply("Hello")) > 0
assert Path(exercises_folder()).is_relative_to(sys.prefix)
ft.exercise.start("02_lora")
ft.exercise.check("q1", {"lora_parameters": lambda shapes, r: sum(r * (a + b) for a, b in shapes)})
"""
    assert "✓ q1: right" in run(interpreter, "-c", code, cwd=tmp_path)
    assert "libraries" in run(interpreter, "-m", "ftkit", "doctor", cwd=tmp_path)


@pytest.mark.slow
def test_a_lesson_runs_as_the_only_file_of_a_folder(interpreter, tmp_path):
    """Lesson 00 as far as its first training, in a kernel of the empty environment; what it prints is what is stored."""
    notebook = nbformat.read(ROOT / "lessons" / "00_should_i_fine_tune.ipynb", as_version=4)
    last = next(i for i, cell in enumerate(notebook.cells) if ".train(" in cell.source and cell.cell_type == "code")
    notebook.cells = notebook.cells[:last]
    where = "import sys, ftkit; assert ftkit.__file__.startswith(sys.prefix), ftkit.__file__"
    stored = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells.append(nbformat.v4.new_code_cell(where))
    nbformat.write(notebook, tmp_path / "lesson.ipynb")
    page = run_alone(interpreter, tmp_path / "lesson.ipynb", tmp_path / "alone")
    cells = [cell for cell in nbformat.read(page, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells) and cells[-1].outputs == []
    printed = [text(cell.outputs) for cell in cells[:-1]]
    assert len("".join(printed)) > 500 and printed == [text(outputs) for outputs in stored]


def text(outputs) -> str:
    """What the outputs say; in how many goes is chance."""
    return "".join(output.get("text") or output.data["text/plain"] for output in outputs)
