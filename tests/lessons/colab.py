"""For whoever publishes the kit: a Colab badge and a set-up cell for every lesson and exercise, in both languages.

    python tests/lessons/colab.py [--repo OWNER/NAME] [--branch main] [--root CHECKOUT]

The repository's address stands in one place, pyproject.toml: ``[project.urls]``, ``Repository = "https://github.com/OWNER/NAME"``.
Without one nothing is written: a badge that leads to the wrong place is worse than none. Run it again after a move, or after
a lesson has changed; then `python tests/lessons/execute.py` shows that the cell does nothing outside Colab.
"""

import argparse
import re
import tomllib
from pathlib import Path

import nbformat
from translate import ROOT, build, digest, read, text_of

BADGE = re.compile(r"\[!\[[^]]*\]\(\S*colab-badge\.svg\)\]\(\S+\)\n\n")
NOTE = re.compile(r"\n\n> \*\*(?:On|Trên) Colab\*\*.*?(?=\n\n|\Z)", re.DOTALL)
"""What a lesson says while the address is not known."""
CELL = "colab-install"
SETUP = """
import subprocess
import sys

if "google.colab" in sys.modules:  # what Colab has keeps its versions, so nothing must be restarted
    subprocess.run("pip list --format=freeze > held.txt", shell=True, check=True)
    subprocess.run('pip install -q -c held.txt "ftkit[qlora] @ git+{address}"', shell=True, check=True)
"""


def address(root: Path, repo: str | None = None) -> str:
    """``https://github.com/OWNER/NAME`` of ``repo``, or of pyproject.toml; ends the script where neither says."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = f"https://github.com/{repo}" if repo else project.get("urls", {}).get("Repository", "")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", found):
        raise SystemExit(f"want --repo OWNER/NAME, or Repository = \"https://github.com/OWNER/NAME\" in [project.urls]; got {found!r}")
    return found


def badge(address: str, branch: str, path: str, words: str = "Open in Colab") -> str:
    page = address.replace("https://github.com/", "https://colab.research.google.com/github/")
    return f"[![{words}](https://colab.research.google.com/assets/colab-badge.svg)]({page}/blob/{branch}/{path})\n\n"


def with_badge(text: str, line: str) -> str:
    return line + BADGE.sub("", text)


def set_up(notebook, address: str) -> None:
    """The cell that installs the kit on Colab stands before the first code cell; cells that were executed are counted anew."""
    cells = [cell for cell in notebook.cells if cell.id != CELL]
    cell = nbformat.v4.new_code_cell(SETUP.strip().format(address=address), id=CELL)
    executed = any(cell.get("execution_count") for cell in cells)
    cells.insert(next(i for i, cell in enumerate(cells) if cell.cell_type == "code"), cell)
    notebook.cells = cells
    for number, cell in enumerate((cell for cell in cells if cell.cell_type == "code" and executed), start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
    print(path.name)


def lesson(path: Path, address: str, branch: str) -> None:
    """The English lesson, its Vietnamese text, and the Vietnamese lesson built of both."""
    notebook, source = nbformat.read(path, as_version=4), path.parent / "vi" / f"{path.stem}.md"
    texts = read(source)
    title = notebook.cells[0].id
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = NOTE.sub("", cell.source)
            texts[cell.id] = (digest(cell.source), NOTE.sub("", texts[cell.id][1]))
    notebook.cells[0].source = with_badge(notebook.cells[0].source, badge(address, branch, f"lessons/{path.name}"))
    words = with_badge(texts[title][1], badge(address, branch, f"lessons/vi/{path.name}", "Mở bằng Colab"))
    texts[title] = (digest(notebook.cells[0].source), words)
    set_up(notebook, address)
    write(path, text_of(notebook))
    write(source, "\n".join(f"<!-- {cell} {seen} -->\n{text}\n" for cell, (seen, text) in texts.items()))
    write(source.with_suffix(".ipynb"), text_of(build(notebook, texts)))


def exercise(folder: Path, address: str, branch: str) -> None:
    """The source of the exercise and its Vietnamese text; then the students' notebooks, built of both."""
    from ftkit.grading import build as grading

    where = f"exercises/{folder.name}"
    notebook, words = nbformat.read(folder / "source.ipynb", as_version=4), folder / "vi.toml"
    title = notebook.cells[0]
    title.source = with_badge(title.source, badge(address, branch, f"{where}/student.ipynb"))
    set_up(notebook, address)
    write(folder / "source.ipynb", text_of(notebook))
    line = badge(address, branch, f"{where}/student_vi.ipynb", "Mở bằng Colab")
    text = BADGE.sub("", words.read_text(encoding="utf-8"))
    write(words, text.replace(f"{title.id} = '''\n", f"{title.id} = '''\n{line}", 1))
    for path, text in grading.build(folder).items():
        write(path, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repo", help="OWNER/NAME on GitHub; default: what pyproject.toml says")
    parser.add_argument("--branch", default="main")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to write into")
    given = parser.parse_args()
    where = address(given.root, given.repo)
    for path in sorted((given.root / "lessons").glob("*.ipynb")):
        lesson(path, where, given.branch)
    for path in sorted((given.root / "exercises").glob("*/source.ipynb")):
        exercise(path.parent, where, given.branch)
