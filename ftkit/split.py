"""Which row goes to train, validation or test: seeded, stratified, grouped, near-duplicates kept together.

Works on plain lists and returns row numbers; `ftkit.data.Dataset.split` is the face learners use.
"""

import math
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

NEAR = 0.8
"""Two texts are near-duplicates when the Jaccard similarity of their word sets reaches this."""


def words(text: str) -> frozenset[str]:
    """The set of words that near-duplicates are judged by: NFC, case folded, every digit written 0.

    >>> sorted(words("Order #74937, please!"))
    ['00000', 'order', 'please']
    """
    text = unicodedata.normalize("NFC", text).casefold()
    return frozenset(re.sub(r"\d", "0", word) for word in re.findall(r"\w+", text))


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

    Exact (no hashing): two sets with Jaccard ≥ t must share one of their rarest |x| − ⌈t·|x|⌉ + 1 words, so only
    those are indexed (prefix filtering: Bayardo et al. 2007, "Scaling up all pairs similarity search").

    >>> clusters = near_duplicates(["Where is order 11?", "where is order 98", "My toaster is broken"])
    >>> [clusters[i] for i in range(3)]
    [0, 0, 2]
    """
    sets = [words(text) for text in texts]
    frequency = Counter(word for one in sets for word in one)
    clusters = Links(len(texts))
    first_with: dict[frozenset, int] = {}
    index: dict[str, list[int]] = defaultdict(list)
    for i, mine in enumerate(sets):
        if mine in first_with:  # the same word set: no need to look further
            clusters.join(i, first_with[mine])
            continue
        first_with[mine] = i
        prefix = sorted(mine, key=lambda word: (frequency[word], word))
        prefix = prefix[: len(mine) - math.ceil(threshold * len(mine) - 1e-9) + 1]
        for j in {j for word in prefix for j in index[word]}:
            shared = len(mine & sets[j])
            if shared >= threshold * (len(mine) + len(sets[j]) - shared) - 1e-9:
                clusters.join(i, j)
        for word in prefix:
            index[word].append(i)
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
