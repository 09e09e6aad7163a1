"""LoRA on a GPU, side by side: useful tokens per second, padding, MFU and peak memory of each way to train.

    python benchmarks/lora_gpu.py --models phi-2 --arms trainer trl trl-packing ftkit --results benchmarks/results
    python benchmarks/lora_gpu.py --tiny          # on a CPU, in seconds: shows that it runs, measures nothing

Full-size shapes with random weights: speed does not depend on the weights. bf16 (or NF4), r = 16, alpha = 32, no dropout,
every linear layer, fused AdamW, about 16,384 useful tokens a step, 5 + 15 steps of which the last are timed. Lengths are
lognormal (median --median, σ 0.75, clipped to 24–2048), the share that carries loss is U(0.3, 0.7). Arms run one after
another, each in a process of its own; one whose library is missing says so. One command should name no more models and arms
than fit ten minutes; results of several are kept together in lora_gpu.json.

MFU counts useful tokens only: tokens/s · F / peak with F = 2·fwd + 4·c·d_a·L + 6·P and fwd = 2·N_lin + 2·s·N_head + 4·c·d_a·L
floating-point operations a token, c the mean causal context, d_a = heads · head size, s the share that carries loss, P the
adapter's parameters; once against the datasheet, once against a large matrix product measured in the same run.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import arms

from ftkit.files import write_atomic

ARMS = ("trainer", "trl", "trl-packing", "trl-liger", "unsloth", "ftkit", "ftkit-compiled")
MODELS = ("phi-2", "gemma-2b", "llama-2-7b", "llama-2-7b-nf4")
HIGH, TOKENS = 2048, 16384
DATASHEET = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "T4": 65e12}
"""Dense FLOP/s in half precision, from the makers' sheets."""


def config(name: str, tiny: bool):
    from transformers import GemmaConfig, LlamaConfig, PhiConfig

    if name == "phi-2":
        shape = dict(hidden_size=2560, num_hidden_layers=32, intermediate_size=10240, vocab_size=51200, num_attention_heads=32)
        make, shape = PhiConfig, shape | dict(num_key_value_heads=32, partial_rotary_factor=0.4, resid_pdrop=0.0)
    elif name == "gemma-2b":
        shape = dict(hidden_size=2048, num_hidden_layers=18, intermediate_size=16384, vocab_size=256000, num_attention_heads=8)
        make, shape = GemmaConfig, shape | dict(num_key_value_heads=1, head_dim=256)
    else:
        shape = dict(hidden_size=4096, num_hidden_layers=32, intermediate_size=11008, vocab_size=32000, num_attention_heads=32)
        make, shape = LlamaConfig, shape | dict(num_key_value_heads=32)
    if tiny:
        shape |= dict(hidden_size=64, num_hidden_layers=1, intermediate_size=64, vocab_size=512, num_attention_heads=2)
        shape |= dict(num_key_value_heads=1 if name == "gemma-2b" else 2, head_dim=32)
    return make(**shape, max_position_embeddings=HIGH, bos_token_id=0, eos_token_id=2, pad_token_id=arms.PAD)


