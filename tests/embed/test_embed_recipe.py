"""The Embed recipe refuses what cannot work, before anything costs time."""

import ast
import inspect
import subprocess
import sys
from dataclasses import fields

import pytest

from ftkit.data import Chat, Dataset, Pair, ScoredPair, Split
from ftkit.embed import Embed
from ftkit.errors import DataError, FtkitError, RecipeError, RunError
from ftkit.run import Recipe, Run

CHATS = Dataset((Chat(({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}), "chats.jsonl:7"),))


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "triplet"},
        {"negatives": -1},
        {"negatives": 1, "loss": "cosent"},
        {"r": 0},
        {"r": 1.5},
        {"alpha": 0},
        {"matryoshka": (384, 0)},
        {"matryoshka": (64, 64)},
        {"matryoshka": 64},
        {"checkpoint_every": 0},
        {"epochs": 0},
        {"epochs": 1.5},
        {"batch_size": 1},
        {"batch_size": True},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"warmup": 1.1},
        {"warmup": -0.1},
        {"max_length": 4},
        {"seed": -1},
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        Embed(**wrong)


def test_chats_are_refused_with_their_line_before_a_folder_is_made(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(DataError, match=r"chats\.jsonl:7: .*rows of Pair; got a Chat: use read_pairs"):
        Embed().train(Split(CHATS, CHATS, CHATS), folder=folder)
    assert not folder.exists()


def test_one_pair_alone_is_refused(split, tmp_path):
    with pytest.raises(DataError, match="2 pairs or more"):
        Embed().train(Split(split.train[:1], split.val, split.test), folder=tmp_path / "run")


@pytest.mark.parametrize(
    ("loss", "rows", "said"),
    [
        ("mnrl", [Pair("a", "b"), Pair("c", " ", where="p.jsonl:2")], r'p\.jsonl:2: want a text in "positive"; got " "'),
        ("mnrl", [Pair("a", "b"), Pair("c", "c")], "row 2: anchor and positive are the same text"),
        ("mnrl", [Pair("a", "b"), Pair("c", "b")], "all 2 pairs have the same positive"),
        ("mnrl", [ScoredPair("a", "b", 1.0)], "rows of Pair; got a ScoredPair: use read_pairs"),
        ("cosine", [Pair("a", "b")], "rows of ScoredPair; got a Pair: use read_scored_pairs"),
        ("cosine", [ScoredPair("a", "b", 1.0), ScoredPair("a", "c", 1.0)], "all 2 pairs have the score 1.0"),
        ("cosent", [ScoredPair("a", "b", 1.5, where="s.jsonl:1")], r's\.jsonl:1: want a number from 0 to 1 in "score"; got 1.5'),
    ],
)
def test_rows_that_cannot_teach_are_refused_before_a_folder_is_made(loss, rows, said, split, tmp_path):
    with pytest.raises(DataError, match=said):
        Embed(loss=loss).train(Split(Dataset(tuple(rows)), split.val[:0], split.test), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_data_set_that_was_not_split_is_refused(split):
    with pytest.raises(FtkitError, match="wants a Split"):
        Embed().train(split.train)


def test_a_recipe_survives_its_json():
    recipe = Embed(base="x/y", epochs=2, matryoshka=(384, 64))
    assert Recipe.from_dict({"kind": "Embed", "base": "x/y", "epochs": 2, "matryoshka": [384, 64]}) == recipe


def test_every_field_is_read_by_the_engine():
    from ftkit.embed import engine

    nodes = [node for node in ast.walk(ast.parse(inspect.getsource(engine))) if isinstance(node, ast.Attribute)]
    read = {node.attr for node in nodes if ast.unparse(node.value) in ("recipe", "self.recipe")}
    assert read == {field.name for field in fields(Embed)}


def test_every_loss_the_recipe_allows_is_one_the_engine_has():
    from ftkit.embed import engine, recipe

    assert set(recipe.LOSSES) == set(engine.LOSSES)


def test_the_recipe_opens_nothing_heavy():
    code = "import sys, ftkit.embed; print({'torch', 'numpy', 'sentence_transformers', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_run_that_kept_no_model_says_so(tmp_path):
    with pytest.raises(RunError, match="kept no model"):
        Run(tmp_path, Embed(), []).model
