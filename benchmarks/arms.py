"""What the LoRA benchmarks share: the rows, the arms, and the child process in which an arm runs at its parent's pace."""

import json
import os
import platform
import random
import subprocess
import sys
import time
from collections import deque
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

PAD = 1


def rows(vocabulary: int, count: int, median: int, high: int) -> list[dict]:
    """Encoded rows of random tokens: lengths lognormal (σ 0.75, clipped), the share that carries loss U(0.3, 0.7)."""
    draw, made = random.Random(0), []
    for _ in range(count):
        length = min(high, max(24, round(median * draw.lognormvariate(0, 0.75))))
        ids = [draw.randrange(3, vocabulary) for _ in range(length)]
        prompt = round(length * (1 - draw.uniform(0.3, 0.7)))
        made.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})
    return made


def tokenizer():
    """The embedded model's: every arm gets one, for its pad token."""
    from transformers import AutoTokenizer

    from ftkit.local.model import resolve

    return AutoTokenizer.from_pretrained(resolve(None))


def lora(dropout: float):
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=dropout, target_modules="all-linear")


def quiet() -> dict:
    """Trainer settings that only keep it from drawing and writing."""
    import torch

    return dict(report_to=[], disable_tqdm=True, logging_steps=1, save_strategy="no", use_cpu=not torch.cuda.is_available())


def novice(model, data, folder: Path, dropout: float = 0.05, **settings):
    """Trainer + PEFT as tutorials have it: batches padded to their longest row, everything else left alone."""
    from peft import get_peft_model
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    model = get_peft_model(model, lora(dropout))
    data = [row | {"attention_mask": [1] * len(row["input_ids"])} for row in data]
    made = TrainingArguments(str(folder), **quiet() | settings)
    return Trainer(model, made, train_dataset=data, data_collator=DataCollatorForSeq2Seq(tokenizer()))


def trl(model, data, folder: Path, peft=True, **settings):
    """TRL's SFTTrainer with a LoRA without dropout, loss on the completions."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    given = [{"input_ids": row["input_ids"], "completion_mask": [int(one != -100) for one in row["labels"]]} for row in data]
    made = SFTConfig(str(folder), **dict(completion_only_loss=True) | quiet() | settings)
    peft_config = lora(0.0) if peft else None
    return SFTTrainer(model, made, train_dataset=Dataset.from_list(given), processing_class=tokenizer(), peft_config=peft_config)


def ftkit(model, data, folder: Path, batch_size: int, compiled: bool = False):
    """The kit's own engine, through the functions that a recipe's train() calls."""
    from ftkit import LoRA, Run
    from ftkit.local.engine import prepare, trainer_for

    recipe = LoRA(batch_size=batch_size, seed=42, learning_rate=5e-5, max_length=4096, checkpoint_every=10**6)
    model, collate = prepare(recipe, model, PAD)
    if compiled:
        for layer in model.get_base_model().model.layers:
            layer.compile(dynamic=True)
    return trainer_for(recipe, model, tokenizer(), collate, data, [], Run(folder, recipe, []))


def work(build, threads: int | None = None) -> None:
    """In a child: trains as many steps as the number on each line that comes in, and answers with what they took.

    ``build(folder)`` gives the arm's Trainer.
    """
    out = sys.stdout
    with redirect_stdout(sys.stderr), TemporaryDirectory() as folder:
        import torch
        from transformers import TrainerCallback

        if threads:
            torch.set_num_threads(threads)
        made = build(Path(folder) / "run")
        collate, batches, cuda = made.data_collator, deque(), torch.cuda.is_available()
        micro = made.args.gradient_accumulation_steps

        def counted(batch):
            """The batch; its useful and all tokens are queued, for the loader fetches a batch ahead."""
            found = collate(batch)
            mask = found["attention_mask"] if "attention_mask" in found else found["input_ids"] != PAD
            batches.append((int(mask.sum()), mask.numel()))
            return found

        def now() -> tuple[float, float]:
            if cuda:
                torch.cuda.synchronize()
            return time.process_time(), time.perf_counter()

        class Pace(TrainerCallback):
            left, first = 0, None

            def on_step_begin(self, args, state, control, **kwargs):
                if self.left == 0:
                    self.left, self.useful, self.total = int(sys.stdin.readline() or 0), 0, 0
                    if self.left == 0:
                        raise KeyboardInterrupt  # the parent has seen enough
                    self.start = now()

            def on_step_end(self, args, state, control, **kwargs):
                for useful, total in (batches.popleft() for _ in range(min(micro, len(batches)))):
                    self.useful, self.total = self.useful + useful, self.total + total
                self.left -= 1
                self.end = now()

            def on_log(self, args, state, control, logs=None, **kwargs):
                self.first = logs.get("loss") if self.first is None else self.first
                if self.left == 0:
                    cpu, wall = (end - start for start, end in zip(self.start, self.end))
                    found = {"useful": self.useful, "all": self.total, "cpu_seconds": cpu, "wall_seconds": wall}
                    found |= {"loss": self.first, "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if cuda else None}
                    print(json.dumps(found), file=out, flush=True)

        made.data_collator = counted
        made.add_callback(Pace())
        try:
            made.train()
        except KeyboardInterrupt:
            pass


class Child:
    """A process of its own in which one arm trains when told to."""

    def __init__(self, command: list[str], threads: int | None = None, loud: bool = False):
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"OMP_NUM_THREADS": str(threads)} if threads else {}
        self.process = subprocess.Popen(
            [sys.executable, *command], env=environment, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None if loud else subprocess.PIPE,
        )  # fmt: skip

    def run(self, steps: int) -> dict | None:
        """What ``steps`` steps took; None: the child has died."""
        try:
            print(steps, file=self.process.stdin, flush=True)
        except OSError:
            return None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def close(self) -> str:
        """Why it died, if it did: "not installed", or the last line it said."""
        _, said = self.process.communicate()
        if self.process.returncode < 0:
            return f"killed by signal {-self.process.returncode}"  # 9: most often out of memory
        last = (said or "").strip().splitlines()[-1:] or [""]
        missing = "ModuleNotFoundError" in (said or "") or "ImportError" in (said or "")
        return "not installed" if missing else f"failed: {last[0][:100]}"


def machine() -> dict:
    """What it runs on, in plain words, and the versions."""
    import torch

    versions = {}
    for package in ("torch", "transformers", "peft", "accelerate", "trl", "bitsandbytes", "liger-kernel", "unsloth", "flash-attn"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": f"{os.cpu_count()} cores, {names[0] if names else platform.processor() or platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **versions,
    }


def command(script: str) -> str:
    """What was typed, but for where the results went."""
    words = sys.argv[1:]
    if "--results" in words:
        del words[words.index("--results") : words.index("--results") + 2]
    return " ".join(["python", f"benchmarks/{script}", *words])


def about(found: dict) -> str:
    """The machine and the versions as one paragraph."""
    names = [f"{key} {value}" for key, value in found.items() if value and key not in ("cpu", "gpu")]
    return f"{found['gpu'] + '; ' if found['gpu'] else ''}{found['cpu']}. " + ", ".join(names) + "."
