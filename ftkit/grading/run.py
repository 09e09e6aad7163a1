"""Grade a whole class: every submission on its own, in parallel, none able to stop the others.

First all notebooks run in their sandboxes, then all artefacts are measured. What is known of a submission is written after
each of the two, so that a run that was broken off goes on, and a second run grades only what changed.
"""

import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import SimpleQueue

from ftkit.errors import DataError
from ftkit.files import write_atomic
from ftkit.grading import artefact, dataset, measure, probes, sandbox
from ftkit.grading.ingest import NOTEBOOK, Submission, ingest
from ftkit.grading.probes import Mark, printable
from ftkit.grading.spec import Exercise, read_exercise, read_secret, seed_of
from ftkit.lang import spoken

FAR = 0.1
"""A claim that differs from the measured score by more is shown to a person."""

ALIKE = 0.999
"""The cosine of two signatures from which weights count as nearly the same."""

FAILED = "the grader failed"
"""How a flag begins that tells of a mistake of ours."""

OF_OTHERS = ("the same weights as", "nearly the same weights as", "the same rows as", "the same job as")
"""How flags begin that name other learners; they are for the instructor alone."""

MOST_CELLS, LARGEST_SOURCE = 400, 512 * 1024
RUN_TAG = "run-in-grading"
STUBS = ("", "YOUR ANSWER HERE")


@dataclass
class Result:
    """What one submission got, and why."""

    student: str
    id: str
    platform: str
    key: str
    late: bool
    status: str = ""
    """"graded", "partly graded", "not answered", "refused", "no notebook", "unreadable notebook" or "grader error"."""
    marks: dict[str, Mark] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    """What a person should look at."""
    notes: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """The answers that a person reads."""
    cells: dict[str, dict] = field(default_factory=dict)
    measured: dict = field(default_factory=dict)
    sha256: str = ""
    """Of the submission and of all that its grade depends on."""
    done: bool = False
    """False: its notebook was run, but what was trained has not been measured yet."""

    @classmethod
    def of(cls, one: Submission) -> "Result":
        return cls(one.student, one.id, one.platform, one.key, one.late, notes=list(one.notes))

    @classmethod
    def from_dict(cls, values: dict) -> "Result":
        marks = {q: Mark(**mark) for q, mark in values.pop("marks").items()}
        return cls(marks=marks, **values)


@dataclass
class Graded:
    """What `grade` made of a bundle."""

    exercise: Exercise
    isolation: str
    results: list[Result]
    unmatched: list[str]
    fresh: int
    """How many were graded now; the others had not changed."""
    peak_mib: int
    """The most memory one sandbox used."""


@spoken("en")  # what it writes is read by programs, and compared
def grade(
    exercise: str | Path,
    bundle: str | Path,
    out: str | Path,
    secret: str | Path,
    *,
    workers: int | None = None,
    isolation: str = "auto",
    hidden: str | Path | None = None,
    service=None,
    progress: Callable | None = None,
) -> Graded:
    """Grade every submission in ``bundle``; results lie in ``out/results``, `report.write` makes the rest of them.

    Args:
        secret: the file with the course's secret.
        workers: submissions at the same time; default: one a core.
        isolation: "auto", or a level of `sandbox.LEVELS` that must hold.
        hidden: rows of your own to measure on, instead of those that the exercise draws from the secret.
        service: a `dataset.Service` at which the jobs of exercise 01 can be looked up.
        progress: called as ``progress(done, total, text)``.

    Raises:
        FtkitError: the exercise, the secret or the bundle cannot be used. Never because of one submission.
    """
    exercise = read_exercise(exercise)
    key = read_secret(secret)
    level = sandbox.level(isolation)
    out = Path(out)
    rows = _hidden_rows(exercise, key, hidden)
    workers = workers or os.cpu_count() or 1
    submissions, unmatched = ingest(bundle, exercise, out / "work")
    base = hashlib.sha256(json.dumps([exercise.fingerprint(key), level, rows]).encode()).hexdigest()
    results, todo, unmeasured = {}, [], []
    for one in submissions:
        want = hashlib.sha256(f"{base}{one.student}{one.id}{one.sha256}{bool(service)}".encode()).hexdigest()
        found = _cached(out / "results" / f"{one.key}.json", want)
        if found:
            found.late, found.notes = one.late, list(one.notes)
            results[one.key] = found
            if not found.done:
                unmeasured.append(one)
        else:
            results[one.key] = Result.of(one)
            results[one.key].sha256 = want
            todo.append(one)
    peak = [0]
    told = progress or (lambda done, total, text: None)
    calls = probes.hidden_calls(exercise, key)
    measured = exercise.of_kind("measure")
    unmeasured += todo
    total = len(unmeasured) + (len(todo) if measured else 0)

    def ask(one: Submission) -> None:
        outcome = _ask(exercise, one, calls, level, results[one.key])
        peak[0] = max(peak[0], outcome)
        dataset.mark(exercise, one, results[one.key], service)

    def save(one: Submission) -> None:
        write_atomic(out / "results" / f"{one.key}.json", json.dumps(asdict(results[one.key]), indent=1) + "\n")

    def finish(one: Submission) -> None:
        _settle(exercise, results[one.key])
        save(one)

    _each(todo, ask, save if measured else finish, workers, results, told, 0, total)
    if measured and unmeasured:
        pool: SimpleQueue = SimpleQueue()
        meters = [measure.Worker(exercise, rows)]

        def weigh(one: Submission) -> None:
            meter = pool.get()
            try:
                _measure(exercise, one, meter, results[one.key])
            finally:
                pool.put(meter)

        try:
            baseline = meters[0].baseline()
            meters += [measure.Worker(exercise, rows, baseline) for _ in range(min(workers, len(unmeasured)) - 1)]
            for meter in meters:
                pool.put(meter)
            _each(unmeasured, weigh, finish, workers, results, told, len(todo), total)
        finally:
            for meter in meters:
                meter.close()
    ordered = [results[one.key] for one in submissions]
    copies(ordered)
    return Graded(exercise, level, ordered, unmatched, len(unmeasured), peak[0])


