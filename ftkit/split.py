"""Which row goes to train, validation or test: seeded, stratified, grouped, near-duplicates kept together.

Works on plain lists and returns row numbers; `ftkit.data.Dataset.split` is the face learners use.
"""

import math
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from itertools import combinations

NEAR = 0.8
"""Two texts are near-duplicates when the Jaccard similarity of their word sets reaches this."""

PAIRS_UP_TO = 64
"""Word sets up to this size are looked up by pairs of words: many fewer rows to compare. Larger ones have too many pairs."""

SKETCH = 256
"""Bits of a word set's sketch."""


def words(text: str) -> frozenset[str]:
    """The set of words that near-duplicates are judged by: NFC, case folded, every digit written 0.

    >>> sorted(words("Order #74937, please!"))
    ['00000', 'order', 'please']
    """
    text = unicodedata.normalize("NFC", text).casefold()
    return frozenset(re.findall(r"\w+", re.sub(r"\d", "0", text)))


class Links:
    """Rows joined into clusters (union–find). ``links[i]`` is the lowest row number of i's cluster."""

    def __init__(self, n: int):
        self.parent = list(range(n))

    def __getitem__(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = i = self.parent[self.parent[i]]
        return i

    def join(self, i: int, j: int) -> None:
        low, high = sorted((self[i], self[j]))
        self.parent[high] = low


def near_duplicates(texts: Sequence[str], threshold: float = NEAR) -> Links:
    """The clusters of texts that a chain of near-duplicates links.

    Exact (no hashing). Two sets with Jaccard ≥ t share at least ⌈t·|x|⌉ words, |x| being the larger, so at least one
    (two) of x's |x| − ⌈t·|x|⌉ + 1 (+ 2) rarest: only sets that share a rare word, or a pair of them, are compared (prefix
    filtering: Bayardo et al. 2007, "Scaling up all pairs similarity search"; pairs: Wang et al. 2012, "AdaptJoin"). Sets
    come in order of size, so that those looked up are never larger, and the shorter prefix with 2t / (1 + t) holds
    what must be stored of them (Xiao et al. 2008, "PPJoin"). Every word stands for one of SKETCH bits; two sets whose bits
    differ in more places than their words may are not looked at any further.

    >>> clusters = near_duplicates(["Where is order 11?", "where is order 98", "My toaster is broken"])
    >>> [clusters[i] for i in range(3)]
    [0, 0, 2]
    """
    sets = [words(text) for text in texts]
    frequency = Counter(word for one in sets for word in one)
    rank = {word: i for i, word in enumerate(sorted(frequency, key=lambda word: (frequency[word], word)))}
    bit = {word: 1 << i % SKETCH for word, i in rank.items()}
    sketches = [0] * len(texts)
    clusters = Links(len(texts))
    first_with: dict[frozenset, int] = {}
    index: dict[tuple[int, ...], list[int]] = defaultdict(list)  # the ranks of one or two words → rows
    for i in sorted(range(len(texts)), key=lambda i: len(sets[i])):
        mine = sets[i]
        if mine in first_with:  # the same word set: no need to look further
            clusters.join(i, first_with[mine])
            continue
        first_with[mine] = i
        size, rarest = len(mine), sorted([rank[word] for word in mine])
        least = math.ceil(threshold * size - 1e-9)
        at_once = 2 if least >= 2 and size <= PAIRS_UP_TO else 1
        found: set[int] = set()
        for key in combinations(rarest[: size - least + at_once], at_once):
            if key in index:
                found.update(index[key])
        for word in mine:
            sketches[i] |= bit[word]
        sketch, differing = sketches[i], int((1 - threshold) / (1 + threshold) * 2 * size + 1e-9)  # the other is no larger
        for j in [j for j in found if (sketches[j] ^ sketch).bit_count() <= differing]:
            other = sets[j]
            if len(other) >= least:
                shared = len(mine & other)
                if shared >= threshold * (size + len(other) - shared) - 1e-9:
                    clusters.join(i, j)

        least_kept = math.ceil(2 * threshold / (1 + threshold) * size - 1e-9)
        if 2 <= size <= PAIRS_UP_TO:
            for key in combinations(rarest[: size - max(least_kept, 2) + 2], 2):
                index[key].append(i)
        if least < 2 or size >= threshold * PAIRS_UP_TO:  # a set that looks up single words may be near this one
            for word in rarest[: size - least_kept + 1]:
                index[(word,)].append(i)
    return clusters


def assign(
    texts: Sequence[str],
    sizes: Sequence[float],
    seed: int,
    labels: Sequence[Hashable] | None = None,
    groups: Sequence[Hashable] | None = None,
) -> list[list[int]]:
    """Row numbers for each part, in file order, parts as near to ``sizes`` as whole clusters allow.

    Rows that share a group (None: no group), or are near-duplicates, land in one part. Clusters are dealt from the
    largest to the smallest, equal ones in an order shuffled by ``seed``; each goes to the part that lacks most,
    relative to what it should get, of the cluster's labels.

    >>> assign(["a", "b", "c", "d", "e"], sizes=(0.6, 0.2, 0.2), seed=0)
    [[2, 3, 4], [1], [0]]
    """
    clusters = near_duplicates(texts)
    first_of: dict[Hashable, int] = {}
    for i, group in enumerate(groups or ()):
        if group is not None:
            clusters.join(i, first_of.setdefault(group, i))
    members: dict[int, list[int]] = defaultdict(list)
    for i in range(len(texts)):
        members[clusters[i]].append(i)
    deals = list(members.values())
    random.Random(seed).shuffle(deals)
    deals.sort(key=len, reverse=True)  # stable: equal lengths keep their shuffled order

    labels = labels or [None] * len(texts)
    wanted = [{label: size * count for label, count in Counter(labels).items()} for size in sizes]
    dealt = [Counter() for _ in sizes]
    parts: list[list[int]] = [[] for _ in sizes]
    for rows in deals:
        inside = Counter(labels[i] for i in rows)

        def lack(part: int) -> float:
            return sum(n * (1 - dealt[part][label] / wanted[part][label]) for label, n in inside.items())

        best = max((part for part, size in enumerate(sizes) if size > 0), key=lack)
        parts[best] += rows
        dealt[best].update(inside)
    return [sorted(part) for part in parts]
