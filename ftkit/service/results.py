"""What a job leaves: its tuned model, the models on the way there, and the table of its metrics."""

import csv
import io
import shutil
import time
from pathlib import Path

from ftkit.files import replacing
from ftkit.service import jobs
from ftkit.service.store import Store, insert, new_id, update

PURPOSE = "fine-tune-results"

COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}
"""Of step_metrics.csv: heading → the name in events. Of a DPO job the accuracies are shares of rows, not of tokens."""

METRICS = ("step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy", "full_valid_loss",
           "full_valid_mean_token_accuracy")  # fmt: skip
"""Of a checkpoint."""

KEPT = 3
"""The models of the last three epochs can be used, the finished one among them."""

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def keep_epochs(store: Store, job: dict, epoch: int, steps: int) -> None:
    """Make a model of the run's checkpoint at the end of an epoch (``epoch`` steps); the last epoch's is the result."""
    folder = store.run_folder(job["id"])
    found = {int(path.name.rpartition("-")[2]): path for path in (folder / "checkpoints").glob("checkpoint-*")}
    known, _ = store.page("checkpoints", job=job["id"])
    measured = jobs.measured(store, job["id"])
    for step in sorted((set(found) & set(measured)) - {row["step"] for row in known}):
        if step % epoch == 0 and step < steps:
            with replacing(folder / "epochs" / f"step-{step}") as target:
                for name in ADAPTER:
                    shutil.copyfile(found[step] / name, target / name)
            with store.transaction() as db:
                add_model(db, store, job, f"{job['name']}:ckpt-step-{step}", folder / "epochs" / f"step-{step}")
                add_checkpoint(db, job, f"{job['name']}:ckpt-step-{step}", measured[step])
    forget_early(store, job["id"], KEPT)


def finish(store: Store, job: dict) -> bool:
    """Whether the job succeeded: its model can be used from now on. False: it was cancelled or paused."""
    steps = jobs.measured(store, job["id"])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[step.get(name) for name in COLUMNS.values()] for step in steps.values()])
    result, content = new_id("file-"), table.getvalue().encode()
    store.blob(result).write_bytes(content)

    with store.transaction() as db:
        last = steps[max(steps)]
        done = update(
            db,
            "jobs",
            job["id"],
            only_if=("running",),
            status="succeeded",
            finished_at=int(time.time()),
            fine_tuned_model=job["name"],
            trained_tokens=last["tokens"],
            result_files=[result],
        )
        if done:
            about = dict(owner=job["owner"], filename="step_metrics.csv", purpose=PURPOSE, bytes=len(content))
            insert(db, "files", id=result, **about)
            add_model(db, store, job, job["name"], store.run_folder(job["id"]) / "adapter")
            add_checkpoint(db, job, job["name"], last)
            jobs.say(db, job["id"], f"New fine-tuned model created: {job['name']}")
            jobs.say(db, job["id"], "The job has successfully completed")
    if done:
        forget_early(store, job["id"], KEPT)
    else:
        store.blob(result).unlink()
    return done


def add_model(db, store: Store, job: dict, name: str, folder: Path) -> None:
    """The row of a model whose adapter is in ``folder``."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    about = dict(owner=job["owner"], base=job["model"], job=job["id"], bytes=size)
    insert(db, "models", id=name, folder=folder.relative_to(store.root).as_posix(), **about)


def add_checkpoint(db, job: dict, model: str, measured: dict) -> None:
    metrics = {name: measured[name] for name in METRICS if name in measured}
    insert(db, "checkpoints", id=new_id("ftckpt_"), job=job["id"], model=model, step=measured["step"], metrics=metrics)


def forget_early(store: Store, job_id: str, kept: int) -> None:
    """Remove all but the job's last ``kept`` checkpoints, with their models."""
    rows, _ = store.page("checkpoints", job=job_id)
    for old in sorted(rows, key=lambda row: -row["step"])[kept:]:
        with store.transaction() as db:
            db.execute("DELETE FROM models WHERE id = ?", (old["model"],))
            db.execute("DELETE FROM checkpoints WHERE id = ?", (old["id"],))
        shutil.rmtree(store.run_folder(job_id) / "epochs" / f"step-{old['step']}", ignore_errors=True)


def clear(store: Store, job_id: str) -> None:
    """Remove what a cancelled job could have gone on with; the models of its epochs stay."""
    for name in ("checkpoints", "adapter"):
        shutil.rmtree(store.run_folder(job_id) / name, ignore_errors=True)


def sweep(store: Store) -> None:
    """Remove blobs that no row knows: a crash came between writing them and noting them. Only while nothing else runs."""
    rows, _ = store.page("files")
    known = {row["id"] for row in rows}
    for path in (store.root / "files").iterdir():
        if path.name not in known:
            path.unlink()
