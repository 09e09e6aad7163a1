"""pyproject.toml, environment.yml, constraints.txt and kit.py say the same thing."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PACKAGE_DATA = PYPROJECT["tool"]["setuptools"]["package-data"]["ftkit"]
CONDA_NAMES = {"torch": "pytorch"}


def requirement(text: str) -> tuple[str, str]:
    name, version = re.fullmatch(r"([A-Za-z0-9._-]+?)\s*([<>=!~].*)?", text).groups()
    return name.lower(), version or ""


def wanted() -> dict[str, str]:
    extras = PROJECT["optional-dependencies"]
    return dict(requirement(one) for one in [*PROJECT["dependencies"], *extras["lab"], *extras["offline"]])


def test_environment_yml_agrees_with_pyproject():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    entries = [line.strip()[2:] for line in lines[lines.index("dependencies:") + 1 :]]
    conda = dict(requirement(one) for one in entries if one not in ("pip", "pip:"))
    assert conda.pop("python") == PROJECT["requires-python"]
    assert conda == {CONDA_NAMES.get(name, name): version for name, version in wanted().items()}


def test_constraints_pin_every_dependency_within_its_range():
    from packaging.specifiers import SpecifierSet

    pins = dict(
        line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and line[0] != "#"
    )
    pins = {name.replace("_", "-"): version for name, version in pins.items()}
    dev = dict(requirement(one) for one in [*PROJECT["optional-dependencies"]["dev"], *PROJECT["optional-dependencies"]["docs"]])
    for name, version in {**wanted(), **dev}.items():
        assert pins[name] in SpecifierSet(version), f"{name}: constraints.txt has {pins[name]}, pyproject wants {version}"


def test_the_version_is_written_once_or_alike():
    import ftkit

    assert PROJECT["version"] == ftkit.__version__
    assert f"## [{ftkit.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_everything_a_lesson_needs_is_package_data():
    for name in ("models/phi-11m/model.safetensors", "models/phi-11m/README.md", "datasets/tickets_en.jsonl", "prices.json", "quizzes/00.toml"):
        assert (ROOT / "ftkit" / name).exists()
        assert any(Path(name).match(pattern) for pattern in PACKAGE_DATA), f"{name}: a wheel leaves it out"


def test_kit_py_uses_only_the_standard_library_and_explains_itself():
    import ast

    tree = ast.parse((ROOT / "kit.py").read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names
    shown = subprocess.run([sys.executable, ROOT / "kit.py"], capture_output=True, text=True)
    assert shown.returncode == 0 and all(word in shown.stdout for word in ("setup", "tour", "lab", "test"))
    wrong = subprocess.run([sys.executable, ROOT / "kit.py", "dance"], capture_output=True, text=True)
    assert wrong.returncode == 2


def test_ci_runs_the_readmes_test_command():
    assert "kit.py test" in (ROOT / ".ci" / "run").read_text() and "kit.py test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_no_path_of_this_machine_and_no_key_is_in_the_project():
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    here = re.compile(rf"{re.escape(os.path.expanduser('~'))}/|{re.escape(str(ROOT))}/|/tmp/|sk-[A-Za-z0-9]{{20}}")
    for name in filter(None, files):
        path = ROOT / name
        if path.suffix in (".ipynb", ".md", ".toml", ".yml", ".txt", ".json") and path.exists() and "models/" not in name:
            assert not here.search(path.read_text(encoding="utf-8")), name


@pytest.mark.parametrize("arguments", [["--help"], ["tour", "--help"], ["serve", "--help"], ["compare", "--help"], ["quiz", "--help"]])
def test_the_command_line_answers_at_once(arguments):
    done = subprocess.run([sys.executable, "-m", "ftkit", *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "usage: ftkit" in done.stdout
