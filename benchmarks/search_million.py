"""Exact search among a million vectors: ``python benchmarks/search_million.py [--rows 1000000] [--queries 100]``.

The vectors are random, of length 1, float32 (rows, 384): 1.5 GB at a million. Prints CPU seconds, the memory that searching
took on top of the vectors, and whether the answers are those of one plain product and sort, checked on ten queries.
"""

import argparse
import resource
import time

import numpy as np

from ftkit.embed.model import nearest


def peak() -> float:
    """GiB this process has held at most so far (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    given = parser.parse_args()
    draw = np.random.default_rng(0)
    corpus = np.empty((given.rows, 384), dtype=np.float32)
    for start in range(0, given.rows, 10_000):
        some = draw.standard_normal((min(10_000, given.rows - start), 384), dtype=np.float32)
        corpus[start : start + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
    queries = corpus[:: given.rows // given.queries][: given.queries] + draw.normal(0, 0.05, (given.queries, 384)).astype("f4")
    before = peak()
    began = time.process_time()
    found = nearest(queries, corpus, 10)
    seconds = time.process_time() - began
    print(f"{given.queries} queries, {given.rows:,} rows: {seconds:.1f} CPU s, {peak() - before:.2f} GiB beyond the vectors")
    plain = [np.argsort(-(corpus @ query), kind="stable")[:10].tolist() for query in queries[:10]]
    equal = [[i for i, _ in row] == right for row, right in zip(found, plain)]
    print(f"{sum(equal)} of {len(equal)} checked answers equal those of a plain product and sort")


if __name__ == "__main__":
    main()
