"""Lessons and exercises in Colab: no badge leads to a wrong place, and who publishes the kit gets them all by one command."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from translate import ROOT, build, problems, read, text_of

from ftkit.doctor import notebook_drift
from ftkit.grading.build import build as build_exercise

COLAB = Path(__file__).with_name("colab.py")
PAGES = ["lessons/*.ipynb", "lessons/vi/*.ipynb", "exercises/*/student*.ipynb"]
LINK = re.compile(r"\]\(https://colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/(\w+)/([\w./-]+)\)")


def pages(root):
    return sorted(path for pattern in PAGES for path in root.glob(pattern))


def publish(root, *options):
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, COLAB, "--root", root, *options], capture_output=True, text=True, encoding="utf-8", env=where)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A copy of the checkout, published as some/body."""
    root = tmp_path_factory.mktemp("published")
    for name in ("lessons", "exercises"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("runs", ".ipynb_checkpoints"))
    shutil.copy(ROOT / "pyproject.toml", root)
    done = publish(root, "--repo", "some/body", "--branch", "course")
    assert done.returncode == 0, done.stderr
    return root


def test_the_committed_pages_have_the_badge_of_the_projects_address_or_none():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    known = urls.get("Repository", "").removeprefix("https://github.com/")
    found = {(path, repo) for path in pages(ROOT) for repo, _, _ in LINK.findall(path.read_text(encoding="utf-8"))}
    assert found == ({(path, known) for path in pages(ROOT)} if known else set())


def test_while_the_address_is_not_known_a_lesson_says_what_to_type():
    for path in pages(ROOT)[-10:]:
        text = path.read_text(encoding="utf-8")
        assert LINK.search(text) or '!pip install -q -c held.txt \\"ftkit[qlora] @ git+https://github.com/OWNER/NAME\\"' in text, path


def test_without_an_address_nothing_is_written(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n", encoding="utf-8")
    for options in ((), ("--repo", "https://elsewhere.example/a")):
        done = publish(tmp_path, *options)
        assert done.returncode and "OWNER/NAME" in done.stderr


def test_every_badge_opens_the_page_it_stands_on(published):
    assert len(pages(published)) == 16
    for path in pages(published):
        place = path.relative_to(published).as_posix()
        assert LINK.findall(path.read_text(encoding="utf-8")) == [("some/body", "course", place)]


def test_the_set_up_cell_is_the_first_code_and_does_nothing_elsewhere(published):
    for path in pages(published):
        first = next(cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        assert '"ftkit[qlora] @ git+https://github.com/some/body"' in first.source and "google.colab" not in sys.modules
        exec(first.source, {})  # would fail here: there is no such repository
        assert "OWNER/NAME" not in path.read_text(encoding="utf-8")


def test_what_was_there_is_there_still(published):
    """Code and outputs, and all prose but the note on how to install."""
    for path in pages(published):
        before = nbformat.read(ROOT / path.relative_to(published), as_version=4).cells
        after = [cell for cell in nbformat.read(path, as_version=4).cells if cell.id != "colab-install"]
        assert [cell.source for cell in before if cell.cell_type == "code"] == [c.source for c in after if c.cell_type == "code"]
        for old, new in zip(before, after, strict=True):
            assert [{**o, "execution_count": 0} for o in old.get("outputs", [])] == [
                {**o, "execution_count": 0} for o in new.get("outputs", [])
            ]
            if new is not after[0] and "OWNER/NAME" not in old.source:
                assert old.source == new.source


def test_a_published_lesson_passes_the_checks_of_lessons(published):
    for path in sorted((published / "lessons").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert all(ast.parse(cell.source) for cell in code) and notebook_drift(path) == []
        source = path.parent / "vi" / f"{path.stem}.md"
        assert problems(notebook, read(source)) == []
        assert source.with_suffix(".ipynb").read_text(encoding="utf-8") == text_of(build(notebook, read(source)))


def test_a_published_exercise_is_what_its_source_builds(published):
    for folder in sorted((published / "exercises").glob("0*")):
        for path, text in build_exercise(folder).items():
            assert path.read_text(encoding="utf-8") == text


def test_publishing_again_changes_nothing_and_a_move_changes_the_address(published, tmp_path):
    root = tmp_path / "again"
    shutil.copytree(published, root)
    assert publish(root, "--repo", "some/body", "--branch", "course").returncode == 0
    for path in [*pages(root), *root.glob("lessons/vi/*.md"), *root.glob("exercises/*/vi.toml")]:
        assert path.read_bytes() == (published / path.relative_to(root)).read_bytes()
    assert publish(root, "--repo", "else/where").returncode == 0
    assert not [path for path in pages(root) if "some/body" in path.read_text(encoding="utf-8")]