def _each(
    todo: Sequence[Submission], work: Callable, after: Callable, workers: int, results: dict, told: Callable, done: int, total: int
) -> None:
    """Do ``work`` for each, and ``after`` when it is done; what goes wrong in one is noted there and nowhere else."""
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = {pool.submit(work, one): one for one in todo}
        for future in as_completed(waiting):
            one = waiting[future]
            done += 1
            if error := future.exception():
                results[one.key].flags.append(f"{FAILED}: {type(error).__name__}: {str(error)[:200]}")
            after(one)
            told(done, total, one.student)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for those that run, not for the whole class


def _hidden_rows(exercise: Exercise, key: bytes, hidden: str | Path | None) -> list[dict]:
    if not exercise.of_kind("measure"):
        return []
    if hidden is None:
        return exercise.hidden.hidden_rows(random.Random(seed_of(key, f"{exercise.name} rows")))
    from ftkit.data import SearchSet, read_chats, read_pairs

    if exercise.artefact == "adapter":
        return [row.to_dict() for row in read_chats(hidden)]
    return [SearchSet.from_pairs(read_pairs(hidden)).to_dict()]


def _cached(path: Path, want: str) -> Result | None:
    try:
        found = Result.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    failed = any(flag.startswith(FAILED) for flag in found.flags)
    return found if found.sha256 == want and not failed else None


def _ask(exercise: Exercise, one: Submission, calls: dict, level: str, result: Result) -> int:
    """Run the notebook and mark the answers; the MiB it took."""
    questions = exercise.of_kind("probe")
    why = one.refused
    if why:
        result.status = "refused"
        result.flags.append(f"refused: {why}")
    elif not one.has(NOTEBOOK):
        result.status, why = "no notebook", "no notebook was handed in"
        result.flags.append("no notebook")
    else:
        try:
            cells, result.texts = read_notebook(one.folder / NOTEBOOK, exercise)
        except DataError as error:
            result.status, why = "unreadable notebook", str(error)
            result.flags.append(f"unreadable notebook: {why}")
    if why:
        result.marks |= {q.id: Mark(None, "not graded", f"Not graded: {why}.") for q in exercise.questions}
        return 0
    for q in exercise.of_kind("text"):
        empty = result.texts[q.id] in STUBS
        result.marks[q.id] = (
            Mark(0.0, "not answered", "There is no answer.") if empty else Mark(None, "to be read", "Will be read by a person.")
        )
    if not questions:
        return 0
    if not cells_changed(cells, exercise):
        result.marks |= {q.id: Mark(0.0, "not answered", f"{q.function} is not written yet.") for q in questions}
        return 0
    outcome = sandbox.run(probes.job(exercise, cells, calls), exercise.limits, level)
    marks, result.cells, trouble = probes.marks(exercise, calls, outcome)
    result.marks |= marks
    if trouble:
        result.flags.append(trouble)
    result.flags += [f"{q}: no answer in time" for q, mark in marks.items() if mark.note.endswith("too long.")]
    for name, cell in result.cells.items():
        if cell["state"] in ("too long", "too much output"):
            result.flags.append(f"cell {name}: {cell['state']}")
    return outcome.peak_mib


def read_notebook(path: Path, exercise: Exercise) -> tuple[list[dict], dict[str, str]]:
    """(the cells to run: ours that are tagged for it, then the learner's; {question: its free text}).

    The locked cells are known by the ids of the notebook that was handed out, not by what this one says of itself, and
    are never run from here. Read with care: this file is the learner's.

    Raises:
        DataError: not a notebook.
    """
    try:
        page = json.loads(path.read_bytes())
        raw = page["cells"]
        assert isinstance(raw, list)
    except (ValueError, RecursionError, KeyError, TypeError, AssertionError) as error:
        raise DataError(f"the file is no notebook ({type(error).__name__}: {str(error)[:80]}); open it, save it and hand it in again") from None
    ours = {_grade_id(cell): cell for cell in exercise.notebook["cells"]}
    locked = {i for i, cell in ours.items() if i and cell["metadata"]["nbgrader"]["locked"]}
    cells = [
        {"id": i, "source": _source(cell)} for i, cell in ours.items() if RUN_TAG in cell.get("metadata", {}).get("tags", [])
    ]
    texts = {q.id: [] for q in exercise.of_kind("text")}
    size = 0
    for number, cell in enumerate(raw):
        if not isinstance(cell, dict):
            continue
        i, source = _grade_id(cell), _source(cell)
        size += len(source)
        if i in texts:
            texts[i].append(source.strip())
        elif cell.get("cell_type") == "code" and i not in locked and source.strip():
            cells.append({"id": f"{i or 'cell'}-{number}", "source": source})
    if len(cells) > MOST_CELLS or size > LARGEST_SOURCE:
        raise DataError(f"more than {MOST_CELLS} cells or {LARGEST_SOURCE >> 10} KiB of text; delete what is not needed")
    return cells, {q: "\n\n".join(t for t in found if t not in STUBS)[:20_000] for q, found in texts.items()}


