"""The worker process: checks files, trains one queued job after another, first come first served.

It shares nothing with the service but the store, and ends when the service does.
"""

import csv
import io
import os
import re
import shutil
import sys
import threading
import time
import traceback

from ftkit.data import Dataset, Split
from ftkit.errors import DataError, FtkitError
from ftkit.events import Event, Step, Val
from ftkit.local import LoRA
from ftkit.service import jobs
from ftkit.service.files import RESULTS
from ftkit.service.lifeline import when_parent_ends
from ftkit.service.store import Store, insert, new_id, update

PAUSE = 0.2
"""Seconds between two looks at the queue."""

COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
"""Of step_metrics.csv. The accuracies stay empty: the local engine does not measure them."""


def main(data_dir: str) -> None:
    when_parent_ends(lambda: os._exit(1))  # at once, even in the middle of a step
    store = Store(data_dir)
    threading.Thread(target=check_files, args=(store,), name="check-files", daemon=True).start()
    while True:
        job = jobs.next_with(store, "queued")
        if job is None:
            time.sleep(PAUSE)
        elif jobs.start(store, job["id"]):
            work_on(store, job)


def check_files(store: Store) -> None:
    """Validate new jobs, in a thread of its own, so that they need not wait for the one in training."""
    while True:
        job = jobs.next_with(store, "validating_files")
        if job is None:
            time.sleep(PAUSE)
            continue
        try:
            jobs.validate(store, job)
        except Exception as error:
            traceback.print_exc()
            jobs.fail(store, job["id"], f"{type(error).__name__}: {error}", code="server_error")


def work_on(store: Store, job: dict) -> None:
    """Train the job; whatever goes wrong is the job's failure, never the worker's."""
    try:
        train(store, job)
    except DataError as error:
        param = "validation_file" if str(job["validation_file"]) in str(error) else "training_file"
        message = jobs.in_owners_words(store, job[param], str(error))
        jobs.fail(store, job["id"], message, code=f"invalid_{param}", param=param)
    except FtkitError as error:
        jobs.fail(store, job["id"], str(error), code="invalid_job")
    except Exception as error:
        traceback.print_exc()  # into the service's log
        jobs.fail(store, job["id"], f"{type(error).__name__}: {error}", code="server_error")


def train(store: Store, job: dict) -> None:
    """Leaves a tuned model, its metrics and its result file in the store; nothing if the job was cancelled."""
    folder = store.run_folder(job["id"])
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that a crash cut short
    rows = jobs.read_rows(store, job["training_file"])
    val = jobs.read_rows(store, job["validation_file"]) if job["validation_file"] else Dataset((), "val")
    diary = Diary(store, job["id"])
    recipe_for(job).train(Split(rows, val, Dataset((), "test")), watch=diary, folder=folder)
    if not finish(store, job, diary):
        shutil.rmtree(folder, ignore_errors=True)


def recipe_for(job: dict) -> LoRA:
    """What the job's hyperparameters mean here: the multiplier scales LoRA's own learning rate."""
    asked = job["hyperparameters"]
    return LoRA(
        base=job["model"],
        epochs=float(asked["n_epochs"]),
        batch_size=asked["batch_size"],
        learning_rate=LoRA().learning_rate * asked["learning_rate_multiplier"],
        seed=job["seed"],
    )


class Diary:
    """A watcher that writes each step into the store, and stops the run once the job is no longer running."""

    def __init__(self, store: Store, job_id: str):
        self.store, self.job_id = store, job_id
        self.steps: dict[int, dict] = {}
        """step → its cells in step_metrics.csv"""
        self.last = Step(0, 0, 0.0)

    def __call__(self, event: Event) -> bool:
        if isinstance(event, Step):
            self.last = event
            self.steps[event.step] = {"step": event.step, "train_loss": event.loss}
            data = {
                "step": event.step,
                "total_steps": event.steps,
                "train_loss": event.loss,
                "learning_rate": event.learning_rate,
                "tokens": event.tokens,
            }
            return self.note(f"Step {event.step}/{event.steps}: training loss={event.loss:.2f}", data)
        if isinstance(event, Val):
            self.steps.setdefault(event.step, {"step": event.step})["valid_loss"] = event.loss
            data = {"step": event.step, "total_steps": self.last.steps, "valid_loss": event.loss}
            return self.note(f"Step {event.step}/{self.last.steps}: validation loss={event.loss:.2f}", data)
        return False

    def note(self, message: str, data: dict) -> bool:
        with self.store.transaction() as db:
            jobs.say(db, self.job_id, message, data=data)
            (status,) = db.execute("SELECT status FROM jobs WHERE id = ?", (self.job_id,)).fetchone()
        return status != "running"


def finish(store: Store, job: dict, diary: Diary) -> bool:
    """Whether the job succeeded: its model can be used from now on. False: it was cancelled."""
    suffix = re.sub(r"[^A-Za-z0-9._-]+", "-", job["suffix"] or "")
    name = f"ft:{job['model']}:local:{suffix}:{new_id('', 8)}"
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(diary.steps[step] for step in sorted(diary.steps))
    result, content = new_id("file-"), table.getvalue().encode()
    store.blob(result).write_bytes(content)

    with store.transaction() as db:
        done = update(
            db,
            "jobs",
            job["id"],
            only_if=("running",),
            status="succeeded",
            finished_at=int(time.time()),
            fine_tuned_model=name,
            trained_tokens=diary.last.tokens,
            result_files=[result],
        )
        if done:
            insert(db, "models", id=name, base=job["model"], job=job["id"])
            insert(db, "files", id=result, filename="step_metrics.csv", purpose=RESULTS, bytes=len(content))
            last = diary.steps[diary.last.step]
            insert(db, "checkpoints", id=new_id("ftckpt_"), job=job["id"], model=name, step=last["step"], metrics=last)
            jobs.say(db, job["id"], f"New fine-tuned model created: {name}")
            jobs.say(db, job["id"], "The job has successfully completed")
    if not done:
        store.blob(result).unlink()
    return done


if __name__ == "__main__":
    main(sys.argv[1])
