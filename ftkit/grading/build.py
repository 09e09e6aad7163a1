"""From the one hand-written notebook to the student's: ``python -m ftkit.grading.build exercises/02_lora …``.

nbgrader's own preprocessors clear the solutions, lock what is not to be edited and note the checksums, so that courses
that use nbgrader can use these notebooks as they are.
"""

import json
import sys
from pathlib import Path

import nbformat

from ftkit.errors import DataError
from ftkit.files import write_atomic


def student(source: Path) -> str:
    """The text of student.ipynb for this source.ipynb.

    Raises:
        DataError: a solution outside a solution cell, or a grade id that stands twice.
    """
    from nbconvert.preprocessors import ClearOutputPreprocessor
    from nbgrader.preprocessors import ClearSolutions, ComputeChecksums, LockCells
    from traitlets.config import Config

    notebook = nbformat.read(source, as_version=4)
    ids = [cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise DataError(f"{source}: the grade id {twice[0]!r} stands twice")
    config = Config()
    config.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
    resources: dict = {}
    try:
        for step in (ClearOutputPreprocessor, LockCells, ClearSolutions, ComputeChecksums):
            notebook, resources = step(config=config).preprocess(notebook, resources)
    except RuntimeError as error:
        raise DataError(f"{source}: {error}") from None
    return nbformat.writes(notebook) + "\n"


def translated(notebook: str, words: dict[str, str], source: Path) -> str:
    """The notebook with the text cells of another language; every code cell stays as it is.

    Raises:
        DataError: a text cell without translation, or a translation without cell.
    """
    page = json.loads(notebook)
    texts = {cell["id"] for cell in page["cells"] if cell["cell_type"] == "markdown"}
    own = {i for i in texts if i.startswith("q")}  # what the learner writes: the stub stays
    missing, extra = sorted(texts - own - words.keys()), sorted(words.keys() - texts)
    if missing or extra:
        raise DataError(f"{source}: cells without translation: {missing}; translations without cell: {extra}")
    for cell in page["cells"]:
        if cell["id"] in words:
            cell["source"] = words[cell["id"]].strip("\n").splitlines(keepends=True)
    return json.dumps(page, indent=1, ensure_ascii=False) + "\n"


def build(folder: Path) -> dict[Path, str]:
    """{path: text} of everything that is generated for the exercise in ``folder``."""
    text = student(folder / "source.ipynb")
    found = {folder / "student.ipynb": text}
    words = folder / "vi.toml"
    if words.is_file():
        import tomllib

        found[folder / "student_vi.ipynb"] = translated(text, tomllib.loads(words.read_text(encoding="utf-8")), words)
    return found


def main(folders: list[str]) -> None:
    for folder in folders:
        for path, text in build(Path(folder)).items():
            write_atomic(path, text)
            print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
