"""What fine-tuning an embedding model gives, and what it costs elsewhere: losses, controls, languages, lengths.

    python benchmarks/embed_tasks.py FOLDER [--seeds 3] [--only faq/mnrl …]

Splits are by topic (FAQ) and by module or class (library_docs): no question of a test topic is trained on, and its answer
is only ever a distractor. FAQ questions are looked up among all 102 answers of a language, also those of the training
topics. Arms are measured one after the other and kept in FOLDER/embed_tasks.json, so a stopped benchmark goes on where it
was. Intervals are 95 % over the queries of the first seed; the figures of the other seeds stand beside them. A seed fixes
the order of the rows, dropout and the drawing of random pairs; the split is the same for all.
"""

import argparse
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import ftkit as ft
from ftkit.files import write_atomic
from ftkit.pairs import search_task, shuffled, with_random_wrong

DOCS_ROWS, DOCS_QUERIES = 640, 300
LENGTHS = (384, 256, 128, 64, 32, 16)


@cache
def docs() -> ft.Split:
    return ft.library_docs().split(seed=0)


@cache
def faq(language: str) -> ft.Split:
    name = "faq" if language == "en" else "faq_vi"
    return ft.read_pairs(ft.dataset(name)).split(seed=0, sizes=(0.6, 0.0, 0.4), groups=lambda row: row.group)


def tasks() -> dict[str, ft.SearchSet | ft.Dataset]:
    en, vi = (ft.read_pairs(ft.dataset(name)) for name in ("faq", "faq_vi"))
    test = {pair.group for pair in faq("en").test}
    asked_en, asked_vi = ([pair for pair in rows if pair.group in test] for rows in (en, vi))
    return {
        "faq": search_task(asked_en, en),
        "docs": docs().test.sample(DOCS_QUERIES),
        "vi-vi": search_task(asked_vi, vi),
        "vi-en": search_task(asked_vi, en),
    }


def crossed(vi: ft.Dataset, en: ft.Dataset) -> ft.Dataset:
    """Vietnamese questions with the English answers of their topics."""
    answers = {pair.group: pair.positive for pair in en}
    return ft.Dataset(tuple(ft.Pair(p.anchor, answers[p.group], p.group) for p in vi if p.group in answers), "faq_vi → faq")


def training(arm: str, seed: int) -> tuple[ft.Embed, ft.Dataset]:
    data, _, way = arm.partition("/")
    en = faq("en").train
    topics = {pair.group for pair in en}
    vi = ft.Dataset(tuple(p for p in ft.read_pairs(ft.dataset("faq_vi")) if p.group in topics), "faq_vi")
    rows = {"faq": en, "vi": vi, "cross": crossed(vi, en), "docs": docs().train.sample(DOCS_ROWS)}[data]
    recipe = ft.Embed(seed=seed)
    if way == "mnrl-3":
        return replace(recipe, epochs=3), rows
    if way == "shuffled":
        return recipe, shuffled(rows, seed)
    if way in ("cosine", "cosent"):
        return replace(recipe, loss=way), with_random_wrong(rows, seed)
    if way == "hard":
        return replace(recipe, negatives=1, batch_size=32), rows
    if way == "lora":
        return replace(recipe, r=16, learning_rate=1e-3), rows
    if way == "matryoshka":
        return replace(recipe, matryoshka=LENGTHS[:4]), rows
    return recipe, rows


def score(model, wanted: dict) -> dict:
    found = {}
    for name, task in wanted.items():
        report = ft.evaluate(model, task, ("hit@1", "hit@10", "mrr@10", "ndcg@10"))
        found[name] = {metric: [one.value, one.low, one.high] for metric, one in report.scores.items()}
    return found


def tables(results: dict) -> str:
    """Markdown: NDCG@10 of every arm on every task, then the curve over vector lengths."""
    names = list(results["base#0"])[:4]
    lines = ["| trained on | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for arm in ARMS:
        seeds = [results[key] for key in sorted(results) if key.partition("#")[0] == arm]
        if not seeds:
            continue
        cells = []
        for name in names:
            value, low, high = seeds[0][name]["ndcg@10"]
            others = "".join(f", {one[name]['ndcg@10'][0]:.3f}" for one in seeds[1:])
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]{others}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    lines += ["", "| first numbers of the vector | " + " | ".join(map(str, LENGTHS)) + " |", "|---|" + "---|" * len(LENGTHS)]
    for key, found in sorted(results.items()):
        if curve := found.get("lengths"):
            lines.append(f"| {key} | " + " | ".join(f"{curve[str(n)]['ndcg@10'][0]:.3f}" for n in LENGTHS) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=ARMS)
    given = parser.parse_args()
    path = given.folder / "embed_tasks.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    wanted = tasks()
    for seed in range(given.seeds):
        for arm in given.only:
            key = f"{arm}#{seed}"
            if key in results or (arm == "base" and seed):
                continue
            if arm == "base":
                model = ft.Embed().base_model()
            else:
                recipe, rows = training(arm, seed)
                run = recipe.train(ft.Split(rows, rows[:0], rows[:0]), folder=given.folder / key.replace("/", "-"))
                model = run.model
            results[key] = score(model, wanted)
            if arm in ("base", "faq/mnrl", "faq/matryoshka"):
                results[key]["lengths"] = {str(n): score(model.truncate(n), {"faq": wanted["faq"]})["faq"] for n in LENGTHS}
            write_atomic(path, json.dumps(results, indent=1) + "\n")
            shown = "  ".join(f"{task} {results[key][task]['ndcg@10'][0]:.3f}" for task in wanted)
            print(f"{key:24s} NDCG@10  {shown}", flush=True)
    print(tables(results))


ARMS = [
    *("base", "faq/mnrl", "faq/cosine", "faq/shuffled", "vi/mnrl-3", "cross/mnrl-3", "docs/mnrl", "docs/cosine"),
    *("faq/matryoshka", "faq/cosent", "faq/lora", "faq/hard", "faq/mnrl-3", "docs/shuffled", "docs/cosent"),
]

if __name__ == "__main__":
    main()
