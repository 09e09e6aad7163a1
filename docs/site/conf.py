"""The documentation as pages, made by Sphinx from the files that are there: ``python docs/build.py``.

Sphinx, because Jupyter Book 2 needs Node and MkDocs has not been released since 2024; MyST-NB shows a notebook's stored outputs
and autodoc reads the docstrings.
"""

import re
from pathlib import Path

import ftkit

project = "ftkit"
release = ftkit.__version__
copyright = "the ftkit authors"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = [
    "README.md", "docs/**.md", "lessons/*.ipynb", "lessons/vi/*.ipynb", "exercises/README.md", "exercises/*/student*.ipynb", "CHANGELOG.md",
    "CONTRIBUTING.md", "benchmarks/results/grading.md",
]  # fmt: skip
exclude_patterns = [
    ".*", "build", "data", "ftkit", "pretraining", "tests", "**/runs", "**/.ipynb_checkpoints", "docs/STATUS.md", "docs/site/contents.md",
]  # fmt: skip

nb_execution_mode = "off"  # what is shown is what the lessons' own tests compare
nb_ipywidgets_js = {}  # nothing is fetched from elsewhere; results stand in pictures and text
nb_merge_streams = True
myst_heading_anchors = 4

default_role = "py:obj"  # `name` in a docstring
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = f"ftkit {release}"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_copy_source = False


def front_page(app, name, source):
    """The README, with the table of contents that only Sphinx needs; a folder becomes its first page, and the picture by day
    or night the one that Sphinx copies."""
    if name == root_doc:
        source[0] = re.sub(r'<picture>.*?<img src="(.*?)".*?alt="(.*?)">\s*</picture>', r"![\2](\1)", source[0], flags=re.DOTALL)
        contents = Path(__file__).with_name("contents.md").read_text(encoding="utf-8")
        source[0] = source[0].replace("](lessons/vi/)", "](lessons/vi/00_should_i_fine_tune.ipynb)") + "\n" + contents


def setup(app):
    app.connect("source-read", front_page)
