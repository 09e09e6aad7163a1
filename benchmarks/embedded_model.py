"""What the embedded model can be taught: prompting, few examples, LoRA and full fine-tuning, side by side.

    python benchmarks/embedded_model.py FOLDER [--base MODEL] [--seeds 3] [--only en/lora voice_en/lora]

Arms are measured one after the other and kept in FOLDER/results.json, so a stopped benchmark goes on where it was. Every
figure is on held-out rows; intervals are 95 % intervals over the rows of the first seed, and the figures of the
other seeds stand beside them. Two controls: the same LoRA on a base with random weights, and for the queue a logistic
regression on TF-IDF of words and letters, which knows no language at all.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

import ftkit as ft
from ftkit.files import write_atomic
from ftkit.metrics.voice import keeps_voice

METRICS = (ft.json_valid, ft.json_field("queue"), ft.json_field("order_id"), ft.json_field("product"), ft.exact_match)
EXAMPLES = 4
ARMS = ("zero-shot", "few-shot", "lora", "full", "random-base", "tf-idf")


def voice(language: str):
    def in_voice(want: str, got: str) -> float:
        return float(keeps_voice(got, language))

    return (in_voice,)


def task(name: str) -> tuple[ft.Split, dict[str, ft.Dataset], tuple]:
    """(split, test sets, metrics) of "en", "vi" (tickets) or "voice_en", "voice_vi"."""
    if name.startswith("voice"):
        split = ft.read_chats(ft.dataset(name)).split(seed=0, sizes=(0.9, 0.1, 0.0))
        return split, {"unseen": ft.read_chats(ft.dataset(f"{name}_unseen"))}, voice(name[-2:])
    split = ft.read_chats(ft.dataset(f"tickets_{name}")).split(seed=0, stratify="queue")
    return split, {"known": split.test.sample(200, seed=0), "unseen": ft.read_chats(ft.dataset(f"tickets_{name}_unseen"))}, METRICS


class TfIdf:
    """A linear classifier of the queue; it fills in nothing else."""

    name = "TF-IDF and logistic regression"

    def __init__(self, rows):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline, make_union

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        self.model = make_pipeline(make_union(words, letters), LogisticRegression(C=10, max_iter=2000))
        self.model.fit([row.text for row in rows], [json.loads(row.answer)["queue"] for row in rows])

    def replies(self, batch, max_tokens):
        return [json.dumps({"queue": queue}) for queue in self.model.predict([prompt[-1]["content"] for prompt in batch])]


def random_base(folder: Path) -> str:
    """The embedded model's shape and tokenizer with random weights."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, set_seed

    from ftkit.local.model import resolve

    set_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(resolve(None))).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve(None)).save_pretrained(folder)
    return str(folder)


def trained(arm: str, name: str, base: str | None, seed: int, folder: Path):
    """(model, seconds of training) of an arm."""
    epochs = 8 if name.startswith("voice") else 1  # 302 rows, and 4,000
    split, _, _ = task(name)
    match arm:
        case "zero-shot":
            return ft.LoRA(base=base).base_model(), 0.0
        case "few-shot":
            return ft.FewShot(ft.LoRA(base=base).base_model(), split.train.sample(EXAMPLES, seed=seed)), 0.0
        case "tf-idf":
            return TfIdf(split.train), 0.0
        case "full":
            recipe = ft.FullFineTune(base=base, epochs=epochs, seed=seed)
        case _:
            recipe = ft.LoRA(base=random_base(folder / "random") if arm == "random-base" else base, epochs=epochs, seed=seed)
    shutil.rmtree(folder / f"{name}-{arm}-{seed}", ignore_errors=True)  # of a benchmark that was stopped in the middle of it
    start = time.perf_counter()
    run = recipe.train(split, folder=folder / f"{name}-{arm}-{seed}")
    return run.model, time.perf_counter() - start


def measure(arm: str, name: str, base: str | None, seed: int, folder: Path) -> dict:
    model, seconds = trained(arm, name, base, seed, folder)
    _, tests, metrics = task(name)
    found: dict = {"train_seconds": round(seconds, 1)}
    for part, rows in tests.items():
        report = ft.evaluate(model, rows, metrics, max_tokens=96)
        found[part] = {metric: [round(s.value, 3), round(s.low, 3), round(s.high, 3)] for metric, s in report.scores.items()}
        found[part]["sample"] = [report.answers[0].prompt, report.answers[0].got]
    return found


def table(results: dict) -> str:
    """Markdown: one line for each arm and test set."""
    lines = []
    for name in dict.fromkeys(key.split("/")[0] for key in results):
        arms = dict.fromkeys(key.split("/")[1] for key in results if key.startswith(f"{name}/"))
        first = next(value for key, value in results.items() if key.startswith(f"{name}/"))
        parts = [part for part in first if part != "train_seconds"]
        metrics = [metric for metric in first[parts[0]] if metric != "sample"]
        lines += ["", f"| {name} | test | seconds | " + " | ".join(metrics) + " |", "|---|---|---|" + "---|" * len(metrics)]
        for arm in arms:
            seeds = [value for key, value in results.items() if key.startswith(f"{name}/{arm}/")]
            for part in parts:
                cells = []
                for metric in metrics:
                    value, low, high = seeds[0][part][metric]
                    others = "".join(f", {seed[part][metric][0]:.2f}" for seed in seeds[1:])
                    cells.append(f"{value:.2f}{others} [{low:.2f}, {high:.2f}]")
                lines.append(f"| {arm} | {part} | {seeds[0]['train_seconds']:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base", help="a model folder or id; the embedded model if left out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="such as en/lora voice_en/zero-shot")
    options = parser.parse_args()
    path = options.folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in ("en", "vi", "voice_en", "voice_vi"):
        for arm in ARMS:
            if f"{name}/{arm}" not in options.only if options.only else arm == "tf-idf" and name.startswith("voice"):
                continue
            for seed in range(options.seeds if arm in ("few-shot", "lora", "full") else 1):
                if f"{name}/{arm}/{seed}" not in results:
                    results[f"{name}/{arm}/{seed}"] = measure(arm, name, options.base, seed, options.folder)
                    write_atomic(path, json.dumps(results, ensure_ascii=False, indent=1) + "\n")
                    print(f"{name}/{arm}/{seed}", results[f"{name}/{arm}/{seed}"], flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
