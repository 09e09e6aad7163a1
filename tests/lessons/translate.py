"""Lessons in another language: prose from a text file, code and outputs from the English notebook, word for word.

    python tests/lessons/translate.py [02 …]          build lessons/vi/02_lora.ipynb from lessons/vi/02_lora.md
    python tests/lessons/translate.py --new [02 …]    first add what is missing to the .md, in English, to be translated

The .md holds the text of each prose cell under a mark with the cell's id and a digest of the English it translates:

    <!-- m03 5b1f0c2a -->
    ## Nhìn dữ liệu trước khi huấn luyện

A translation whose digest is not that of today's English is stale: CI fails until someone has read both and put the
new digest, which this script prints.
"""

import hashlib
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
MARK = re.compile(r"^<!-- ([\w-]+) ([0-9a-f]{8}) -->\n", re.MULTILINE)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def read(path: Path) -> dict[str, tuple[str, str]]:
    """{cell id: (digest of the English, text)}"""
    if not path.exists():
        return {}
    _, *parts = MARK.split(path.read_text(encoding="utf-8"))
    return {cell: (seen, text.strip()) for cell, seen, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def prose(notebook) -> dict[str, str]:
    """{cell id: English text} of every cell that is not code."""
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "markdown"}


def problems(notebook, translated: dict[str, tuple[str, str]]) -> list[str]:
    """What keeps the translation from being whole and fresh, a sentence each."""
    english = prose(notebook)
    found = [f"{cell}: not translated; the English begins {text[:50]!r}" for cell, text in english.items() if cell not in translated]
    found += [f"{cell}: translates a cell that is no longer there" for cell in translated if cell not in english]
    for cell in english.keys() & translated.keys():
        seen, text = translated[cell]
        if seen != digest(english[cell]):
            found.append(f"{cell}: the English has changed; read both, then put {digest(english[cell])} in place of {seen}")
        elif text == english[cell].strip():
            found.append(f"{cell}: is still in English")
    return sorted(found)


def build(notebook, translated: dict[str, tuple[str, str]]):
    """The notebook with its prose exchanged; a cell without a translation keeps the English."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.id in translated:
            cell.source = translated[cell.id][1]
    return notebook


def text_of(notebook) -> str:
    """The notebook as the file holds it."""
    return nbformat.writes(notebook) + "\n"


def add_missing(path: Path, notebook) -> None:
    """The cells that the .md lacks, in English, at its end."""
    had = read(path)
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        for cell, text in prose(notebook).items():
            if cell not in had:
                file.write(f"<!-- {cell} {digest(text)} -->\n{text.strip()}\n\n")


if __name__ == "__main__":
    wanted = [word for word in sys.argv[1:] if word != "--new"]
    for path in sorted((ROOT / "lessons").glob("*.ipynb")):
        if wanted and path.name[:2] not in wanted:
            continue
        notebook, source = nbformat.read(path, as_version=4), path.parent / "vi" / f"{path.stem}.md"
        source.parent.mkdir(exist_ok=True)
        if "--new" in sys.argv:
            add_missing(source, notebook)
        (source.parent / path.name).write_text(text_of(build(notebook, read(source))), encoding="utf-8", newline="\n")
        print(path.name, *problems(notebook, read(source)), sep="\n  ")
