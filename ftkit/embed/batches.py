"""Texts to vectors with next to no padding: a batch is cut into chunks of texts of like length, then put back in order.

Every text is still in the same batch as before, so it meets the same wrong answers; only the zeros between them go.
B is the texts of a batch, T the longest of a chunk, D the numbers of a vector.
"""

from collections.abc import Sequence

import torch
from sentence_transformers import SentenceTransformer
from torch.utils.checkpoint import checkpoint

from ftkit.errors import ModelError

TRAINED, ENCODED, ON_GPU = 256, 1024, 16_384
"""Tokens computed at once. Few in training on a CPU, where a batch is small and padding is the cost; more in encoding, where
thousands of texts are sorted together and hardly any need padding; many on a GPU, where each launch is the cost."""

Chunk = dict[str, torch.Tensor]
"""``input_ids`` and ``attention_mask``, (b, T)."""


def token_ids(transformer: SentenceTransformer, texts: Sequence[str]) -> list[list[int]]:
    """Each text's token ids as the model would see them (its own limits, casing and special tokens), not padded."""
    features = transformer.preprocess(list(texts))
    if "input_ids" not in features or "attention_mask" not in features:
        raise ModelError(f"{type(transformer[0]).__name__}: not a transformer; this kit trains and runs those only")
    return [ids[mask.bool()].tolist() for ids, mask in zip(features["input_ids"], features["attention_mask"])]


def chunks(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Row numbers, longest text first, cut wherever a padded chunk would hold more than ``tokens``.

    >>> chunks([3, 9, 3, 8], tokens=18)
    [[1, 3], [0, 2]]
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])  # stable
    found: list[list[int]] = []
    for row in order:
        if found and lengths[found[-1][0]] * (len(found[-1]) + 1) <= tokens:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def pack(ids: Sequence[Sequence[int]], tokens: int, pad_id: int) -> tuple[list[Chunk], torch.Tensor]:
    """The chunks of ``ids``, padded on the right, and where each text's vector stands once theirs are joined, (B,)."""
    rows = chunks([len(one) for one in ids], tokens)
    packed = []
    for some in rows:
        longest = len(ids[some[0]])
        padded = torch.tensor([[*ids[row], *[pad_id] * (longest - len(ids[row]))] for row in some])  # (b, T)
        lengths = torch.tensor([len(ids[row]) for row in some])
        packed.append({"input_ids": padded, "attention_mask": (torch.arange(longest) < lengths[:, None]).long()})
    return packed, torch.tensor([row for some in rows for row in some]).argsort()


def embed(model, packed: list[Chunk], places: torch.Tensor, recompute: bool = False) -> torch.Tensor:
    """The vectors of all texts in their own order, (B, D).

    Args:
        model: a SentenceTransformer.
        recompute: keep nothing of a chunk but its ids and compute it again on the way back: memory for one chunk instead of
            the whole batch, for a third more time. Chen et al. 2016, arXiv:1604.06174; for contrastive losses: Gao et
            al. 2021, arXiv:2101.06983.
    """
    table = model[0].auto_model.get_input_embeddings()
    if torch.is_grad_enabled() and table.weight.requires_grad:
        # One look-up for all chunks: the gradient of each is as large as the whole table.
        looked_up = table(torch.cat([chunk["input_ids"].flatten() for chunk in packed]))  # (tokens, D)
        parts = looked_up.split([chunk["input_ids"].numel() for chunk in packed])
        packed = [
            {"inputs_embeds": part.view(*chunk["input_ids"].shape, -1), "attention_mask": chunk["attention_mask"]}
            for part, chunk in zip(parts, packed)
        ]

    def forward(chunk: Chunk) -> torch.Tensor:
        return model(dict(chunk))["sentence_embedding"]  # the model writes into what it is given

    vectors = [checkpoint(forward, chunk, use_reentrant=False) if recompute else forward(chunk) for chunk in packed]
    return torch.cat(vectors)[places]
