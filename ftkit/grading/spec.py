"""An exercise as its folder describes it: exercise.toml, the student's notebook, the hidden part."""

import hashlib
import importlib.util
import json
import tomllib
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from types import ModuleType

from ftkit.errors import DataError

KINDS = ("probe", "measure", "rows", "job", "text")


@dataclass(frozen=True)
class Question:
    """One question and how it is graded."""

    id: str
    points: float
    kind: str
    """"probe": a function of the learner's is called with hidden inputs. "measure": what was trained is measured on a
    hidden set. "rows": the training rows are checked. "job": the job is looked up. "text": a person reads it."""
    title: str = ""
    function: str = ""
    """probe: the function's name."""
    metric: str = ""
    """measure: the metric that counts."""
    bands: tuple[tuple[float, float], ...] = ()
    """measure: (least gain over the untouched base, points), rising."""

    def points_for(self, gain: float) -> float:
        """The points of the highest band that ``gain`` reaches.

        >>> Question("q4", 8, "measure", bands=((0.1, 2), (0.5, 8))).points_for(0.3)
        2
        """
        return max((points for least, points in self.bands if gain >= least), default=0.0)


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    cell_seconds: float = 20
    """For a cell of the notebook, and for the hidden inputs of one question."""
    notebook_seconds: float = 90
    memory_mib: int = 2048
    """All processes of the submission together."""
    processes: int = 64
    output_kib: int = 512
    """What cells may print, and what comes out of the sandbox."""
    disk_mib: int = 64
    upload_mib: int = 64
    """Everything of one submission, unpacked."""
    files: int = 2000
    """Entries of one zip."""


@dataclass(frozen=True)
class Adapter:
    """Which adapters are measured: the keys and shapes must be those of a fresh one."""

    max_r: int = 64
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exercise:
    """An exercise folder, read."""

    folder: Path
    name: str
    title: str
    minutes: int
    artefact: str
    """"adapter", "embedding" or "dataset": what is handed in beside the notebook."""
    questions: tuple[Question, ...]
    limits: Limits = field(default_factory=Limits)
    adapter: Adapter = field(default_factory=Adapter)

    @property
    def points(self) -> float:
        return sum(question.points for question in self.questions)

    def of_kind(self, kind: str) -> list[Question]:
        return [question for question in self.questions if question.kind == kind]

    @cached_property
    def notebook(self) -> dict:
        """The student's notebook as it was handed out."""
        return json.loads((self.folder / "student.ipynb").read_text(encoding="utf-8"))

    @cached_property
    def hidden(self) -> ModuleType:
        """hidden/hidden.py: what the learner never sees."""
        return load_module(self.folder / "hidden" / "hidden.py", f"ftkit_hidden_{self.name}")

    def fingerprint(self, secret: bytes) -> str:
        """SHA-256 over everything a grade depends on but the submission."""
        digest = hashlib.sha256(secret)
        for path in sorted([*self.folder.glob("*.toml"), *self.folder.glob("hidden/*.py"), self.folder / "student.ipynb"]):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        for path in sorted(Path(__file__).parent.glob("*.py")):  # another grader, another grade
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def exercises_folder() -> Path:
    """Where exercises live: beside the package in a checkout, inside it in an installed copy."""
    package = Path(__file__).parents[1]
    return next((f for f in (package.parent / "exercises", package / "_exercises") if f.is_dir()), package.parent / "exercises")


def read_exercise(name: str | Path) -> Exercise:
    """The exercise of that name, or in that folder.

    Raises:
        DataError: no such exercise, or its exercise.toml is wrong.
    """
    folder = Path(name) if (Path(name) / "exercise.toml").is_file() else exercises_folder() / str(name)
    path = folder / "exercise.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.parent.name for p in exercises_folder().glob("*/exercise.toml"))) or "none"
        raise DataError(f"exercise {str(name)!r}: {path} does not exist; there are {known} (grade from a checkout of the kit)")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        questions = tuple(_made(Question, one) for one in raw.pop("question"))
        limits, adapter = _made(Limits, raw.pop("limits", {})), _made(Adapter, raw.pop("adapter", {}))
        exercise = Exercise(folder.resolve(), folder.name, questions=questions, limits=limits, adapter=adapter, **raw)
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: {error}") from None
    for question in questions:
        if question.kind not in KINDS:
            raise DataError(f"{path}: {question.id} is of kind {question.kind!r}; use {', '.join(KINDS)}")
        if question.kind == "measure" and max((p for _, p in question.bands), default=0) != question.points:
            raise DataError(f"{path}: the highest band of {question.id} must give its {question.points} points")
    return exercise


def read_secret(path: str | Path) -> bytes:
    """The course's secret: from it come the hidden inputs and the hidden sets.

    Raises:
        DataError: no file, or fewer than 16 bytes.
    """
    path = Path(path)
    make = f'python -c "import secrets; print(secrets.token_hex(32))" > {path}'
    if not path.is_file():
        raise DataError(f"{path}: no such file; make the course's secret once and keep it out of git: {make}")
    secret = path.read_bytes().strip()
    if len(secret) < 16:
        raise DataError(f"{path}: a secret of {len(secret)} bytes can be guessed; make one of 32: {make}")
    return secret


def seed_of(secret: bytes, purpose: str) -> int:
    """A seed for `random.Random` that nobody without the secret can know.

    >>> seed_of(b"0123456789abcdef", "q1") == seed_of(b"0123456789abcdef", "q1")
    True
    """
    return int.from_bytes(hashlib.sha256(secret + b"\0" + purpose.encode()).digest()[:8], "big")


def load_module(path: Path, name: str) -> ModuleType:
    """The Python file as a module. For the exercise's own files, never for a learner's."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or not path.is_file():
        raise DataError(f"{path}: no such file; the exercise's folder is not whole")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _made(kind, values: dict):
    known = {f.name for f in fields(kind)}
    if unknown := set(values) - known:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    listed = {name: _tuples(value) for name, value in values.items()}
    return kind(**listed)


def _tuples(value):
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