def cells_changed(cells: list[dict], exercise: Exercise) -> bool:
    """Whether the learner wrote any code at all."""
    handed_out = {_source(cell).strip() for cell in exercise.notebook["cells"]}
    return any(cell["source"].strip() not in handed_out for cell in cells)


def _grade_id(cell: dict) -> str:
    about = cell.get("metadata")
    about = about.get("nbgrader") if isinstance(about, dict) else None
    found = about.get("grade_id") if isinstance(about, dict) else None
    return found[:60] if isinstance(found, str) else ""


def _source(cell: dict) -> str:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return printable(source) if isinstance(source, str) else ""


def _measure(exercise: Exercise, one: Submission, meter: measure.Worker, result: Result) -> None:
    (question,) = exercise.of_kind("measure")
    if result.status == "refused":
        return
    if not any(one.has(name) for name in artefact.ALLOWED[exercise.artefact]):
        named = " and ".join(artefact.ALLOWED[exercise.artefact])
        result.marks[question.id] = Mark(0.0, "not answered", f"There was nothing to measure: hand in {named}.")
        return
    found = meter.measure(one.folder)
    if why := found.get("refused") or found.get("failed"):
        result.marks[question.id] = Mark(None, "not graded", f"Not measured: {why}.")
        ours = f"{FAILED}: " if "failed" in found else ""  # it is tried again on the next run
        result.flags.append(f"{ours}{question.id} could not be measured: {why}")
        return
    gain = found["score"] - found["baseline"]
    points = question.points_for(gain)
    note = (
        f"On the hidden set {question.metric} is {found['score']:.3f}; the untouched base has {found['baseline']:.3f}, "
        f"so it gains {gain:+.3f}."
    )
    result.marks[question.id] = Mark(points, "graded", note)
    result.measured = {**found, "metric": question.metric}
    claims = artefact.read_claims(one.folder / artefact.CLAIMS)
    claim, base = claims.get(question.metric), claims.get(f"base {question.metric}")
    if claim is None:
        return
    result.measured["claim"] = claim
    if base is not None and abs(claim - base - gain) > FAR:  # gains: the rows that learners test on may be easier than ours
        result.flags.append(f"claims a gain of {claim - base:+.3f} in {question.metric}, measured {gain:+.3f}")
    if base is None and abs(claim - found["score"]) > FAR:
        result.flags.append(f"claims {question.metric} {claim:.3f}, measured {found['score']:.3f}")


def _settle(exercise: Exercise, result: Result) -> None:
    """Give every question a mark and the submission a status."""
    result.done = True
    for q in exercise.questions:
        result.marks.setdefault(q.id, Mark(None, "not graded", "The grader failed here; your instructor has been told."))
    if result.status:
        return
    states = {mark.status for mark in result.marks.values()}
    if any(flag.startswith(FAILED) for flag in result.flags):
        result.status = "grader error"
    elif states == {"not answered"}:
        result.status = "not answered"
    elif states & {"not graded", "unverified"}:
        result.status = "partly graded"
    else:
        result.status = "graded"


def copies(results: list[Result]) -> None:
    """Flag results whose weights, rows or job are those of another learner, or whose weights nearly are."""
    import numpy as np

    for result in results:
        result.flags = [flag for flag in result.flags if not flag.startswith(OF_OTHERS)]
    for name, words in (("rows", "the same rows as"), ("job", "the same job as")):
        for one in results:
            value = one.measured.get(name)
            same = [other.student for other in results if other is not one and value and other.measured.get(name) == value]
            if same:
                one.flags.append(f"{words} {', '.join(same[:5])}")
    found = [result for result in results if result.measured.get("signature")]
    if len(found) < 2:
        return
    signatures = np.array([result.measured["signature"] for result in found])  # (n, 64)
    cosines = signatures @ signatures.T
    for i, one in enumerate(found):
        same = [f.student for f in found if f is not one and f.measured["fingerprint"] == one.measured["fingerprint"]]
        near = [f.student for j, f in enumerate(found) if j != i and cosines[i, j] > ALIKE and f.student not in same]
        for words, names in (("the same weights as", same), ("nearly the same weights as", near)):
            if names:
                one.flags.append(f"{words} {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else ""))
