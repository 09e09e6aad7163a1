"""Run lessons top to bottom and store what they print: ``python tests/lessons/execute.py [02 …]``.

The stored outputs are what CI compares with (nbval), so look at the diff before you commit it.
"""

import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
import conftest  # noqa: E402, F401  the settings that CI runs with


def execute(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    began, took = {}, {}
    shutil.rmtree(path.parent / "runs", ignore_errors=True)
    NotebookClient(
        notebook, timeout=900, kernel_name="python3", store_widget_state=False, record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=lambda cell, cell_index: began.update({cell_index: time.monotonic()}),
        on_cell_executed=lambda cell, cell_index, execute_reply: took.update({cell_index: time.monotonic() - began[cell_index]}),
    ).execute()  # fmt: skip
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    nbformat.write(notebook, path)
    slowest = sorted(took, key=took.get, reverse=True)[:5]
    cells = ", ".join(f"{took[i]:.0f} s {notebook.cells[i].source.splitlines()[0]!r}" for i in slowest)
    print(f"{path.name}: {time.monotonic() - started:.0f} s, of it {cells}", flush=True)


def joined(outputs: list) -> list:
    """The outputs, what was printed in several goes put together: how often it is flushed is chance."""
    kept: list = []
    for output in outputs:
        if output.output_type == "stream" and kept and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


if __name__ == "__main__":
    for path in sorted((ROOT / "lessons").glob("*.ipynb")):
        if not sys.argv[1:] or path.name[:2] in sys.argv[1:]:
            execute(path)
