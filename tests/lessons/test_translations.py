"""Every lesson's Vietnamese: whole, fresh, and the very code and outputs of the English one."""

from pathlib import Path

import nbformat
import pytest
from translate import add_missing, build, problems, prose, read, text_of

LESSONS = Path(__file__).parents[2] / "lessons"
TRANSLATED = sorted((LESSONS / "vi").glob("*.md"))


@pytest.mark.parametrize("source", TRANSLATED, ids=lambda path: path.stem)
def test_the_translation_is_whole_fresh_and_built(source):
    english = nbformat.read(LESSONS / f"{source.stem}.ipynb", as_version=4)
    translated = read(source)
    assert problems(english, translated) == []
    built = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert built == text_of(build(english, translated)), f"run: python tests/lessons/translate.py {source.stem[:2]}"


@pytest.fixture
def lesson():
    cells = [nbformat.v4.new_markdown_cell("Look.", id="m1"), nbformat.v4.new_code_cell("1 + 1", id="c1")]
    return nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_markdown_cell("Done.", id="m2")])


def test_a_missing_a_stale_and_an_untranslated_cell_are_named(lesson, tmp_path):
    path = tmp_path / "00.md"
    add_missing(path, lesson)
    assert problems(lesson, read(path)) == ["m1: is still in English", "m2: is still in English"]
    text = path.read_text(encoding="utf-8").replace("Look.", "Hãy nhìn.").replace("Done.", "Xong.")
    path.write_text(text, encoding="utf-8")
    assert problems(lesson, read(path)) == []
    lesson.cells[0].source = "Look again."
    assert "m1: the English has changed" in problems(lesson, read(path))[0]
    lesson.cells.pop(2)
    assert any("m2: translates a cell that is no longer there" in one for one in problems(lesson, read(path)))


def test_only_prose_is_exchanged(lesson, tmp_path):
    path = tmp_path / "00.md"
    add_missing(path, lesson)
    path.write_text(path.read_text(encoding="utf-8").replace("Look.", "Hãy nhìn."), encoding="utf-8")
    vietnamese = build(lesson, read(path))
    assert [cell.source for cell in vietnamese.cells] == ["Hãy nhìn.", "1 + 1", "Done."]
    assert lesson.cells[0].source == "Look." and list(prose(lesson)) == ["m1", "m2"]
