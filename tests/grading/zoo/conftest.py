"""The zoo is graded once, in one bundle, by the full grader; the tests look at what came of it."""

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import animals  # noqa: E402

LIMITS = {
    "cell_seconds": 5, "notebook_seconds": 25, "memory_mib": 700, "processes": 40, "output_kib": 256, "disk_mib": 16, "upload_mib": 32, "files": 2000,
}  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The adapter of the exercise's own solution, really trained. FTKIT_ZOO_ADAPTER names one from an earlier run."""
    if given := os.environ.get("FTKIT_ZOO_ADAPTER"):
        return Path(given)
    import ftkit as ft

    space = {"ft": ft}
    exec(animals.answers()["q4"], space)
    tickets = ft.read_chats(ft.dataset("tickets")).split(seed=0, stratify="queue")
    split = ft.Split(tickets.train.sample(space["train_rows"]), tickets.val[:0], tickets.test[:0])
    run = space["recipe"].train(split, folder=tmp_path_factory.mktemp("zoo") / "run")
    return run.folder / "adapter"


@pytest.fixture(scope="session")
def exercise(tmp_path_factory) -> Path:
    """Exercise 02 with tighter limits, so that the greedy ones are ended soon."""
    folder = tmp_path_factory.mktemp("course") / "exercises" / "02_lora"
    shutil.copytree(animals.EXERCISE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(animals.EXERCISE.parents[1] / "data", folder.parents[1] / "data", ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "exercise.toml").read_text(encoding="utf-8")
    head, _, rest = text.partition("[limits]")
    lines = "\n".join(f"{name} = {value}" for name, value in LIMITS.items())
    (folder / "exercise.toml").write_text(f"{head}[limits]\n{lines}\n\n" + rest[rest.index("[[question]]") :], encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def secret(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "course.key"
    path.write_text("the zoo's secret is not a secret", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def bundle(trained, tmp_path_factory) -> Path:
    """All animals in one zip, as a platform would export them."""
    path = tmp_path_factory.mktemp("bundle") / "submissions.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, animal in enumerate(animals.ZOO):
            for again, (name, content) in enumerate(animal.make(trained).items()):
                archive.writestr(zipfile.ZipInfo(name, (2026, 11, 2, 8, number % 60, again * 2)), content)
        archive.writestr("timetable.xlsx", b"belongs to nobody")
        archive.writestr("__MACOSX/._blank.ipynb", b"left out")
    return path


@pytest.fixture(scope="session")
def graded(exercise, bundle, secret, tmp_path_factory):
    """(what `grade` made of the zoo, the folder with what `report.write` wrote)."""
    from ftkit.grading import report, run, sandbox

    patch = pytest.MonkeyPatch()
    patch.setattr(sandbox, "SPARE_SECONDS", 15)
    out = tmp_path_factory.mktemp("graded")
    found = run.grade(exercise, bundle, out, secret)
    report.write(found, out)
    patch.undo()
    return found, out


@pytest.fixture(scope="session")
def by_name(graded) -> dict:
    return {result.student: result for result in graded[0].results}


