"""Training and encoding on a CPU, beside plain sentence-transformers as its documentation writes them.

    python benchmarks/embed_cpu.py FOLDER [--steps 6] [--rows 1280] [--whole]

Same model, rows, batch size, learning rate, schedule and number of steps. The two ways take turns in one process on one
thread, a step or a round each, so that what else the machine does hits both; figures are CPU seconds. ``--whole`` also
trains both ways to the end and scores them on the test rows: NDCG@10 after the same steps, and after the same time. Results go to
FOLDER/embed_cpu.json and are printed.
"""

import argparse
import json
import os
import time
from itertools import cycle
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import ftkit as ft
from ftkit.files import write_atomic

RECIPE = ft.Embed()


def split_of(name: str, rows: int) -> ft.Split:
    data = ft.library_docs() if name == "library_docs" else ft.read_pairs(ft.dataset(name))
    split = data.split(seed=0)
    return ft.Split(split.train.sample(rows), split.val[:0], split.test)


def plain(split: ft.Split, folder: Path):
    """A trainer as the training overview of sentence-transformers has it, with its sampler without duplicates."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    model = RECIPE.base_model().transformer
    texts = {"anchor": [p.anchor for p in split.train], "positive": [p.positive for p in split.train]}
    args = SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=RECIPE.batch_size,
        learning_rate=RECIPE.learning_rate,
        warmup_steps=round(RECIPE.warmup * -(-len(split.train) // RECIPE.batch_size)),
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    loss = MultipleNegativesRankingLoss(model)
    return SentenceTransformerTrainer(model=model, args=args, train_dataset=Dataset.from_dict(texts), loss=loss)


def ours(split: ft.Split, folder: Path):
    """The trainer that ``Embed().train`` makes."""
    from ftkit.embed import engine

    model = RECIPE.base_model().transformer
    return engine._Trainer(
        RECIPE,
        ft.Run(folder, RECIPE, []),
        model=model,
        args=engine.arguments(RECIPE, folder, len(split.train)),
        train_dataset=engine.columns(split.train),
        loss=engine.LOSSES[RECIPE.loss](model),
        data_collator=engine.Collator(model),
    )


def step(trainer, batches) -> float:
    """CPU seconds of one whole step: fetching and tokenising the batch, both ways through the model, the optimiser."""
    import torch

    began = time.process_time()
    trainer.training_step(trainer.model.train(), next(batches))
    torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    return time.process_time() - began


def steps(data: str, rows: int, count: int, folder: Path) -> dict:
    split = split_of(data, rows)
    seconds = {"plain": [], "ours": []}
    trainers = {"plain": plain(split, folder), "ours": ours(split, folder)}
    batches = {}
    for way, trainer in trainers.items():
        trainer.create_optimizer_and_scheduler(count)
        trainer.current_gradient_accumulation_steps = 1
        batches[way] = iter(cycle(trainer.get_train_dataloader()))
    for _ in range(count):
        for way in seconds:
            seconds[way].append(step(trainers[way], batches[way]))
    rates = {way: RECIPE.batch_size * count / sum(spent) for way, spent in seconds.items()}
    return {"pairs per CPU s": rates, "ratio": rates["ours"] / rates["plain"], "seconds": seconds}


def encoding(data: str, rounds: int) -> dict:
    """Every distinct text of 600 pairs; the library with its default batch of 32 and with ours of old, 64."""
    pairs = ft.library_docs() if data == "library_docs" else ft.read_pairs(ft.dataset(data))
    texts = list(dict.fromkeys(text for pair in pairs.sample(600) for text in (pair.anchor, pair.positive)))
    model = RECIPE.base_model()
    library = model.transformer.encode
    ways = {
        "ours": lambda: model.encode(texts),
        "model.encode, 32": lambda: library(texts, normalize_embeddings=True),
        "model.encode, 64": lambda: library(texts, normalize_embeddings=True, batch_size=64),
    }
    seconds = {way: [] for way in ways}
    vectors = {}
    for _ in range(rounds):
        for way, encode in ways.items():
            began = time.process_time()
            vectors[way] = encode()
            seconds[way].append(time.process_time() - began)
    furthest = float(abs(vectors["ours"] - vectors["model.encode, 32"]).max())
    best = {way: len(texts) / min(spent) for way, spent in seconds.items()}
    return {"texts per CPU s": best, "ratio": best["ours"] / best["model.encode, 32"], "furthest": furthest}


def whole(data: str, rows: int, folder: Path) -> dict:
    """Both ways trained for an epoch and scored on the test rows; then ours for as many steps as fit in the time of the other."""
    from ftkit.embed.model import EmbedModel

    split, found = split_of(data, rows), {}

    def train(way: str, make, max_steps: int = -1) -> None:
        where = folder / way.replace(" ", "-")
        where.mkdir(parents=True, exist_ok=True)
        trainer = make(split, where)
        trainer.args.max_steps = max_steps
        began = time.process_time()
        trainer.train()
        spent = time.process_time() - began
        score = ft.evaluate(EmbedModel(trainer.model, way), split.test).scores["ndcg@10"]
        found[way] = {"CPU s": spent, "steps": trainer.state.global_step, "ndcg@10": [score.value, score.low, score.high]}

    train("plain", plain)
    train("ours", ours)
    train("ours, as long", ours, round(found["ours"]["steps"] * found["plain"]["CPU s"] / found["ours"]["CPU s"]))
    return found


def main() -> None:
    import torch

    import ftkit.embed.model  # what is imported once is no part of training

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rows", type=int, default=1280, help="rows trained on, at most")
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for data in ("faq", "library_docs"):
        for name, measure in {
            "train": lambda: steps(data, given.rows, given.steps, given.folder / data),
            "encode": lambda: encoding(data, 3),
            **({"whole": lambda: whole(data, given.rows, given.folder / f"{data}-whole")} if given.whole else {}),
        }.items():
            results[f"{data}/{name}"] = measure()
            write_atomic(given.folder / "embed_cpu.json", json.dumps(results, indent=1) + "\n")
            shown = {key: value for key, value in results[f"{data}/{name}"].items() if key != "seconds"}
            print(f"{data}, {name}: {json.dumps(shown)}", flush=True)


if __name__ == "__main__":
    main()
