"""LoRA on a CPU, side by side: useful tokens per CPU-second of Trainer + PEFT as a novice writes it, of TRL and of ftkit.

    python benchmarks/lora_cpu.py [--models phi gemma] [--arms novice trl-packing ftkit] [--rounds 5] [--results FOLDER] [--quick]

Each arm is a process of its own that trains the same random model on the same rows; the arms take turns, a few steps each,
so that a busy machine is busy for all of them. Counted is CPU time, of one thread unless --threads says more; useful
tokens are those that are not padding. Weights are random: speed does not depend on them. The shapes are Phi's and Gemma's,
made small; the vocabulary is to the width what it is in Phi-2 (20) and in Gemma 2B (125). Lengths are lognormal (median 120,
σ 0.75, clipped to 24–512), the share of a row that carries loss is U(0.3, 0.7). r = 16, alpha = 32, every linear layer.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections import deque
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from ftkit.files import write_atomic

ARMS = ("novice", "trl-padded", "trl-padding-free", "trl-packing", "trl-packing-wrapped", "ftkit")
MODELS = ("phi", "gemma")
ROWS = 1024
LOW, HIGH = 24, 512
PAD = 1
QUICK = dict(hidden_size=64, num_hidden_layers=2, intermediate_size=128, vocab_size=1024)
"""What --quick puts in place of a shape."""


def config(name: str, quick: bool):
    """A decoder of 14 million parameters in Phi's shape, of 21 million in Gemma's."""
    from transformers import GemmaConfig, PhiConfig

    if name == "phi":
        shape = dict(hidden_size=384, num_hidden_layers=8, intermediate_size=1536, vocab_size=8192)
        shape |= dict(num_attention_heads=6, num_key_value_heads=6, resid_pdrop=0.0)
        make = PhiConfig
    else:
        shape = dict(hidden_size=256, num_hidden_layers=12, intermediate_size=2048, vocab_size=32000)
        shape |= dict(num_attention_heads=4, num_key_value_heads=1, head_dim=64)
        make = GemmaConfig
    shape |= (QUICK | {"num_attention_heads": 2, "num_key_value_heads": 2 if name == "phi" else 1}) if quick else {}
    return make(**shape, max_position_embeddings=HIGH, bos_token_id=0, eos_token_id=2, pad_token_id=PAD)


def shape(name: str, quick: bool) -> str:
    one = config(name, quick)
    return f"{one.num_hidden_layers} layers × {one.hidden_size}, MLP {one.intermediate_size}, vocabulary {one.vocab_size:,}"


def rows(vocabulary: int, count: int) -> list[dict]:
    """Encoded rows of random tokens."""
    draw, made = random.Random(0), []
    for _ in range(count):
        length = min(HIGH, max(LOW, round(120 * draw.lognormvariate(0, 0.75))))
        ids = [draw.randrange(3, vocabulary) for _ in range(length)]
        prompt = round(length * (1 - draw.uniform(0.3, 0.7)))
        made.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})
    return made


def build(name: str, quick: bool):
    """(model, tokenizer, rows): what every arm starts from."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ftkit.local.model import resolve

    torch.manual_seed(0)
    shape = config(name, quick)
    return AutoModelForCausalLM.from_config(shape), AutoTokenizer.from_pretrained(resolve(None)), rows(shape.vocab_size, 64 if quick else ROWS)


def lora(dropout: float):
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=dropout, target_modules="all-linear")


def novice(model, tokenizer, data, folder: Path):
    """As tutorials have it: dropout 0.05, batches padded to their longest row, everything else left alone."""
    from peft import get_peft_model
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    settings = TrainingArguments(str(folder), report_to=[], disable_tqdm=True, logging_steps=1, use_cpu=True, save_strategy="no")
    model = get_peft_model(model, lora(0.05))
    data = [row | {"attention_mask": [1] * len(row["input_ids"])} for row in data]
    return Trainer(model, settings, train_dataset=data, data_collator=DataCollatorForSeq2Seq(tokenizer))


