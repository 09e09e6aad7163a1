"""The documentation as a site: built without a warning, whole, and with nothing from elsewhere."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup

import ftkit

ROOT = Path(__file__).parents[1]
LESSONS = [path.relative_to(ROOT) for path in sorted(ROOT.glob("lessons/**/*.ipynb")) if ".ipynb_checkpoints" not in path.parts]
GUIDES = ["TROUBLESHOOTING", "INSTRUCTORS", "SERVICE", "GGUF", "ARCHITECTURE"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """{path: page} of every page of a fresh build."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, ROOT / "docs" / "build.py", out], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in sorted(out.rglob("*.html"))}


def top(site):
    return next(path for path in site if path.name == "index.html").parent


def links(one):
    """Everything the page leads to or loads."""
    return [tag.get(key) for key in ("href", "src") for tag in one.find_all(attrs={key: True})]


def test_every_internal_link_leads_somewhere(site):
    ids = {path: {tag["id"] for tag in one.find_all(id=True)} for path, one in site.items()}
    checked = 0
    for path, one in site.items():
        for link in links(one):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name} → {link}"
            if parts.fragment and target in ids:
                assert unquote(parts.fragment) in ids[target], f"{path.name} → {link}"
            checked += 1
    assert checked > 1000


def test_nothing_is_loaded_from_elsewhere(site):
    for path, one in site.items():
        loaded = [tag.get("src") or tag.get("href") for tag in one.find_all(["script", "img", "link", "iframe"])]
        assert not [link for link in loaded if link and urlsplit(link).netloc], path.name


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.with_suffix("").as_posix())
def test_the_stored_pictures_and_tables_of_a_lesson_are_in_its_page(site, lesson):
    path = top(site) / lesson.with_suffix(".html")
    shown = [(path.parent / tag["src"]).resolve().read_bytes() for tag in site[path].find_all("img")]
    text = " ".join(site[path].get_text(" ").split())
    pictures = tables = 0
    for cell in nbformat.read(ROOT / lesson, as_version=4).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                assert base64.b64decode(data["image/png"]) in shown
                pictures += 1
            if "text/html" in data:
                assert " ".join(BeautifulSoup(data["text/html"], "html.parser").get_text(" ").split()) in text
                tables += 1
    assert pictures and tables


def test_every_public_name_has_an_entry(site):
    ids = {tag["id"] for tag in site[top(site) / "docs" / "site" / "api.html"].find_all(id=True)}
    missing = [name for name in ftkit.__all__ if not {f"ftkit.{name}", f"module-ftkit.{name}"} & ids]
    assert not missing


def test_every_guide_lesson_and_exercise_is_in_the_contents(site):
    front = site[top(site) / "README.html"]
    listed = {unquote(link["href"]) for link in front.find(class_="sidebar-tree").find_all("a")}
    wanted = {lesson.with_suffix(".html").as_posix() for lesson in LESSONS} | {f"docs/{name}.html" for name in GUIDES}
    wanted |= {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in ROOT.glob("exercises/*/student*.ipynb")}
    assert wanted <= listed


def test_vietnamese_words_are_in_the_search_index(site):
    index = top(site) / "searchindex.js"
    assert json.dumps("chỉnh") in index.read_text(encoding="utf-8")
