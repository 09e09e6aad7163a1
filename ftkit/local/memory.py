"""What a training will need, before it is begun: memory by a dry run without numbers, time by a few real steps, dollars.

B is the batch, T its longest row. Sizes are in bytes here and in GiB where they are shown.
"""

import gc
import time
import weakref
from dataclasses import dataclass

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, Gemma2Config, GemmaConfig, LlamaConfig, PhiConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ftkit.errors import ModelError
from ftkit.estimate import Range, TrainingEstimate
from ftkit.lang import say
from ftkit.local import FullFineTune, LoRA, QLoRA
from ftkit.local.chat import IGNORE, encode, use_template
from ftkit.local.engine import cpu_dtype, opened, wrap
from ftkit.local.fast import quicken
from ftkit.local.fused import fuse_lora
from ftkit.local.loss import CHUNK
from ftkit.local.model import resolve
from ftkit.local.peak import GIB
from ftkit.prices import prices

NF4_BYTES = {True: 0.516, False: 0.5625}
"""A weight in NF4: half a byte and its share of the block's scale, with and without double quantisation."""
CUDA_BYTES = 1e9
"""What CUDA, its libraries and the allocator's rounding take besides."""
CALIBRATION_STEPS = 6

COURSE = {
    "microsoft/phi-2": lambda: PhiConfig(
        vocab_size=51200, hidden_size=2560, intermediate_size=10240, num_hidden_layers=32, num_attention_heads=32
    ),
    "google/gemma-2b": lambda: GemmaConfig(
        vocab_size=256000, hidden_size=2048, intermediate_size=16384, num_hidden_layers=18, num_attention_heads=8,
        num_key_value_heads=1, head_dim=256,
    ),
    "google/gemma-2-2b-it": lambda: Gemma2Config(
        vocab_size=256000, hidden_size=2304, intermediate_size=9216, num_hidden_layers=26, num_attention_heads=8,
        num_key_value_heads=4, head_dim=256,
    ),
    "meta-llama/Llama-2-7b-hf": lambda: LlamaConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32
    ),
}  # fmt: skip
"""The shapes of the course's models, so that an estimate needs no connection."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a training holds at its peak, part by part."""

    weights: float
    trained: float
    """Trained numbers in fp32 with their gradients and AdamW's two averages: 16 bytes each beside a frozen base, 12 more
    than the base's own 4 in full fine-tuning."""
    activations: float
    """What the backward pass needs, and what it makes on its way."""
    logits: float
    besides: float
    """CUDA's own, or what this process holds already."""

    @property
    def total(self) -> float:
        return self.weights + self.trained + self.activations + self.logits + self.besides


def footprint(
    recipe: LoRA | FullFineTune,
    config,
    rows: int,
    length: int,
    *,
    dtype: torch.dtype = torch.bfloat16,
    checkpointing: bool = False,
    besides: float = CUDA_BYTES,
    plain: bool = False,
) -> Footprint:
    """The peak of one optimiser step on ``rows`` rows of ``length`` tokens, from a run on the meta device.

    No weights are loaded and no number is computed: forward and backward pass over tensors that have a shape only, and
    every storage that is alive is counted. ``checkpointing`` keeps one layer's activations at a time; ``plain`` is Hugging
    Face's own forward pass with the logits of every token, as others train, instead of ours.
    """
    size = torch.finfo(dtype).bits // 8
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        model = model if plain else quicken(model)
        if model.config._attn_implementation == "sdpa":
            model.set_attn_implementation(_DRY)
        frozen = list(model.parameters())
        linears = [m.weight.numel() for m in model.base_model.modules() if isinstance(m, torch.nn.Linear)]
        if isinstance(recipe, LoRA):
            model = fuse_lora(wrap(recipe, model))
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
            model.enable_input_require_grads()
        model.train()
    count = sum(p.numel() for p in frozen)
    learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if isinstance(recipe, QLoRA):
        weights = sum(linears) * NF4_BYTES[recipe.double_quant] + (count - sum(linears)) * size
        unpacked = max(linears) * size  # one layer at a time is brought back to plain numbers
    else:
        weights, unpacked = count * size, 0
    trained = learnt * 16 if isinstance(recipe, LoRA) else learnt * (16 - size)
    vocabulary = model.get_output_embeddings().weight.shape[0]
    logits = 4 * rows * length * vocabulary if plain else 3 * 4 * min(CHUNK, rows * length * vocabulary)
    return Footprint(weights, trained, _activations(model, rows, length) + unpacked, logits, besides)


