"""A twin of Colab on this machine: its packages, the kit's wheel on top, one lesson alone in an empty folder.

    python tests/colab/twin.py FOLDER [LESSON …]

FOLDER is made, outside the checkout, and takes several GB and minutes: torch comes from PyPI in the version Colab has. What is
not Colab's here: the Python (the one that runs this), the GPU, and `google.colab` itself.
"""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELD = Path(__file__).with_name("held.txt")
NOT_HERE = {"triton"}
"""For Colab's own build of torch, which has another CUDA."""

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, path)
"""
"""Runs every cell, in the folder it is started in; ends with an error if one does."""


def held() -> dict[str, str]:
    """{name: version} of Colab's packages, as held.txt has them."""
    lines = HELD.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def same(name: str) -> str:
    """A package's name in the one spelling that pip compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python(folder: Path) -> Path:
    """The interpreter of the venv in ``folder``."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def bare() -> dict[str, str]:
    """The environment without what could lead Python to this checkout or to this venv's kernels."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "JUPYTER", "JPY", "VIRTUAL_ENV"))}


def run(*command, cwd: Path | None = None) -> str:
    """What the command printed; ends the script where it fails."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=bare(), capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command[:4]))} … failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def build_wheel(folder: Path, *options: str) -> Path:
    """The kit's wheel, built in ``folder`` from a copy of the checkout, which stays as it is."""
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__", "pretraining", "benchmarks", "tests")
    shutil.copytree(ROOT, source, ignore=ignored)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *options, "-w", folder, source)
    (wheel,) = folder.glob("ftkit-*.whl")
    return wheel


def freeze(interpreter: Path) -> dict[str, str]:
    """{name: version} of what is installed."""
    lines = run(interpreter, "-m", "pip", "list", "--format=freeze").splitlines()
    return {same(line.partition("==")[0]): line.partition("==")[2] for line in lines}


def run_alone(interpreter: Path, lesson: Path, folder: Path) -> Path:
    """The lesson executed by a kernel of that interpreter, as the only file of the new ``folder``."""
    folder.mkdir()
    page = Path(shutil.copy(lesson, folder))
    run(interpreter, "-c", EXECUTE, page.name, cwd=folder)
    return page


def twin(folder: Path, lessons: list[Path]) -> None:
    folder = folder.resolve()
    folder.mkdir(parents=True)
    venv.create(folder / "venv", with_pip=True)
    interpreter = python(folder / "venv")
    wanted = [f"{name}=={version.partition('+')[0]}" for name, version in held().items() if name not in NOT_HERE]
    run(interpreter, "-m", "pip", "install", "-q", *wanted)
    print(f"Colab's packages: {len(wanted)}", flush=True)

    before = freeze(interpreter)
    (folder / "held.txt").write_text("".join(f"{name}=={version}\n" for name, version in before.items()), encoding="utf-8")
    kit = f"{build_wheel(folder)}[qlora,offline]"  # Colab reaches the model hub; this machine may not
    run(interpreter, "-m", "pip", "install", "-q", "-c", folder / "held.txt", kit)
    after = freeze(interpreter)
    changed = [f"{name} {version} → {after.get(name)}" for name, version in before.items() if after.get(name) != version]
    if changed:
        raise SystemExit("the install changed packages that Colab has: " + ", ".join(changed))
    print("came with the kit:", ", ".join(f"{name} {version}" for name, version in after.items() if name not in before), flush=True)

    print(run(interpreter, "-m", "ftkit", "doctor", *lessons, cwd=folder), flush=True)
    for lesson in lessons:
        run_alone(interpreter, lesson, folder / lesson.stem)
        print(f"{lesson.name}: every cell ran", flush=True)


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    twin(Path(sys.argv[1]), [Path(name).resolve() for name in sys.argv[2:]] or sorted((ROOT / "lessons").glob("04*.ipynb")))
