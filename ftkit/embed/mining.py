"""Hard negatives: wrong answers that the model as it is finds nearly right, and so learns most from."""

import random

from ftkit.data import Dataset
from ftkit.embed.model import EmbedModel, nearest

MARGIN = 0.05
"""A wrong answer must be this share less near than the right one. A nearer one is often right, only nobody said so:
Moreira et al. 2024, arXiv:2407.15831, §4 (positive-aware mining, 95 % of the positive's score)."""

LOOKED_AT = 100
"""How many of the nearest positives are looked at for each anchor."""


def hard_negatives(model: EmbedModel, pairs: Dataset, n: int, seed: int = 0, margin: float = MARGIN) -> list[tuple[str, ...]]:
    """For each pair the ``n`` nearest positives of other pairs, nearest first.

    Never a positive of the same anchor or of the same group. Where fewer than ``n`` stand below the margin, others are
    drawn at random; where there are none at all (one group only), a text may repeat.
    """
    draw = random.Random(seed)
    texts = list(dict.fromkeys(pair.positive for pair in pairs))
    number = {text: i for i, text in enumerate(texts)}
    right: dict = {}  # anchor or group → the numbers of its positives
    for pair in pairs:
        for key in (("anchor", pair.anchor), ("group", pair.group)):
            if key[1] is not None:
                right.setdefault(key, set()).add(number[pair.positive])
    anchors, positives = model.encode([pair.anchor for pair in pairs]), model.encode(texts)
    mined = []
    for pair, anchor, found in zip(pairs, anchors, nearest(anchors, positives, LOOKED_AT)):
        own = right[("anchor", pair.anchor)] | right.get(("group", pair.group), set())
        limit = float(anchor @ positives[number[pair.positive]]) * (1 - margin)
        chosen = [i for i, score in found if i not in own and score <= limit][:n]
        others = [i for i in range(len(texts)) if i not in own and i not in chosen]
        others = others or [i for i in range(len(texts)) if i != number[pair.positive]]
        missing = n - len(chosen)
        chosen += draw.sample(others, missing) if missing <= len(others) else draw.choices(others, k=missing)
        mined.append(tuple(texts[i] for i in chosen))
    return mined
