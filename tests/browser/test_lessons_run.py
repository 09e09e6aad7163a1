"""Run → Run All Cells in JupyterLab: what a learner does, compared with what is stored as nbval compares it."""

import shutil

import nbformat
import pytest
from .lab_helpers import ROOT
from nbval.plugin import IPyNbFile, coalesce_streams

LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))


def differences(stored, ran, request) -> list[str]:
    """What nbval would say of each cell, had it run them."""
    lesson = IPyNbFile.from_parent(request.session, path=stored)
    lesson.setup_sanitize_files()
    outputs = [cell.outputs for cell in nbformat.read(ran, as_version=4).cells if cell.cell_type == "code"]
    found = []
    for cell, got in zip(lesson.collect(), outputs, strict=True):
        if cell.options["check"] and not cell.compare_outputs(coalesce_streams(got), coalesce_streams(cell.cell.outputs)):
            found.append("\n".join([cell.cell.source, *map(str, cell.comparison_traceback)]))
    return found


def run_all(notebook) -> None:
    """Run all, save; no cell failed, none was left out."""
    notebook.run_all()
    notebook.save()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    errors = [output for cell in cells for output in cell.outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert not errors
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert notebook.panel.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_run_all_shows_no_error_and_prints_what_is_stored(path, lab, open_notebook, request, monkeypatch):
    shutil.rmtree(lab.root / "runs", ignore_errors=True)
    shutil.copy(path, lab.root / f"run_{path.name}")
    notebook = open_notebook(lab.root / f"run_{path.name}", kernel=True)
    run_all(notebook)
    monkeypatch.chdir(ROOT)  # nbval looks for its file of replacements from here
    assert differences(path, notebook.path, request) == []


def test_one_other_number_is_noticed(lab, open_notebook, request, monkeypatch):
    """A lesson of three cells: run as stored it agrees; with one stored number changed it does not."""
    cells = ["print('no', 1)", "{'a': 2.5}", "import ftkit as ft\nprint(ft.__version__)\nft.advise(behaviour=True)"]
    notebook = open_notebook(lab.write("three.ipynb", *cells), kernel=True)
    run_all(notebook)
    monkeypatch.chdir(ROOT)
    stored = notebook.path.with_name("stored.ipynb")
    shutil.copy(notebook.path, stored)
    assert differences(stored, notebook.path, request) == []
    changed = nbformat.read(stored, as_version=4)
    changed.cells[1].outputs[0].data["text/plain"] = "{'a': 2.4}"
    nbformat.write(changed, stored)
    [found] = differences(stored, notebook.path, request)
    assert "2.5" in found