def base(name: str, tiny: bool):
    """The model with random weights where it will train; linear layers but the head in 4 bits for ``-nf4``."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config(name, tiny), dtype=dtype)
    if not name.endswith("nf4"):
        return model
    stored = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    with TemporaryDirectory() as folder:  # transformers quantises only what it loads
        model.save_pretrained(folder)
        del model
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=stored, device_map={"": device})


def data(vocabulary: int, tiny: bool, median: int) -> tuple[list[dict], int]:
    """(rows, rows a step)."""
    made = arms.rows(vocabulary, 64 if tiny else 4096, 20 if tiny else median, 64 if tiny else HIGH)
    mean = sum(len(row["input_ids"]) for row in made) / len(made)
    return made, max(1, round((256 if tiny else TOKENS) / mean))


def trainer(arm: str, name: str, tiny: bool, median: int, folder: Path):
    """An arm's Trainer, on the same shape and rows as every other's."""
    import torch

    settings = dict(bf16=torch.cuda.is_available(), optim="adamw_torch_fused")
    made, step = data(config(name, tiny).vocab_size, tiny, median)
    high = 64 if tiny else HIGH
    packed = dict(packing=True, max_length=high, gradient_checkpointing=False)
    packed |= dict(per_device_train_batch_size=max(1, (256 if tiny else TOKENS) // high))
    small = dict(per_device_train_batch_size=min(8, step), gradient_accumulation_steps=max(1, round(step / 8)))
    match arm:
        case "trainer":
            return arms.novice(base(name, tiny), made, folder, dropout=0.0, **settings, **small)
        case "trl":
            return arms.trl(base(name, tiny), made, folder, max_length=high, **settings, **small)
        case "trl-packing":
            return arms.trl(base(name, tiny), made, folder, **settings, **packed)
        case "trl-liger":
            import liger_kernel  # noqa: F401  TRL would say so in other words

            return arms.trl(base(name, tiny), made, folder, use_liger_kernel=True, **settings, **packed)
        case "unsloth":
            return unsloth(name, tiny, made, folder, settings | packed)
        case _:
            return arms.ftkit(base(name, tiny), made, folder, batch_size=step, compiled=arm == "ftkit-compiled")


def unsloth(name: str, tiny: bool, made: list[dict], folder: Path, settings: dict):
    from unsloth import FastLanguageModel  # before transformers

    base(name.removesuffix("-nf4"), tiny).save_pretrained(folder / "base")
    arms.tokenizer().save_pretrained(folder / "base")
    model, _ = FastLanguageModel.from_pretrained(
        str(folder / "base"), max_seq_length=HIGH, load_in_4bit=name.endswith("nf4"), local_files_only=True
    )
    targets = sorted({path.rpartition(".")[2] for path, module in model.named_modules() if "proj" in path or "fc" in path})
    model = FastLanguageModel.get_peft_model(model, r=16, lora_alpha=32, lora_dropout=0, target_modules=targets)
    return arms.trl(model, made, folder, peft=False, **settings)


def flops(name: str, tiny: bool, median: int) -> float:
    """Floating-point operations that one useful token needs."""
    import torch
    from transformers import AutoModelForCausalLM

    shape = config(name, tiny)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
    linears = [module for module in model.model.modules() if isinstance(module, torch.nn.Linear)]
    n_lin = sum(one.in_features * one.out_features for one in linears)
    adapter = sum(16 * (one.in_features + one.out_features) for one in linears)
    made, _ = data(shape.vocab_size, tiny, median)
    tokens = sum(len(row["input_ids"]) for row in made)
    scored = sum(label != -100 for row in made for label in row["labels"]) / tokens
    context = sum(len(row["input_ids"]) ** 2 / 2 for row in made) / tokens
    wide = shape.num_attention_heads * (getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads)
    attention = 4 * context * wide * shape.num_hidden_layers
    forward = 2 * n_lin + 2 * scored * shape.hidden_size * shape.vocab_size + attention
    return 2 * forward + attention + 6 * adapter


def matrix_product() -> float:
    """FLOP/s of a large product, in bf16 on a GPU: what this very device gives today."""
    import torch

    cuda = torch.cuda.is_available()
    size, device, dtype = (8192, "cuda", torch.bfloat16) if cuda else (512, "cpu", torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(5):
            a @ b
        if cuda:
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / 5)
    return 2 * size**3 / best


def measure(arm: str, name: str, options) -> dict:
    """One arm's figures, or why there are none."""
    base = [__file__, "--models", name, "--median", str(options.median), *["--tiny"] * options.tiny, "--child", arm]
    child = arms.Child(base, loud=options.loud)
    first, warm, timed = (child.run(steps) if steps else None for steps in (1, options.warmup, options.steps))
    why = child.close()
    if timed is None:
        return {"failed": why}
    step = timed["wall_seconds"] / options.steps
    return {
        "tokens_per_second": round(timed["useful"] / timed["wall_seconds"], 1),
        "padding": round(1 - timed["useful"] / timed["all"], 3),
        "peak_gib": timed["peak_gib"] and round(timed["peak_gib"], 2),
        "first_loss": first["loss"],
        "first_step_extra_seconds": round(first["wall_seconds"] - step, 1),
    }


