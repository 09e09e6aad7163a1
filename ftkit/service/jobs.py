"""The life of a job.

    validating_files ─┬─ queued ─── running ─┬─ succeeded
                      │     ⇅          ⇅     └─ failed
                      │     paused ← pause
                      └─ failed                any of the first four ── cancelled, when asked

Each change of status is one UPDATE that holds only if the job is still where we believe it is, so the app, which
cancels and pauses, and the worker, which goes on, cannot overwrite each other. The status is the control column: the
worker reads it after every step, and stops once it is no longer "running". A job that runs when its worker or the whole
machine dies stays "running"; the next worker goes on with it from its last checkpoint.
"""

import re
import secrets
import sqlite3
import time

from ftkit.data import SHOWN_PROBLEMS
from ftkit.errors import DataError
from ftkit.estimate import auto_epochs
from ftkit.hosted import LARGEST_SEED, LEAST_EXAMPLES
from ftkit.local import DPO, LoRA
from ftkit.service import rows
from ftkit.service.requests import JobRequest
from ftkit.service.store import ALL, Store, insert, new_id, update

WAITING = ("validating_files", "queued")
ACTIVE = (*WAITING, "running", "paused")

DEATHS = 5
"""A job whose worker has died so often in a row without one new step would kill the next one too."""

NAMED_ROWS = 200
"""Bad rows that get an event each; more are only counted."""

LARGEST_BATCH = 256


def create(store: Store, owner: str, request: JobRequest) -> dict:
    """The new job's row; the worker will find it."""
    id = new_id("ftjob-")
    suffix = re.sub(r"[^A-Za-z0-9._-]+", "-", request.suffix or "")
    asked = {name: "auto" if value is None else value for name, value in request.settings.model_dump().items()}
    with store.transaction() as db:
        job = insert(
            db,
            "jobs",
            id=id,
            owner=owner,
            status="validating_files",
            model=request.model,
            training_file=request.training_file,
            validation_file=request.validation_file,
            method=request.method.type if request.method else "supervised",
            hyperparameters=asked,
            suffix=request.suffix,
            name=f"ft:{request.model}:{organisation(owner)}:{suffix}:{new_id('', 8)}",
            seed=secrets.randbelow(LARGEST_SEED + 1) if request.seed is None else request.seed,
            metadata=request.metadata,
        )
        say(db, id, f"Created fine-tuning job: {id}")
        say(db, id, f"Validating training file: {request.training_file}")
        if request.validation_file:
            say(db, id, f"Validating validation file: {request.validation_file}")
    return job


def organisation(owner: str) -> str:
    """The owner as a part of a model's name, which colons divide.

    >>> organisation("Nguyễn An: 3B")
    'Nguy-n-An-3B'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", owner).strip("-") or "learner"


def say(db: sqlite3.Connection, job_id: str, message: str, level: str = "info") -> None:
    """Add one event in words."""
    event = dict(level=level, message=message, type="message", data={})
    insert(db, "events", id=new_id("ftevent-"), job=job_id, **event)


def measure(db: sqlite3.Connection, job_id: str, metric: str, step: int, message: str, data: dict) -> None:
    """Add one event of type metrics. A step that is trained again after a crash has been told already: it is not again."""
    known = db.execute("SELECT 1 FROM events WHERE job = ? AND metric = ? AND step = ?", (job_id, metric, step)).fetchone()
    if not known:
        event = dict(level="info", message=message, type="metrics", data=data, metric=metric, step=step)
        insert(db, "events", id=new_id("ftevent-"), job=job_id, **event)


def measured(store: Store, job_id: str) -> dict[int, dict]:
    """step → what was measured there, in the order of the steps."""
    events, _ = store.page("events", job=job_id, type="metrics", order="asc", limit=ALL)
    steps: dict[int, dict] = {}
    for event in events:
        steps.setdefault(event["step"], {}).update(event["data"])
    return dict(sorted(steps.items()))


def validate(store: Store, job: dict) -> None:
    """Read the job's files: it is queued with "auto" settled, or it fails with the rows at fault named."""
    sizes = {}
    for param in ("training_file", "validation_file"):
        try:
            sizes[param] = len(rows.read(store, job[param], job["method"])) if job[param] else 0
        except DataError as error:
            with store.transaction() as db:
                for problem in error.problems[:NAMED_ROWS]:
                    say(db, job["id"], problem, level="error")
            more = len(error.problems) - SHOWN_PROBLEMS
            message = "\n".join([*error.problems[:SHOWN_PROBLEMS], *([f"and {more} more faults"] if more > 0 else [])])
            return fail(store, job["id"], message, code=f"invalid_{param}", param=param)
    count = sizes["training_file"]
    if count < LEAST_EXAMPLES:
        message = f"Training file has {count} example(s), but must have at least {LEAST_EXAMPLES} examples"
        return fail(store, job["id"], message, code="invalid_n_examples", param="training_file")
    automatic = {
        "n_epochs": auto_epochs(count),
        "batch_size": auto_batch(count),
        "learning_rate_multiplier": 1.0,
        "beta": DPO().beta,
    }
    settled = {name: automatic[name] if value == "auto" else value for name, value in job["hyperparameters"].items()}
    with store.transaction() as db:
        if update(db, "jobs", job["id"], only_if=("validating_files",), status="queued", hyperparameters=settled):
            say(db, job["id"], "Files validated, moving job to queued state")


