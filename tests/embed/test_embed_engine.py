"""Training, for real, with all-MiniLM-L6-v2 and a dozen pairs."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftkit.data import Dataset, Pair, ScoredPair, Split
from ftkit.errors import RecipeError
from ftkit.events import Saved, Status, Step, Val
from ftkit.run import Run


def _weights(run) -> bytes:
    return (run.folder / "model" / "model.safetensors").read_bytes()


def test_training_lowers_the_validation_loss_and_says_what_it_does(run):
    steps = [event for event in run.history if isinstance(event, Step)]
    assert run.status == "succeeded"
    assert all(step.steps == 3 and step.loss > 0 for step in steps)
    assert max(step.learning_rate for step in steps) == run.recipe.learning_rate
    before, after = run.val_losses
    assert after < before
    assert [type(event) for event in run.history][-2:] == [Saved, Status]


def test_the_trained_model_differs_from_its_base(run, base, split):
    texts = [pair.anchor for pair in split.test]
    assert np.abs(run.model.encode(texts) - base.encode(texts)).max() > 1e-3


def test_the_saved_folder_loads_in_plain_sentence_transformers_with_equal_vectors(run, split):
    from sentence_transformers import SentenceTransformer

    texts = [pair.anchor for pair in split.test] + ["a longer text " * 60]
    plain = SentenceTransformer(str(run.folder / "model"), local_files_only=True)
    assert np.allclose(plain.encode(texts), run.model.encode(texts), atol=1e-6)
    assert plain.max_seq_length == 256, "the shorter limit was for training only"


def test_a_run_reopened_from_disk_holds_the_same_model(run, split):
    texts = [pair.anchor for pair in split.test]
    assert np.array_equal(Run.open(run.folder).model.encode(texts), run.model.encode(texts))


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_does_not(run, split, tmp_path):
    again = run.recipe.train(split, folder=tmp_path / "again")
    other = replace(run.recipe, seed=1).train(split, folder=tmp_path / "other")
    assert _weights(again) == _weights(run)
    assert _weights(other) != _weights(run)


class Poisoned(Dataset):
    """Rows that may be counted and fingerprinted for the record, never read."""

    fingerprint = "sealed"

    def __iter__(self):
        raise AssertionError("somebody looked at the test rows")

    __getitem__ = sample = __iter__


def test_the_engine_never_sees_the_test_rows(recipe, split, tmp_path):
    sealed = Split(split.train, split.val[:0], Poisoned(split.test.rows))
    run = recipe.train(sealed, folder=tmp_path / "run")
    assert run.status == "succeeded"
    assert run.val_losses == [], "an empty validation part is no fault"


def test_a_watcher_that_returns_true_stops_the_run_and_keeps_a_usable_model(recipe, split, tmp_path):
    run = recipe.train(split, folder=tmp_path / "run", watch=lambda event: isinstance(event, Step))
    assert run.status == "cancelled"
    assert len(run.losses) == 1
    assert Run.open(run.folder).model.encode(["where is my parcel"]).shape == (1, 384)
    assert not (run.folder / "model.tmp").exists()


def test_a_run_stopped_before_its_first_step_keeps_nothing(recipe, split, tmp_path):
    run = recipe.train(split, folder=tmp_path / "run", watch=lambda event: isinstance(event, Val))
    assert run.status == "cancelled"
    assert not (run.folder / "model").exists()


def test_equal_positives_never_meet_in_a_batch(recipe, split, tmp_path):
    """Four rows of one positive in batches of four, and one other: at most two can stand together."""
    rows = [Pair(f"question {i}", "the one answer") for i in range(4)] + [Pair("where is my kettle", "in the kitchen")]
    run = recipe.train(Split(Dataset(tuple(rows)), split.val[:0], split.test), folder=tmp_path / "run")
    assert sorted(round(loss, 6) for loss in run.losses)[:-1] == [0.0] * (len(run.losses) - 1), "alone there is no wrong answer"


def test_a_lora_run_saves_a_model_that_stands_alone(recipe, split, tmp_path):
    from sentence_transformers import SentenceTransformer

    recipe = replace(recipe, r=4, learning_rate=1e-2, epochs=2)
    run = recipe.train(split, folder=tmp_path / "run")
    before, after = run.val_losses
    assert after < before
    plain = SentenceTransformer(str(run.folder / "model"), local_files_only=True)
    base = recipe.base_model().transformer.state_dict()
    changed = {name for name, weights in plain.state_dict().items() if not weights.equal(base[name])}
    assert changed and all(name.endswith(".weight") and "embeddings" not in name for name in changed)
    assert len(changed) == 36, "six layers of six linear maps; the pooler takes no part"


@pytest.mark.parametrize("loss", ["cosine", "cosent"])
def test_scored_pairs_train_with_either_of_their_losses(loss, recipe, split, tmp_path):
    rows = [ScoredPair(p.anchor, q.positive, float(p is q)) for p in split.train[:4] for q in split.train[:4]]
    scored = Split(Dataset(tuple(rows)), Dataset(tuple(rows[:4])), split.test)
    run = replace(recipe, loss=loss, epochs=3).train(scored, folder=tmp_path / "run")
    before, after = run.val_losses
    assert run.status == "succeeded" and len(run.losses) == 12 and after < before


def test_hard_negatives_recomputing_and_matryoshka_go_together(recipe, split, tmp_path):
    recipe = replace(recipe, negatives=1, recompute=True, matryoshka=(384, 32), epochs=2)
    run = recipe.train(split, folder=tmp_path / "run")
    assert run.status == "succeeded" and run.val_losses[1] < run.val_losses[0]
    steps = [event for event in run.history if isinstance(event, Step)]
    assert steps[-1].tokens > steps[0].tokens > 100, "tokens are counted"


def test_a_matryoshka_length_beyond_the_models_is_refused(recipe, split, tmp_path):
    with pytest.raises(RecipeError, match="matryoshka holds 512, but the vectors of all-MiniLM-L6-v2 have 384 numbers"):
        replace(recipe, matryoshka=(512, 384)).train(split, folder=tmp_path / "run")


def test_training_is_silent_and_writes_only_into_its_folder(tmp_path):
    code = """
import warnings; warnings.simplefilter("default")
warnings.filterwarnings("ignore", ".*torch.jit.script_method.*", DeprecationWarning)  # bitsandbytes, which PEFT opens
from embed_helpers import TOPICS, pairs
from ftkit.data import Split
from ftkit.embed import Embed
split = Split(pairs(TOPICS[:4]), pairs(TOPICS[4:8]), pairs(TOPICS[8:]))
run = Embed(batch_size=4).train(split, folder="run")
run.model.search(["where is my parcel"], [pair.positive for pair in split.test], k=2)
"""
    here, home = Path(__file__).parent, tmp_path / "home"
    env = os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{here.parents[1]}", "HF_HOME": str(home), "HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["run"]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"recipe.json", "data.json", "events.jsonl", "model"}
    assert not [path for path in home.rglob("*") if path.is_file()], "nor into a cache"
