"""Batches without padding, the losses and their gradients: equal to what sentence-transformers computes by itself."""

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer import losses

from ftkit.data import Dataset, Pair, ScoredPair
from ftkit.embed import Embed, engine
from ftkit.embed.batches import chunks, embed, pack, token_ids
from ftkit.embed.engine import Collator, columns
from ftkit.embed.mining import hard_negatives

ANCHORS = ["a cat sleeps", "where is it", "the market fell by a third in one long and terrible week of trading", "Đơn hàng"]
POSITIVES = ["a kitten has a nap on the warm windowsill", "over there", "stock prices are down", "my order, please"]


@pytest.fixture(scope="module")
def model():
    """Ready to train, without dropout: both ways must compute the same."""
    model = Embed().base_model().transformer.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def gradients(model, loss) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weights.grad.clone() for name, weights in model.named_parameters() if weights.grad is not None}


def assert_equal(have: dict, want: dict) -> None:
    """Within 1e-4 of each gradient's norm; some are zero but for rounding (a key's bias changes no softmax)."""
    assert have.keys() <= want.keys() and len(have) > 100
    whole = max(gradient.norm() for gradient in want.values())
    for name, gradient in have.items():
        assert (gradient - want[name]).norm() <= 1e-4 * want[name].norm() + 1e-6 * whole, name


def ours(model, rows: Dataset, **fields) -> torch.Tensor:
    """The loss as our engine computes it."""
    recipe = Embed(**fields)
    shell = type("Shell", (), {"recipe": recipe, "model": model, "loss": engine.LOSSES[recipe.loss](model), "state": None})()
    shell.state = type("State", (), {"num_input_tokens_seen": 0})()
    collate = Collator(model)
    collate.tokens = 30  # several chunks
    batch = collate(list(columns(rows)))
    assert len(batch["packed"]) > 2
    return engine._Trainer.compute_loss(shell, model, batch)


PAIRS = Dataset(tuple(Pair(a, p) for a, p in zip(ANCHORS, POSITIVES)))
SCORED = Dataset(tuple(ScoredPair(a, p, s) for a, p, s in zip(ANCHORS, POSITIVES, (1, 0, 0.5, 0.8))))
LIBRARY = {
    "mnrl": (PAIRS, losses.MultipleNegativesRankingLoss),
    "cosent": (SCORED, losses.CoSENTLoss),
    "cosine": (SCORED, losses.CosineSimilarityLoss),
}


@pytest.mark.parametrize("matryoshka", [(), (384, 64, 8)])
@pytest.mark.parametrize("loss", LIBRARY)
def test_loss_and_gradients_are_those_of_the_library(loss, matryoshka, model):
    rows, kind = LIBRARY[loss]
    theirs = kind(model)
    if matryoshka:
        theirs = losses.MatryoshkaLoss(model, theirs, matryoshka_dims=list(matryoshka))
    features = [model.preprocess(ANCHORS), model.preprocess(POSITIVES)]
    expected = theirs(features, torch.tensor([getattr(row, "score", 0.0) for row in rows], dtype=torch.float32))
    got = ours(model, rows, loss=loss, matryoshka=matryoshka)
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    want, have = gradients(model, expected), gradients(model, got)
    assert_equal(have, want)


def test_recomputing_gives_the_gradients_of_the_librarys_cached_loss(model):
    theirs = losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    expected = theirs([model.preprocess(ANCHORS), model.preprocess(POSITIVES)], torch.zeros(4))
    want = gradients(model, expected)
    have = gradients(model, ours(model, PAIRS, recompute=True))
    assert_equal(have, want)


def test_recomputing_keeps_far_less_for_the_way_back(model):
    def kept(recompute: bool) -> int:
        saved = []
        packed, places = pack(token_ids(model, ANCHORS + POSITIVES), 40, 0)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
            embed(model, packed, places, recompute)
        return sum(saved)

    assert kept(True) < kept(False) / 5


def test_no_chunk_is_larger_than_asked_and_every_row_is_there_once():
    lengths = np.random.default_rng(0).integers(1, 50, size=300).tolist()
    found = chunks(lengths, 256)
    assert sorted(row for some in found for row in some) == list(range(300))
    assert all(len(some) * max(lengths[row] for row in some) <= 256 for some in found)
    padded = sum(len(some) * max(lengths[row] for row in some) for some in found)
    assert padded < 1.1 * sum(lengths), "hardly any padding is left"
    assert chunks([500], 256) == [[0]], "a text longer than that stands alone"


def test_packed_texts_come_back_in_their_own_order():
    packed, places = pack([[1, 2], [3, 4, 5], [6]], 4, 0)
    rows = torch.cat([chunk["input_ids"][:, 0] for chunk in packed])
    assert rows[places].tolist() == [1, 3, 6]
    assert [chunk["attention_mask"].tolist() for chunk in packed] == [[[1, 1, 1]], [[1, 1], [1, 0]]]


def test_hard_negatives_are_those_of_the_library():
    """The same nearest wrong positives as sentence-transformers' own mining finds at the same margin."""
    import datasets
    from sentence_transformers.util import mine_hard_negatives

    from embed_helpers import TOPICS

    base = Embed().base_model()
    words = [f"{topic} {other}" for topic in TOPICS for other in ("broken", "lost")]
    pairs = Dataset(tuple(Pair(f"my {word}", f"help about {word}") for word in words))
    ours = hard_negatives(base, pairs, 2)
    theirs = mine_hard_negatives(
        datasets.Dataset.from_dict({"anchor": [p.anchor for p in pairs], "positive": [p.positive for p in pairs]}),
        base.transformer, num_negatives=2, relative_margin=0.05, range_max=100, output_format="n-tuple", verbose=False,
    )  # fmt: skip
    by_anchor = {row["anchor"]: (row["negative_1"], row["negative_2"]) for row in theirs}
    assert len(by_anchor) > 30
    assert {pair.anchor: mined for pair, mined in zip(pairs, ours) if pair.anchor in by_anchor} == by_anchor


def test_a_hard_negative_is_never_of_the_same_anchor_or_group_and_there_are_always_enough():
    asked = [(topic, i) for topic in ("tea", "rail") for i in range(3)]
    rows = [Pair(f"question {i} about {topic}", f"answer {i} on {topic}", group=topic) for topic, i in asked]
    rows.append(Pair("question 0 about tea", "another answer on tea", group="other"))
    mined = hard_negatives(Embed().base_model(), Dataset(tuple(rows)), 3)
    for row, wrong in zip(rows, mined):
        assert len(wrong) == 3
        allowed = {other.positive for other in rows if other.group != row.group and other.anchor != row.anchor}
        assert set(wrong) <= allowed