def trl(model, tokenizer, data, folder: Path, **settings):
    """TRL's SFTTrainer in fp32 without dropout and without the gradient checkpointing that it turns on by itself."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    given = [{"input_ids": row["input_ids"], "completion_mask": [int(one != -100) for one in row["labels"]]} for row in data]
    settings = dict(bf16=False, gradient_checkpointing=False, max_length=HIGH, completion_only_loss=True) | settings
    settings |= dict(report_to=[], disable_tqdm=True, logging_steps=1, use_cpu=True, save_strategy="no")
    made = SFTConfig(str(folder), **settings)
    return SFTTrainer(model, made, train_dataset=Dataset.from_list(given), processing_class=tokenizer, peft_config=lora(0.0))


def ftkit(model, tokenizer, data, folder: Path):
    from ftkit import LoRA, Run
    from ftkit.local.engine import prepare, trainer_for

    recipe = LoRA(batch_size=8, seed=42, learning_rate=5e-5, max_length=HIGH, checkpoint_every=10**6)
    model, collate = prepare(recipe, model, tokenizer.pad_token_id)
    return trainer_for(recipe, model, tokenizer, collate, data, [], Run(folder, recipe, []))


def trainer(arm: str, name: str, quick: bool, folder: Path):
    given = (*build(name, quick), folder)
    match arm:
        case "novice":
            return novice(*given)
        case "ftkit":
            return ftkit(*given)
        case "trl-padded":
            return trl(*given)
        case "trl-padding-free":  # batches of 8 rows, flattened
            return trl(*given, padding_free=True, max_length=None)
        case "trl-packing":  # best-fit, documents apart; 2 rows of 512 hold about as many tokens as 8 rows elsewhere
            return trl(*given, packing=True, per_device_train_batch_size=2)
        case "trl-packing-wrapped":  # cut at 512, documents mixed: not the same training, the most that TRL can do
            return trl(*given, packing=True, packing_strategy="wrapped", per_device_train_batch_size=2)


def work(arm: str, name: str, quick: bool, threads: int) -> None:
    """A child: trains as many steps as the number on each line that comes in, and answers with what they took."""
    out = sys.stdout
    with redirect_stdout(sys.stderr), TemporaryDirectory() as folder:
        import torch
        from transformers import TrainerCallback

        torch.set_num_threads(threads)
        made = trainer(arm, name, quick, Path(folder) / "run")
        collate, batches = made.data_collator, deque()

        def counted(batch):
            """The batch; its useful and all tokens are queued, for the loader fetches a batch ahead."""
            found = collate(batch)
            mask = found["attention_mask"] if "attention_mask" in found else found["input_ids"] != PAD
            batches.append((int(mask.sum()), mask.numel()))
            return found

        class Pace(TrainerCallback):
            left, useful, total, losses = 0, 0, 0, []

            def on_step_begin(self, args, state, control, **kwargs):
                if self.left == 0:
                    self.left, self.useful, self.total = int(sys.stdin.readline() or 0), 0, 0
                    if self.left == 0:
                        raise KeyboardInterrupt  # the parent has seen enough
                    self.start = time.process_time()

            def on_step_end(self, args, state, control, **kwargs):
                useful, total = batches.popleft()
                self.left, self.useful, self.total = self.left - 1, self.useful + useful, self.total + total
                self.seconds = time.process_time() - self.start

            def on_log(self, args, state, control, logs=None, **kwargs):
                self.losses.append(logs.get("loss"))
                if self.left == 0:
                    found = {"useful": self.useful, "all": self.total, "seconds": self.seconds, "loss": self.losses[0]}
                    print(json.dumps(found), file=out, flush=True)

        made.data_collator = counted
        made.add_callback(Pace())
        try:
            made.train()
        except KeyboardInterrupt:
            pass


class Arm:
    """A child process and what it has measured."""

    def __init__(self, arm: str, name: str, options):
        self.name, self.rounds = arm, []
        command = [sys.executable, __file__, "--child", arm, "--models", name, "--threads", str(options.threads)]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            command + ["--quick"] * options.quick, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None if options.loud else subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, steps: int) -> dict | None:
        """What ``steps`` steps took; None: the child has died."""
        try:
            print(steps, file=self.process.stdin, flush=True)
        except OSError:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self.process.communicate()


def measure(name: str, options) -> dict:
    """By arm: useful tokens per CPU-second (median of the rounds), useful share, ratio to the first arm (median), loss."""
    arms = [Arm(arm, name, options) for arm in options.arms]
    alive = [arm for arm in arms if arm.run(options.warmup)]
    for _ in range(options.rounds):
        for arm in list(alive):
            found = arm.run(options.steps)
            arm.rounds.append(found) if found else alive.remove(arm)
    for arm in arms:
        arm.close()
    table = {}
    for arm in arms:
        if len(arm.rounds) < options.rounds:
            table[arm.name] = {"failed": "not installed or did not run; --loud shows why"}
            continue
        speeds = [one["useful"] / one["seconds"] for one in arm.rounds]
        ratios = [mine / (one["useful"] / one["seconds"]) for mine, one in zip(speeds, arms[0].rounds)]
        table[arm.name] = {
            "tokens_per_cpu_second": round(statistics.median(speeds), 1),
            "useful_share": round(sum(one["useful"] for one in arm.rounds) / sum(one["all"] for one in arm.rounds), 3),
            "ratio": round(statistics.median(ratios), 2),
            "ratios": [round(min(ratios), 2), round(max(ratios), 2)],
            "first_loss": arm.rounds[0]["loss"],
        }
    return table


def machine(threads: int) -> dict:
    """What it ran on, in plain words."""
    import torch

    versions = {}
    for package in ("torch", "transformers", "peft", "trl", "accelerate"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "python": platform.python_version(),
        **versions,
    }


def page(found: dict) -> str:
    """The table in Markdown."""
    about = found["machine"]
    lines = [
        "# LoRA on a CPU, side by side",
        "",
        f"{about['cores']} cores, {about['cpu']}, {about['instructions']}; {about['threads']} thread(s) a process. "
        + ", ".join(f"{key} {about[key]}" for key in ("python", "torch", "transformers", "peft", "trl", "accelerate"))
        + ".",
        f"Made by `{found['command']}`. fp32. {found['rounds']} rounds of {found['steps']} steps for each arm in turn; medians.",
    ]
    for name, arms in found["models"].items():
        lines += ["", f"## {name}: {found['shapes'][name]}", ""]
        lines += ["| arm | useful tokens per CPU-second | useful share | of the novice's | least, most | first loss |"]
        lines += ["|---|---:|---:|---:|---:|---:|"]
        for arm, row in arms.items():
            if "failed" in row:
                lines.append(f"| {arm} | {row['failed']} | | | | |")
                continue
            low, high = row["ratios"]
            lines.append(
                f"| {arm} | {row['tokens_per_cpu_second']:,.0f} | {row['useful_share']:.0%} | {row['ratio']:.2f}x "
                f"| {low:.2f}, {high:.2f} | {row['first_loss']:.4f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS, help="the first is what the others are compared with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="in a round")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="tiny shapes, one round: shows that it runs, measures nothing")
    parser.add_argument("--loud", action="store_true", help="let the arms say what they say")
    parser.add_argument("--results", type=Path, help="a folder for lora_cpu.md and lora_cpu.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps = 1, 1
    if options.child:
        return work(options.child, options.models[0], options.quick, options.threads)
    found = {
        "machine": machine(options.threads),
        "command": " ".join(["python benchmarks/lora_cpu.py", *sys.argv[1:]]),
        "rounds": options.rounds,
        "steps": options.steps,
        "shapes": {name: shape(name, options.quick) for name in options.models},
        "models": {name: measure(name, options) for name in options.models},
    }
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        write_atomic(options.results / "lora_cpu.json", json.dumps(found, indent=1) + "\n")
        write_atomic(options.results / "lora_cpu.md", page(found))
    print(page(found))


if __name__ == "__main__":
    main()
