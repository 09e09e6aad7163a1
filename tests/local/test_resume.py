"""A run that was killed, stopped or ran out of disk goes on to the very result it would have had."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from ftkit import Run, RunError, Split, Step, Val, checkpoints
from ftkit.data import write_jsonl
from ftkit.events import Saved
from ftkit.local import FullFineTune, LoRA
from ftkit.run import Recipe

QUICK = dict(epochs=2, batch_size=4, learning_rate=1e-2, checkpoint_every=2)  # 24 rows: 12 steps
CHILD = """
import os, resource, signal, sys
from ftkit import LoRA, FullFineTune, Step, read_chats, Split
rows = read_chats("rows.jsonl")
split = Split(rows[:24], rows[24:32], rows[32:40])
kind, base, how, at = sys.argv[1:]
recipe = {"LoRA": LoRA, "FullFineTune": FullFineTune}[kind](base=base, epochs=2, batch_size=4, learning_rate=1e-2, checkpoint_every=2)
def watch(event):
    if isinstance(event, Step) and event.step == int(at):
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))  # a disk that takes no more than a log
try:
    recipe.train(split, watch=watch, folder="run")
except Exception as error:
    print(type(error).__name__, error)
"""


def child(tiny_phi, split, kind: str, how: str, at: int) -> subprocess.CompletedProcess:
    write_jsonl("rows.jsonl", [row.to_dict() for part in (split.train, split.val, split.test) for row in part])
    return subprocess.run([sys.executable, "-c", CHILD, kind, tiny_phi, how, str(at)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def whole(tiny_phi, tickets, tmp_path_factory):
    """The same training, never stopped, by kind: the run's weights and what it said."""
    split = Split(tickets[:24], tickets[24:32], tickets[32:40])
    runs = {}
    for kind in (LoRA, FullFineTune):
        run = kind(base=tiny_phi, **QUICK).train(split, folder=tmp_path_factory.mktemp("whole") / kind.__name__)
        runs[kind.__name__] = (weights(run), run.history)
    return runs


def weights(run: Run) -> bytes:
    return next(run.folder.glob("*/*model.safetensors")).read_bytes()


def said(history) -> list:
    return [event for event in history if isinstance(event, (Step, Val, Saved))]


@pytest.mark.parametrize(("kind", "at"), [("LoRA", 1), ("LoRA", 5), ("LoRA", 8), ("FullFineTune", 7)])
def test_a_run_killed_at_any_step_ends_bit_for_bit_as_if_nothing_had_happened(kind, at, whole, tiny_phi, small_split):
    assert child(tiny_phi, small_split, kind, "kill", at).returncode == -9
    run = Run.open("run")
    assert run.status == "running" and len(run.losses) == at
    run = Run.open("run").resume(small_split)
    assert run.status == "succeeded"
    assert weights(run) == whole[kind][0]
    assert said(run.history) == said(whole[kind][1]) == said(Run.open("run").history), "a step is missing or twice"
    assert not (run.folder / "checkpoints").exists()
    with pytest.raises(RunError, match="nothing left to do"):
        run.resume(small_split)


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_used(whole, tiny_phi, small_split):
    child(tiny_phi, small_split, "LoRA", "kill", 7)
    folder = Run.open("run").folder / "checkpoints"
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    optimizer = folder / "checkpoint-6" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    assert checkpoints.newest(folder) == (folder / "checkpoint-4", ["checkpoint-6"])
    run = Run.open("run").resume(small_split)
    assert weights(run) == whole["LoRA"][0] and said(run.history) == said(whole["LoRA"][1])
    assert any("checkpoint-6 is damaged; going on from checkpoint-4" in getattr(e, "message", "") for e in run.history)


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to play a full disk with")
def test_a_full_disk_ends_with_a_clear_error_and_the_last_checkpoint_intact(whole, tiny_phi, small_split):
    done = child(tiny_phi, small_split, "LoRA", "full", 5)
    assert "RunError" in done.stdout and "checkpoint of step 6 could not be written" in done.stdout, done.stdout + done.stderr
    assert "checkpoint-4 is intact" in done.stdout and "Traceback" not in done.stderr
    run = Run.open("run")
    assert run.status == "failed" and checkpoints.newest(run.folder / "checkpoints")[0].name == "checkpoint-4"
    assert weights(run.resume(small_split)) == whole["LoRA"][0]


@pytest.mark.parametrize("kind", [LoRA, FullFineTune])
def test_a_run_stopped_by_a_watcher_goes_on_from_the_step_it_stopped_at(kind, whole, tiny_phi, small_split):
    stop = lambda event: isinstance(event, Step) and event.step == 5  # noqa: E731
    run = kind(base=tiny_phi, **QUICK).train(small_split, watch=stop)
    assert run.status == "cancelled" and run.model.reply("Where?", max_tokens=2) is not None
    assert checkpoints.newest(run.folder / "checkpoints")[0].name == "checkpoint-5"
    seen = []
    again = Run.open(run.folder).resume(small_split, watch=lambda event: seen.append(event) if isinstance(event, Step) else None)
    assert [event.step for event in seen] == list(range(6, 13))
    assert weights(again) == whole[kind.__name__][0] and again.status == "succeeded"


def test_other_rows_than_those_it_was_begun_with_are_refused(tiny_phi, small_split):
    run = LoRA(base=tiny_phi, **QUICK).train(small_split, watch=lambda event: True)
    other = replace(small_split, train=small_split.val)
    with pytest.raises(RunError, match="train rows are not those the run was begun with"):
        run.resume(other)
    assert run.status == "cancelled"


def test_what_cannot_resume_says_so(tmp_path):
    class Fleeting(Recipe):
        """Keeps nothing on the way."""

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text(json.dumps({"kind": "Fleeting"}), encoding="utf-8")
    try:
        with pytest.raises(RunError, match="Fleeting runs cannot be resumed"):
            Run.open(tmp_path / "run").resume(None)
    finally:
        del Recipe.kinds["Fleeting"]
