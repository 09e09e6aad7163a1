"""Why cosine loss on random pairs makes search worse: ``python benchmarks/embed_why.py FOLDER`` after embed_tasks.py.

For each model that embed_tasks.py left in FOLDER: the mean cosine of a question with its right answer, with an answer drawn
at random, and with the nearest wrong one. Search is decided by the first and the last; random pairs only show the second.
"""

import sys
from pathlib import Path

import numpy as np
from embed_tasks import tasks

import ftkit as ft
from ftkit.embed.model import load_folder


def main() -> None:
    task = tasks()["faq"]
    documents = list(task.corpus)
    right = np.array([documents.index(next(iter(task.qrels[query]))) for query in task.queries])
    rows = np.arange(len(right))
    print("| trained on | right answer | random wrong answer | nearest wrong answer | right − nearest wrong |\n|---|---|---|---|---|")
    for arm in ("base", "faq-mnrl#0", "faq-cosine#0", "faq-cosent#0"):
        model = ft.Embed().base_model() if arm == "base" else load_folder(Path(sys.argv[1]) / arm / "model")
        scores = model.encode(list(task.queries.values())) @ model.encode(list(task.corpus.values())).T  # (queries, documents)
        own = scores[rows, right]
        wrong = scores.copy()
        wrong[rows, right] = np.nan
        drawn, nearest = np.nanmean(wrong), np.nanmax(wrong, axis=1).mean()
        print(f"| {arm} | {own.mean():.3f} | {drawn:.3f} | {nearest:.3f} | {own.mean() - nearest:+.3f} |", flush=True)


if __name__ == "__main__":
    main()
