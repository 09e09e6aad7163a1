"""An embedding run that was stopped goes on to the very result it would have had."""

from dataclasses import replace

import pytest

from ftkit import Run, RunError, Step, Val, checkpoints


def weights(run) -> bytes:
    return (run.folder / "model" / "model.safetensors").read_bytes()


def said(history) -> list:
    """Steps and validation losses; a run that was stopped has also saved the model it had then."""
    return [event for event in history if isinstance(event, (Step, Val))]


@pytest.mark.parametrize("fields", [{"epochs": 2}, {"r": 4, "learning_rate": 1e-3, "epochs": 2}], ids=["full", "LoRA"])
def test_a_stopped_run_goes_on_bit_for_bit(fields, recipe, split, tmp_path):
    recipe = replace(recipe, **fields)
    whole = recipe.train(split, folder=tmp_path / "whole")
    stopped = recipe.train(split, folder=tmp_path / "run", watch=lambda event: isinstance(event, Step) and event.step == 4)
    assert stopped.status == "cancelled" and weights(stopped) != weights(whole)
    assert checkpoints.newest(stopped.folder / "checkpoints")[0].name == "checkpoint-4"
    run = Run.open(stopped.folder).resume(split)
    assert run.status == "succeeded" and weights(run) == weights(whole)
    assert said(run.history) == said(whole.history), "a step is missing or twice"
    assert not (run.folder / "checkpoints").exists()
    with pytest.raises(RunError, match="nothing left to do"):
        run.resume(split)


def test_a_run_that_broke_goes_on_from_its_last_checkpoint(run, recipe, split, tmp_path):
    recipe = replace(recipe, checkpoint_every=2)

    def breaks(event):
        if isinstance(event, Step) and event.step == 3:
            raise OSError("the power is gone")

    with pytest.raises(OSError):
        recipe.train(split, folder=tmp_path / "run", watch=breaks)
    broken = Run.open(tmp_path / "run")
    assert broken.status == "failed" and [path.name for path in (broken.folder / "checkpoints").iterdir()] == ["checkpoint-2"]
    resumed = broken.resume(split)
    assert weights(resumed) == weights(run), "checkpoints change nothing"


def test_a_run_that_broke_before_its_first_checkpoint_starts_again(run, recipe, split, tmp_path):
    def breaks(event):
        if isinstance(event, Step):
            raise OSError("the power is gone")

    with pytest.raises(OSError):
        recipe.train(split, folder=tmp_path / "run", watch=breaks)
    assert weights(Run.open(tmp_path / "run").resume(split)) == weights(run)
