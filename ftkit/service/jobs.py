"""The life of a job.

    validating_files ─┬─ queued ── running ─┬─ succeeded
                      │                     └─ failed
                      └─ failed             any of the first three ── cancelled, when asked

Each change of status is one UPDATE that holds only if the job is still where we believe it is, so the app, which
cancels, and the worker, which goes on, cannot overwrite each other. The worker learns of a cancellation from the
status itself, which it reads after every step.
"""

import secrets
import sqlite3
import time

from ftkit.data import Dataset, read_chats
from ftkit.errors import DataError
from ftkit.estimate import auto_epochs
from ftkit.hosted import LARGEST_SEED, LEAST_EXAMPLES
from ftkit.local import LoRA
from ftkit.service.requests import JobRequest
from ftkit.service.store import Store, insert, new_id, update

ACTIVE = ("validating_files", "queued", "running")


def create(store: Store, request: JobRequest) -> dict:
    """The new job's row; the worker will find it."""
    id = new_id("ftjob-")
    asked = {name: "auto" if value is None else value for name, value in request.settings.model_dump().items()}
    with store.transaction() as db:
        job = insert(
            db,
            "jobs",
            id=id,
            status="validating_files",
            model=request.model,
            training_file=request.training_file,
            validation_file=request.validation_file,
            hyperparameters=asked,
            suffix=request.suffix,
            seed=secrets.randbelow(LARGEST_SEED + 1) if request.seed is None else request.seed,
            metadata=request.metadata,
        )
        say(db, id, f"Created fine-tuning job: {id}")
        say(db, id, f"Validating training file: {request.training_file}")
        if request.validation_file:
            say(db, id, f"Validating validation file: {request.validation_file}")
    return job


def say(db: sqlite3.Connection, job_id: str, message: str, level: str = "info", data: dict | None = None) -> None:
    """Add one event; with ``data`` it is of type metrics."""
    kind = "metrics" if data else "message"
    insert(db, "events", id=new_id("ftevent-"), job=job_id, level=level, message=message, type=kind, data=data or {})


def validate(store: Store, job: dict) -> None:
    """Read the job's files: it is queued with "auto" settled, or it fails with the rows at fault named."""
    try:
        rows = read_rows(store, job["training_file"])
        if len(rows) < LEAST_EXAMPLES:
            message = f"Training file has {len(rows)} example(s), but must have at least {LEAST_EXAMPLES} examples"
            return fail(store, job["id"], message, code="invalid_n_examples", param="training_file")
    except DataError as error:
        return fail(store, job["id"], str(error), code="invalid_training_file", param="training_file")
    try:
        if job["validation_file"]:
            read_rows(store, job["validation_file"])
    except DataError as error:
        return fail(store, job["id"], str(error), code="invalid_validation_file", param="validation_file")
    automatic = {"n_epochs": auto_epochs(len(rows)), "batch_size": LoRA().batch_size, "learning_rate_multiplier": 1.0}
    settled = {name: automatic[name] if value == "auto" else value for name, value in job["hyperparameters"].items()}
    with store.transaction() as db:
        if update(db, "jobs", job["id"], only_if=("validating_files",), status="queued", hyperparameters=settled):
            say(db, job["id"], "Files validated, moving job to queued state")


def read_rows(store: Store, file_id: str) -> Dataset:
    """The chats of an uploaded file; complaints name it as its owner does.

    Raises:
        DataError: a faulty row, or the file has been deleted.
    """
    if store.one("files", file_id) is None:
        raise DataError(f"{file_id}: the file was deleted before the job could read it; upload it again")
    try:
        return read_chats(store.blob(file_id))
    except DataError as error:
        raise DataError(*(in_owners_words(store, file_id, problem) for problem in error.problems)) from None


def in_owners_words(store: Store, file_id: str, complaint: str) -> str:
    """The complaint with the file's own name in place of the id we keep it under."""
    file = store.one("files", file_id)
    return complaint.replace(file_id, file["filename"]) if file else complaint


def next_with(store: Store, status: str) -> dict | None:
    """The oldest job in this status."""
    rows, _ = store.page("jobs", after=None, limit=1, order="asc", status=status)
    return rows[0] if rows else None


def start(store: Store, job_id: str) -> bool:
    """Whether the job was still queued, and now runs."""
    with store.transaction() as db:
        started = update(db, "jobs", job_id, only_if=("queued",), status="running")
        if started:
            say(db, job_id, "Fine-tuning job started")
        return started


def fail(store: Store, job_id: str, message: str, code: str, param: str | None = None) -> None:
    """The job has failed; unless it was cancelled meanwhile."""
    with store.transaction() as db:
        error = {"code": code, "param": param, "message": message}
        if update(db, "jobs", job_id, only_if=ACTIVE, status="failed", finished_at=int(time.time()), error=error):
            say(db, job_id, f"The job failed: {message}", level="error")


def cancel(store: Store, job_id: str) -> bool:
    """Whether the job was active, and now is cancelled."""
    with store.transaction() as db:
        cancelled = update(db, "jobs", job_id, only_if=ACTIVE, status="cancelled", finished_at=int(time.time()))
        if cancelled:
            say(db, job_id, "The job was cancelled")
        return cancelled


def requeue(store: Store) -> None:
    """For a service that starts: what was running when the last one died is trained again, from the start."""
    while job := next_with(store, "running"):
        with store.transaction() as db:
            if update(db, "jobs", job["id"], only_if=("running",), status="queued"):
                say(db, job["id"], "The service was restarted; the job is back in the queue", level="warn")


def worker_died(store: Store, exit_code: int) -> None:
    """For a service whose worker ended by itself: the job it was at has failed."""
    while job := next_with(store, "running"):
        why = "was killed, perhaps for want of memory" if exit_code < 0 else f"ended with exit code {exit_code}"
        fail(store, job["id"], f"The training process {why}.", code="server_error")
