"""What nbval cannot see: a lesson that was stripped, half run, or grown out of shape."""

import ast
import re
from collections import Counter
from pathlib import Path
from statistics import median

import nbformat
import pytest

LESSONS = sorted((Path(__file__).parents[2] / "lessons").glob("*.ipynb"))
NOT_COMPARED = {"nbval-ignore-output", "nbval-skip", "raises-exception"}


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def name(path):
    return path.name


def test_the_lessons_are_there():
    names = ["00_should_i_fine_tune", "01_openai", "02_lora", "03_embeddings", "04_evaluate_and_cost"]
    assert [path.stem for path in LESSONS] == names


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_every_cell_was_executed_in_order_without_error(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_nearly_every_output_is_compared(path):
    """nbval compares a cell unless a tag says no; assignments print nothing and compare as nothing."""
    cells = code_cells(path)
    exempt = [cell for cell in cells if NOT_COMPARED & set(cell.metadata.get("tags", []))]
    printing = [cell for cell in cells if cell.outputs]
    assert len(exempt) <= len(cells) // 10
    assert len(printing) >= 0.6 * len(cells)
    for cell in cells:
        last = ast.parse(cell.source).body[-1]
        if isinstance(last, ast.Expr) and not ast.unparse(last).startswith("service.close"):
            assert cell.outputs, f"{path.name}: a cell that ends on something to see shows nothing:\n{cell.source}"


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_no_warning_and_no_path_of_a_machine_is_stored(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.get("name") != "stderr", f"{path.name}: stderr stored under\n{cell.source}\n{output.text}"
    assert not re.search(r"/tmp/|/home/|/root/|site-packages|C:\\\\Users", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_cells_are_short(path):
    lengths = [len([line for line in cell.source.splitlines() if line.strip()]) for cell in code_cells(path)]
    assert median(lengths) <= 6 and max(lengths) <= 20


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_the_file_is_small_and_holds_no_widget_state(path):
    notebook = nbformat.read(path, as_version=4)
    assert "widgets" not in notebook.metadata
    assert path.stat().st_size < 600_000
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_the_outputs_hold_pictures_in_png_only(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert "image/svg+xml" not in output.get("data", {}), "svg is stripped in an untrusted clone"


def test_nothing_is_defined_in_two_lessons():
    defined = Counter()
    for path in LESSONS:
        for cell in code_cells(path):
            defined.update(n.name for n in ast.parse(cell.source).body if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
    assert not [name for name, count in defined.items() if count > 1]


def test_every_link_between_lessons_leads_somewhere():
    for path in LESSONS:
        for target in re.findall(r"\]\(([\w./-]+\.ipynb)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} → {target}"