class _Alive(TorchDispatchMode):
    """Counts the bytes of every storage made inside, for as long as it lives."""

    def __init__(self, known):
        super().__init__()
        self.live = self.peak = 0
        self.seen = {tensor.untyped_storage()._cdata: None for tensor in known}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        return made

    def _count(self, storage) -> None:
        key = storage._cdata
        if key in self.seen:
            return
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)

        def gone(_) -> None:
            self.seen.pop(key, None)
            self.live -= size

        self.seen[key] = weakref.ref(storage, gone)


def _activations(model, rows: int, length: int) -> float:
    """Bytes alive at the worst moment of forward and backward pass, without weights and gradients."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    with torch.device("meta"), _Alive([*model.parameters(), *model.buffers()]) as alive:
        ids = torch.zeros(rows, length, dtype=torch.long)
        hidden = base.base_model(input_ids=ids, use_cache=False).last_hidden_state
        hidden.sum().backward()
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    return max(0, alive.peak - gradients)


class _Flash(torch.autograd.Function):
    """Attention as flash kernels keep it: inputs, output and one number a token and head; never the T × T scores."""

    @staticmethod
    def forward(ctx, query, key, value):
        out = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx, grad):
        return tuple(torch.empty_like(one) for one in ctx.saved_tensors[:3])


_DRY = "ftkit_dry"


def _dry_attention(module, query, key, value, attention_mask, **kwargs):
    return _Flash.apply(query, key, value).transpose(1, 2).contiguous(), None


ALL_ATTENTION_FUNCTIONS[_DRY] = _dry_attention


def flops_per_token(recipe: LoRA | FullFineTune, config, context: float) -> float:
    """Floating-point operations to train on one token whose mean causal context is ``context`` tokens.

    forward = 2·N + 4·context·d·L with N the linear weights and the head; LoRA costs two forwards (the frozen weights need
    no gradient) and 6 for each of its own numbers, full fine-tuning three.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear))
        if isinstance(recipe, LoRA):
            model = wrap(recipe, model)
    width = config.num_attention_heads * (getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    attention = 4 * context * width * config.num_hidden_layers
    forward = 2 * linear + attention
    if not isinstance(recipe, LoRA):
        return 3 * forward
    return 2 * forward + attention + 6 * sum(p.numel() for p in model.parameters() if p.requires_grad)


def estimate(recipe: LoRA | FullFineTune, split, gpu: str | None = None) -> TrainingEstimate:
    """What ``recipe.train(split)`` will take: on this machine, or on the ``gpu`` of prices.json named.

    Raises:
        ModelError: a GPU that prices.json does not know, or a model whose shape is out of reach.
    """
    known = prices()["gpus"]
    if gpu is not None and gpu not in known:
        raise ModelError(f"estimate: gpu={gpu!r} is not in prices.json; there are {', '.join(known)}")
    config, notes = _config(recipe.base)
    lengths, more = _lengths(recipe, split.train)
    notes += more
    mean, longest = sum(lengths) / len(lengths), max(lengths)
    rows = min(recipe.batch_size, len(lengths))
    tokens = sum(lengths) * recipe.epochs
    here = gpu is None
    per_token = calibrate(recipe, lengths) if here else None
    if here and not torch.cuda.is_available():  # after the calibration, which loads what a training needs
        dtype, besides = cpu_dtype(recipe), float(psutil.Process().memory_info().rss)
        room, device = psutil.virtual_memory().total, say("this CPU")
    else:
        dtype, besides = torch.bfloat16, CUDA_BYTES  # on a T4 fp16, which is as large
        device = gpu or torch.cuda.get_device_name(0)
        room = known[gpu]["memory_gib"] * GIB if gpu else torch.cuda.get_device_properties(0).total_memory
    low, high = (
        footprint(recipe, config, rows, round(length), dtype=dtype, besides=besides).total / GIB for length in (mean, longest)
    )
    if here:
        seconds = Range(0.85 * tokens * per_token, 1.3 * tokens * per_token)  # other programs come and go
    else:
        facts = known[gpu]
        work = flops_per_token(recipe, config, mean / 2) * tokens
        peak = facts["tflops"] * 1e12
        seconds = Range(work / (peak * facts["mfu_high"]), work / (peak * facts["mfu_low"]))
    usd, price = None, "" if here else facts["source"]
    if not here and facts["usd_per_hour_low"] is not None:
        hourly = Range(facts["usd_per_hour_low"], facts["usd_per_hour_high"])
        usd = Range(hourly.low * seconds.low / 3600, hourly.high * seconds.high / 3600)
        price = say(f"at ${hourly.low:.2f}–{hourly.high:.2f} an hour, as of {facts['as_of']}")
    return TrainingEstimate(
        what=say("{kind} of {base}").format(kind=recipe.kind, base=recipe.base or say("the embedded model")),
        device=device,
        gib=Range(low, high),
        room_gib=room / GIB,
        seconds=seconds,
        usd=usd,
        price=price,
        notes=tuple(notes),
    )


def _config(base: str | None):
    """(the model's shape, notes): from its folder, the hub, or the shapes known here."""
    try:
        return AutoConfig.from_pretrained(resolve(base)), []
    except Exception as error:  # the hub and the file system each raise their own
        if base in COURSE:
            return COURSE[base](), [say("shape from the kit's own list, as the hub is out of reach")]
        raise ModelError(
            f"{base}: its config.json cannot be read ({type(error).__name__}), so nothing can be estimated; check the name and "
            f"the connection, or take one of {', '.join(COURSE)}"
        ) from None


def _lengths(recipe, rows) -> tuple[list[int], list[str]]:
    """Tokens of each row, and how they were counted."""
    notes = []
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve(recipe.base))
    except Exception:
        tokenizer = AutoTokenizer.from_pretrained(resolve(None))
        notes.append(say("tokens counted with the embedded model's tokenizer; the model's own will make some 10–30 % fewer"))
    use_template(tokenizer)
    chats = [chat for row in rows for chat in getattr(row, "answers", (row,))]
    return [len(encode(tokenizer, chat, recipe.max_length)["input_ids"]) for chat in chats], notes


def calibrate(recipe: LoRA | FullFineTune, lengths: list[int]) -> float:
    """Seconds a token here, the median of a few real optimiser steps on random tokens. The model is thrown away."""
    state = torch.random.get_rng_state()
    model, _, collate = opened(recipe)
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)
    spread = sorted(lengths)
    times = []
    for step in range(CALIBRATION_STEPS):
        some = [spread[(i * 7919 + step) % len(spread)] for i in range(recipe.batch_size)]
        texts = [torch.randint(3, 1000, (n,)).tolist() for n in some]
        rows = [{"input_ids": text, "labels": [IGNORE] * (len(text) // 2) + text[len(text) // 2 :]} for text in texts]
        batch = {name: tensor.to(model.device) for name, tensor in collate(rows).items()}
        start = time.perf_counter()
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / sum(some))
    del model, optimizer
    gc.collect()
    torch.random.set_rng_state(state)
    return sorted(times[1:])[len(times[1:]) // 2]