def auto_batch(examples: int) -> int:
    """What "auto" stands for: 0.2 % of the examples, 256 at most, as OpenAI has published; but never fewer rows than
    suit the small models of this service.

    >>> [auto_batch(n) for n in (10, 3_000, 1_000_000)]
    [4, 6, 256]
    """
    return max(LoRA().batch_size, min(LARGEST_BATCH, round(examples * 0.002)))


def next_job(store: Store) -> dict | None:
    """The job to work on, now "running": one that a crash cut short, else the next in the queue.

    The queue is fair: first whoever has waited longest since a job of theirs began, then first come, first served.
    """
    with store.transaction() as db:
        found = db.execute("SELECT id FROM jobs WHERE status = 'running' ORDER BY seq").fetchone()
        if found is None:
            found = db.execute(
                "SELECT id FROM jobs AS mine WHERE status = 'queued' ORDER BY "
                "(SELECT max(started) FROM jobs AS theirs WHERE theirs.owner = mine.owner) NULLS FIRST, seq LIMIT 1"
            ).fetchone()
            if found and update(db, "jobs", found["id"], status="running", started=time.time()):
                say(db, found["id"], "Fine-tuning job started")
    return store.one("jobs", found["id"]) if found else None


def fail(store: Store, job_id: str, message: str, code: str, param: str | None = None) -> None:
    """The job has failed; unless it was cancelled meanwhile."""
    with store.transaction() as db:
        error = {"code": code, "param": param, "message": message}
        if update(db, "jobs", job_id, only_if=ACTIVE, status="failed", finished_at=int(time.time()), error=error):
            say(db, job_id, f"The job failed: {message.splitlines()[0]}", level="error")


def cancel(store: Store, job_id: str) -> bool:
    """Whether the job was active, and now is cancelled."""
    return _move(store, job_id, ACTIVE, "The job was cancelled", status="cancelled", finished_at=int(time.time()))


def pause(store: Store, job_id: str, why: str = "The job was paused") -> bool:
    """Whether the job was queued or running, and now is paused; its training can go on where it stopped."""
    return _move(store, job_id, ("queued", "running"), why, status="paused")


def resume(store: Store, job_id: str) -> bool:
    """Whether the job was paused, and now is back in the queue."""
    return _move(store, job_id, ("paused",), "The job was resumed, moving job to queued state", status="queued", deaths=0)


def _move(store: Store, job_id: str, only_if: tuple[str, ...], message: str, **values) -> bool:
    with store.transaction() as db:
        moved = update(db, "jobs", job_id, only_if=only_if, **values)
        if moved:
            say(db, job_id, message)
        return moved


def worker_died(store: Store, exit_code: int) -> None:
    """For a service whose worker ended by itself: the next one goes on with the job, unless the job is what kills them."""
    running, _ = store.page("jobs", status="running")
    for job in running:
        why = "was killed, perhaps for want of memory" if exit_code < 0 else f"ended with exit code {exit_code}"
        last = max(measured(store, job["id"]), default=0)
        deaths = job["deaths"] + 1 if last == job["furthest"] else 1
        if deaths >= DEATHS:
            message = f"The training process {why}, {deaths} times in a row at the same place."
            fail(store, job["id"], message, code="server_error")
            continue
        with store.transaction() as db:
            update(db, "jobs", job["id"], only_if=("running",), deaths=deaths, furthest=last)
            say(db, job["id"], f"The training process {why}; training goes on from its last checkpoint", level="warn")