def page(found: dict) -> str:
    """The tables in Markdown."""
    lines = ["# LoRA on a GPU, side by side", ""]
    for key, part in found.items():
        lines += [f"## {key}", "", arms.about(part["machine"]), f"Made by `{part['command']}`."]
        lines += [f"{part['gflop_per_token']:.1f} GFLOP a token; measured matrix product {part['gemm'] / 1e12:.3g} TFLOP/s.", ""]
        lines += ["| arm | useful tokens/s | padding | MFU (datasheet) | MFU (measured) | peak GiB | first loss | − first arm | first step, extra s |"]
        lines += ["|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
        losses = [row["first_loss"] for row in part["arms"].values() if "failed" not in row]
        for arm, row in part["arms"].items():
            if "failed" in row:
                lines.append(f"| {arm} | {row['failed']} |" + " |" * 7)
                continue
            used = row["tokens_per_second"] * part["gflop_per_token"] * 1e9
            sheet = f"{used / part['datasheet']:.1%}" if part["datasheet"] else "–"
            peak = "–" if row["peak_gib"] is None else f"{row['peak_gib']:.1f}"
            lines.append(
                f"| {arm} | {row['tokens_per_second']:,.0f} | {row['padding']:.0%} | {sheet} | {used / part['gemm']:.1%} | {peak} "
                f"| {row['first_loss']:.4f} | {row['first_loss'] - losses[0]:+.4f} | {row['first_step_extra_seconds']} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Runs what the command line asks for; an arm that is measured again takes the place of its older figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    parser.add_argument("--median", type=int, default=120, help="tokens a row; 600 is the second set")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=4, help="besides the first step")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, one step")
    parser.add_argument("--loud", action="store_true", help="let the arms say what they say")
    parser.add_argument("--results", type=Path, help="a folder for lora_gpu.md and lora_gpu.json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.models = options.models or (MODELS[:1] if options.tiny else MODELS)
    if options.tiny:
        options.steps, options.warmup = 1, 0
    if options.child:
        name = options.models[0]
        return arms.work(lambda folder: trainer(options.child, name, options.tiny, options.median, folder))
    import torch

    machine = arms.machine()
    if not (machine["gpu"] or options.tiny):
        parser.error("no GPU here; --tiny shows that the benchmark runs, lora_cpu.py measures a CPU")
    path = options.results / "lora_gpu.json" if options.results else None
    found = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    gemm = matrix_product()
    torch.cuda.empty_cache()
    for name in options.models:
        key = f"{name}, median {options.median} tokens" + (", tiny" if options.tiny else "")
        part = found.setdefault(key, {"arms": {}})
        part |= {"machine": machine, "command": arms.command("lora_gpu.py"), "gemm": gemm}
        part["gflop_per_token"] = flops(name, options.tiny, options.median) / 1e9
        part["datasheet"] = next((peak for gpu, peak in DATASHEET.items() if gpu in (machine["gpu"] or "")), None)
        for arm in options.arms:
            part["arms"][arm] = measure(arm, name, options)
            if path:
                options.results.mkdir(parents=True, exist_ok=True)
                write_atomic(path, json.dumps(found, indent=1) + "\n")
                write_atomic(options.results / "lora_gpu.md", page(found))
    print(page(found))


if __name__ == "__main__":
    main()
