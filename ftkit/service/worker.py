"""The worker process: checks files, and trains one job after another.

It shares nothing with the service but the store, and ends when the service does. Whatever kills it, the next worker goes
on with the job from its last checkpoint, to the same adapter bit for bit.
"""

import errno
import os
import shutil
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable

from ftkit.data import Dataset, Split
from ftkit.errors import DataError, FtkitError, RunError
from ftkit.events import Event, Step, Val
from ftkit.local import DPO, LoRA
from ftkit.run import Run
from ftkit.service import jobs, results, rows
from ftkit.service.lifeline import when_parent_ends
from ftkit.service.lock import WORKER, hold
from ftkit.service.store import Store

PAUSE = 0.2
"""Seconds between two looks at the queue."""

TROUBLE = 3
"""Seconds to wait when the store cannot be written."""


def main(data_dir: str) -> None:
    when_parent_ends(lambda: os._exit(1))  # at once, even in the middle of a step
    store = Store(data_dir)
    with hold(store.root, WORKER, seconds=3600):  # the worker of a service that was killed may take a moment to go
        threading.Thread(target=check_files, args=(store,), name="check-files", daemon=True).start()
        patiently(lambda: work(store))


def patiently(act: Callable[[], bool]) -> None:
    """``act`` again and again; whether it found something to do decides how soon.

    A store that is locked or has no room is nobody's fault: nothing is lost, and the same is tried again later.
    """
    while True:
        try:
            if not act():
                time.sleep(PAUSE)
        except sqlite3.OperationalError:
            traceback.print_exc()  # into the service's log
            time.sleep(TROUBLE)


def check_files(store: Store) -> None:
    """Validate new jobs, in a thread of its own, so that they need not wait for the one in training."""

    def check() -> bool:
        found, _ = store.page("jobs", limit=1, order="asc", status="validating_files")
        if found:
            carefully(store, found[0], lambda: jobs.validate(store, found[0]))
        return bool(found)

    patiently(check)


def work(store: Store) -> bool:
    """Train the next job, if there is one."""
    job = jobs.next_job(store)
    if job:
        carefully(store, job, lambda: train(store, job))
    return job is not None


def carefully(store: Store, job: dict, act: Callable[[], None]) -> None:
    """Whatever goes wrong inside is the job's failure, never the worker's; a full disk only pauses the job."""
    try:
        act()
    except sqlite3.OperationalError:
        raise
    except Exception as error:
        if no_space(error):
            jobs.pause(store, job["id"], "The disk is full; the job is paused. Make room, then resume it")
        elif isinstance(error, DataError):
            param = "validation_file" if str(job["validation_file"]) in str(error) else "training_file"
            message = rows.in_owners_words(store, job[param], str(error))
            jobs.fail(store, job["id"], message, code=f"invalid_{param}", param=param)
        elif isinstance(error, FtkitError):
            jobs.fail(store, job["id"], str(error), code="invalid_job")
        else:
            traceback.print_exc()
            jobs.fail(store, job["id"], f"{type(error).__name__}: {error}", code="server_error")


def no_space(error: BaseException | None) -> bool:
    """Whether a full disk is at the bottom of it."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "os error 28" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def train(store: Store, job: dict) -> None:
    """Leaves a tuned model, its metrics and its result file in the store; what was trained before a crash is kept."""
    folder = store.run_folder(job["id"])
    train = rows.read(store, job["training_file"], job["method"])
    val = rows.read(store, job["validation_file"], job["method"]) if job["validation_file"] else Dataset((), "val")
    split = Split(train, val, Dataset((), "test"))
    diary = Diary(store, job, len(train))
    try:
        run = Run.open(folder)
    except RunError:  # nothing there, or a crash came before anything was
        shutil.rmtree(folder, ignore_errors=True)
        recipe_for(job).train(split, watch=diary, folder=folder)
    else:
        for event in run.history:  # had the machine lost power, the store might know less than the run's own log
            diary(event)
        if run.status != "succeeded":
            run.resume(split, watch=diary)
    if not results.finish(store, job) and store.one("jobs", job["id"])["status"] == "cancelled":
        results.clear(store, job["id"])


def recipe_for(job: dict) -> LoRA:
    """What the job's hyperparameters mean here: the multiplier scales the recipe's own learning rate."""
    asked = job["hyperparameters"]
    kind, more = (DPO, {"beta": asked["beta"]}) if job["method"] == "dpo" else (LoRA, {})
    return kind(
        base=job["model"],
        epochs=float(asked["n_epochs"]),
        batch_size=asked["batch_size"],
        learning_rate=kind().learning_rate * asked["learning_rate_multiplier"],
        seed=job["seed"],
        **more,
    )


class Diary:
    """A watcher that writes each step into the store, and stops the run once the job is no longer running."""

    def __init__(self, store: Store, job: dict, rows: int):
        self.store, self.job = store, job
        self.epoch = -(-rows // job["hyperparameters"]["batch_size"])
        """Steps."""
        self.steps = self.epoch * job["hyperparameters"]["n_epochs"]

    def __call__(self, event: Event) -> bool:
        if isinstance(event, Step):
            if event.step % self.epoch == 1 or self.epoch == 1:  # the checkpoint of the epoch before is whole by now
                results.keep_epochs(self.store, self.job, self.epoch, self.steps)
            data = {
                "step": event.step,
                "total_steps": event.steps,
                "train_loss": event.loss,
                "learning_rate": event.learning_rate,
                "tokens": event.tokens,
                "train_mean_token_accuracy": event.accuracy,
            }
            return self.note("train", event.step, f"training loss={event.loss:.2f}", data)
        if isinstance(event, Val):
            data = {
                "step": event.step,
                "total_steps": self.steps,
                "valid_loss": event.loss,
                "full_valid_loss": event.loss,
                "valid_mean_token_accuracy": event.accuracy,
                "full_valid_mean_token_accuracy": event.accuracy,
            }
            return self.note("valid", event.step, f"validation loss={event.loss:.2f}", data)
        return False

    def note(self, metric: str, step: int, words: str, data: dict) -> bool:
        id = self.job["id"]
        with self.store.transaction() as db:
            jobs.measure(db, id, metric, step, f"Step {step}/{self.steps}: {words}", data)
            (status,) = db.execute("SELECT status FROM jobs WHERE id = ?", (id,)).fetchone()
        return status != "running"


if __name__ == "__main__":
    main(sys.argv[1])
