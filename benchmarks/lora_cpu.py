"""LoRA on a CPU, side by side: useful tokens per CPU-second of Trainer + PEFT as a novice writes it, of TRL and of ftkit.

    python benchmarks/lora_cpu.py [--models phi gemma] [--arms novice trl-packing ftkit] [--rounds 5] [--results FOLDER] [--quick]

Each arm is a process of its own that trains the same random model on the same rows; the arms take turns, a few steps each,
so that a busy machine is busy for all of them. Counted is CPU time, of one thread unless --threads says more; useful
tokens are those that are not padding. Weights are random: speed does not depend on them. The shapes are Phi's and Gemma's,
made small; the vocabulary is to the width what it is in Phi-2 (20) and in Gemma 2B (125). Lengths are lognormal (median 120,
σ 0.75, clipped to 24–512), the share of a row that carries loss is U(0.3, 0.7). r = 16, alpha = 32, every linear layer.

An arm whose name ends in -bf16 trains in that format, ftkit on a base in bf16, the others by autocast; the rest in fp32. It pays
only on processors that multiply bf16.
"""

import argparse
import json
import statistics
from pathlib import Path

import arms

from ftkit.files import write_atomic

ARMS = ("novice", "trl-padded", "trl-padding-free", "trl-packing", "trl-packing-wrapped", "ftkit")
BF16 = tuple(f"{arm}-bf16" for arm in ARMS)
MODELS = ("phi", "gemma")
HIGH = 512
QUICK = dict(hidden_size=64, num_hidden_layers=2, intermediate_size=128, vocab_size=1024, num_attention_heads=2)
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
    shape |= (QUICK | {"num_key_value_heads": 2 if name == "phi" else 1}) if quick else {}
    return make(**shape, max_position_embeddings=HIGH, bos_token_id=0, eos_token_id=2, pad_token_id=arms.PAD)


def shape(name: str, quick: bool) -> str:
    one = config(name, quick)
    return f"{one.num_hidden_layers} layers × {one.hidden_size}, MLP {one.intermediate_size}, vocabulary {one.vocab_size:,}"


def trainer(arm: str, name: str, quick: bool, folder: Path):
    """An arm's Trainer, on the same model and rows as every other's."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    made, bf16 = config(name, quick), arm in BF16
    arm = arm.removesuffix("-bf16")
    dtype = torch.bfloat16 if bf16 and arm == "ftkit" else torch.float32
    model = AutoModelForCausalLM.from_config(made).to(dtype)
    given = (model, arms.rows(made.vocab_size, 64 if quick else 256, 120, HIGH), folder)
    plain = dict(bf16=bf16, gradient_checkpointing=False, max_length=HIGH)  # TRL would turn both on by itself
    match arm:
        case "novice":
            return arms.novice(*given, bf16=bf16)
        case "ftkit":
            return arms.ftkit(*given, batch_size=8)
        case "trl-padded":
            return arms.trl(*given, **plain)
        case "trl-padding-free":  # batches of 8 rows, flattened
            return arms.trl(*given, **plain | {"max_length": None}, padding_free=True)
        case "trl-packing":  # best-fit, documents apart; 2 rows of 512 hold about as many tokens as 8 rows elsewhere
            return arms.trl(*given, **plain, packing=True, per_device_train_batch_size=2)
        case "trl-packing-wrapped":  # cut at 512, documents mixed: not the same training, the most that TRL can do
            return arms.trl(*given, **plain, packing=True, packing_strategy="wrapped", per_device_train_batch_size=2)


def measure(name: str, options) -> dict:
    """By arm: useful tokens per CPU-second (median of the rounds), useful share, ratio to the first arm (median), loss."""
    base = [__file__, "--models", name, "--threads", str(options.threads), *["--quick"] * options.quick, "--child"]
    children = {arm: arms.Child([*base, arm], options.threads, options.loud) for arm in options.arms}
    alive = [arm for arm, child in children.items() if child.run(options.warmup)]
    rounds = {arm: [] for arm in children}
    for _ in range(options.rounds):
        for arm in list(alive):
            found = children[arm].run(options.steps)
            rounds[arm].append(found) if found else alive.remove(arm)
    table = {}
    for arm, child in children.items():
        why = child.close()
        if arm not in alive:
            table[arm] = {"failed": why}
            continue
        speeds, first = ([one["useful"] / one["cpu_seconds"] for one in rounds[which]] for which in (arm, options.arms[0]))
        ratios = [mine / other for mine, other in zip(speeds, first)]
        table[arm] = {
            "tokens_per_cpu_second": round(statistics.median(speeds), 1),
            "useful_share": round(sum(one["useful"] for one in rounds[arm]) / sum(one["all"] for one in rounds[arm]), 3),
            "ratio": round(statistics.median(ratios), 2),
            "ratios": [round(min(ratios), 2), round(max(ratios), 2)],
            "first_loss": rounds[arm][0]["loss"],
        }
    return table


def page(found: dict) -> str:
    """The tables in Markdown."""
    lines = ["# LoRA on a CPU, side by side", "", arms.about(found["machine"])]
    lines += [
        f"Made by `{found['command']}`: {found['threads']} thread(s) a process, {found['rounds']} rounds of "
        f"{found['steps']} step(s) for each arm in turn; medians. What each arm is stands in `benchmarks/lora_cpu.py`."
    ]
    for name, table in found["models"].items():
        lines += ["", f"## {name}: {found['shapes'][name]}", ""]
        lines += ["| arm | useful tokens per CPU-second | useful share | of the first arm's | least, most | first loss |"]
        lines += ["|---|---:|---:|---:|---:|---:|"]
        for arm, row in table.items():
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
    parser.add_argument("--arms", nargs="+", choices=(*ARMS, *BF16), default=ARMS, help="the first is what the others are compared with")
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
        return arms.work(lambda folder: trainer(options.child, options.models[0], options.quick, folder), options.threads)
    found = {
        "machine": arms.machine(),
        "command": arms.command("lora_cpu.py"),
        "rounds": options.rounds,
        "steps": options.steps,
        "threads": options.threads,
        "shapes": {name: shape(name, options.quick) for name in options.models},
        "models": {},
    }
    for name in options.models:
        found["models"][name] = measure(name, options)
        if options.results:
            options.results.mkdir(parents=True, exist_ok=True)
            write_atomic(options.results / "lora_cpu.json", json.dumps(found, indent=1) + "\n")
            write_atomic(options.results / "lora_cpu.md", page(found))
    print(page(found))


if __name__ == "__main__":
    main()
