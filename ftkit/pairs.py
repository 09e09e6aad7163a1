"""What pairs are made into: a search task, a shuffled control, scored pairs. Introduced in lesson 03."""

import random
from collections.abc import Sequence

from ftkit.data import Dataset, Pair, ScoredPair, SearchSet
from ftkit.errors import DataError


def search_task(questions: Sequence[Pair], answers: Sequence[Pair], name: str = "search") -> SearchSet:
    """Find each question's answer among all different answers: its right one is that of its group.

    The two may be in different languages, as long as their groups have the same names.

    >>> faq = [Pair("Where is it?", "See the map.", "place"), Pair("How much?", "Two euros.", "price")]
    >>> search_task(faq[:1], faq).qrels
    {'q0': {'place': 1}}

    Raises:
        DataError: a question without a group, or whose group has no answer.
    """
    corpus = {pair.group: pair.positive for pair in answers if pair.group}
    for number, pair in enumerate(questions, start=1):
        if pair.group not in corpus:
            where = pair.where or f"search_task: question {number}"
            raise DataError(f"{where}: no answer has the group {pair.group!r} of {pair.anchor[:40]!r}; give answers its topic")
    queries = {f"q{i}": pair.anchor for i, pair in enumerate(questions)}
    return SearchSet(corpus, queries, {f"q{i}": {pair.group: 1} for i, pair in enumerate(questions)}, name)


def shuffled(pairs: Dataset, seed: int = 0) -> Dataset:
    """The same texts with partners drawn by chance: a control. What it gains does not come from what belongs together.

    >>> len(shuffled(Dataset((Pair("a", "b"), Pair("c", "d")), "two")))
    2
    """
    partners = random.Random(seed).sample([pair.positive for pair in pairs], len(pairs))
    return Dataset(tuple(Pair(pair.anchor, text) for pair, text in zip(pairs, partners)), f"{pairs.name}, shuffled")


def with_random_wrong(pairs: Dataset, seed: int = 0) -> Dataset:
    """Scored pairs as many tutorials make them: each pair with score 1, and its anchor with a random positive with score 0.

    Raises:
        DataError: all positives are the same text.
    """
    if len({pair.positive for pair in pairs}) < 2:
        raise DataError(f"{pairs.name}: all positives are the same text, so no wrong one can be drawn")
    draw = random.Random(seed)
    scored = [ScoredPair(pair.anchor, pair.positive, 1.0) for pair in pairs]
    for pair in pairs:
        other = draw.choice([one for one in pairs if one.positive != pair.positive])
        scored.append(ScoredPair(pair.anchor, other.positive, 0.0))
    return Dataset(tuple(scored), f"{pairs.name}, random wrong answers")
