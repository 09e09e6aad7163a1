"""Pretrain the embedded model: one plain loop, the same file for a CPU and for one GPU.

    python pretraining/train.py WORK --tokens 36e6 --minutes 170
    python pretraining/train.py WORK2 --start FOLDER --stage focus --tokens 6e6 --lr 5e-3    # go on from a model
    python pretraining/train.py WORK2 --start FOLDER --stage focus --tokens 12e6 --meaning 1  # and learn what sentences mean

WORK is what prepare.py made. The run stops after so many tokens or minutes, whichever comes first, or at Ctrl-C, and
goes on from its last checkpoint when called again. The learning rate warms up, stays, and decays (WSD) over the last
part of --tokens; as long as it has not begun to decay, --tokens may be changed between calls.
"""

import argparse
import json
import math
import os
import signal
import sys
import time
import tomllib
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import PhiConfig, PhiForCausalLM

HERE = Path(__file__).parent
SIZES = {"9m": (6, 256, 4), "34m": (8, 512, 8), "tiny": (2, 32, 2)}
"""(layers, width, heads)"""
PAD, ASSISTANT, MARKS = 1, 5, 6
"""Token ids: the padding, the mark before an assistant's turn, and the first that is no mark."""


def build(size: str, vocabulary: int = 8192) -> PhiForCausalLM:
    """A Phi with random weights. What writes into the residual stream starts at zero, so each block starts as identity."""
    layers, width, heads = SIZES[size]
    config = PhiConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=heads, max_position_embeddings=1024, resid_pdrop=0.0, tie_word_embeddings=False,
        bos_token_id=0, pad_token_id=PAD, eos_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    )  # fmt: skip
    model = PhiForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("dense.weight", "fc2.weight", "lm_head.weight")):
                weight.zero_()
            elif weight.ndim == 2 and "embed" not in name:
                weight.normal_(std=weight.shape[1] ** -0.5)
    for layer in model.model.layers:  # the same function as Phi's gelu_new, in one operation instead of eight
        layer.mlp.activation_fn = torch.nn.GELU(approximate="tanh")
    return model


def token_loss(model, rows: torch.Tensor, others: float = 1.0) -> torch.Tensor:
    """The mean cross-entropy in nats of each row's next tokens; ``others`` is the weight of those no assistant says."""
    return next_token_loss(model, model.model(input_ids=rows[:, :-1], use_cache=False).last_hidden_state, rows, others)


def next_token_loss(model, hidden: torch.Tensor, rows: torch.Tensor, others: float = 1.0) -> torch.Tensor:
    """The same from the last hidden states (rows, length, width)."""
    losses = F.cross_entropy(model.lm_head(hidden).flatten(0, 1), rows[:, 1:].flatten(), reduction="none").float()
    weights = torch.where(answered(rows), 1.0, others).masked_fill(rows[:, 1:] == PAD, 0.0).flatten()
    return losses @ weights / weights.sum()


def answered(rows: torch.Tensor) -> torch.Tensor:
    """Which tokens after the first belong to an assistant's turn, the mark that ends it included: (rows, length), true or false.

    >>> answered(torch.tensor([[0, 4, 70, 2, 5, 80, 2, 4]])).int().tolist()
    [[0, 0, 0, 0, 1, 1, 0]]
    """
    marks = torch.arange(rows.shape[1], device=rows.device).where(rows < MARKS, 0).cummax(1).values
    return rows.gather(1, marks)[:, :-1] == ASSISTANT


VIEWS = ((0, "mean"), (2 / 3, "end"), (2 / 3, "answer"))
"""Where a sentence's meaning is asked for: (after which part of the blocks, at which token). The last third can use it."""


def looked_at(layers: int) -> int:
    """How many blocks the deepest of VIEWS has gone through."""
    return round(max(depth for depth, _ in VIEWS) * layers)


def first_states(model, ids: torch.Tensor) -> list[torch.Tensor]:
    """The states (rows, length, width) after 0, 1, 2, ... blocks, up to the last that VIEWS looks at; no head, no norm."""
    inner = model.model
    states = [inner.embed_tokens(ids)]
    turned = inner.rotary_emb(states[0], torch.arange(ids.shape[1], device=ids.device)[None])
    for block in inner.layers[: looked_at(len(inner.layers))]:
        states.append(block(states[-1], position_embeddings=turned))
    return states


class Meaning:
    """Rows of short chats with the vectors a teacher gives their user turns (meaning.py), and one linear map a view."""

    def __init__(self, work: Path, length: int, seed: int):
        self.rows = np.load(work / "meaning" / f"rows.{length}.npy", mmap_mode="r")
        self.vectors = torch.from_numpy(np.load(work / "meaning" / "vectors.npy"))
        places = np.load(work / "meaning" / f"places.{length}.npy")
        self.places = np.split(places, np.searchsorted(places[:, 0], np.arange(1, len(self.rows))))
        self.seed, self.key = seed, f"meaning.{length}"

    def batch(self, size: int, used: dict[str, int]) -> tuple[torch.Tensor, np.ndarray]:
        """((size, length + 1) token ids, (sentences, 4) places whose rows are counted in the batch)."""
        first = used.get(self.key, 0)
        used[self.key] = first + size
        picked = [self._order(at // len(self.rows))[at % len(self.rows)] for at in range(first, first + size)]
        places = [self.places[row] + (at - row, 0, 0, 0) for at, row in enumerate(picked)]
        return torch.from_numpy(np.stack([self.rows[row] for row in picked]).astype(np.int64)), np.concatenate(places)

    @lru_cache(maxsize=2)  # noqa: B019
    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.rows))

    def loss(self, heads, hidden: list[torch.Tensor], layers: int, places: np.ndarray) -> torch.Tensor:
        """The mean over VIEWS of how far a sentence is from its own vector, and from telling it among the batch's.

        hidden: the states (size, length, width) after 0, 1, 2, ... of the model's layers, of this batch's rows.
        """
        row, first, end, number = torch.from_numpy(places.astype(np.int64)).to(hidden[0].device).T
        wanted = self.vectors[number.cpu()].to(hidden[0].device, torch.float32)
        losses = []
        for head, (depth, view) in zip(heads, VIEWS, strict=True):
            block = round(depth * layers)
            if view == "mean":
                sums = F.pad(hidden[block].float().cumsum(1), (0, 0, 1, 0))
                state = (sums[row, end] - sums[row, first]) / (end - first)[:, None]
            else:
                state = hidden[block][row, end + (view == "answer")].float()
            got = F.normalize(head(F.layer_norm(state, state.shape[-1:])), dim=-1)
            among = F.cross_entropy(got @ wanted.T / 0.05, torch.arange(len(got), device=got.device))
            losses.append(among + (1 - (got * wanted).sum(-1)).mean())
        return torch.stack(losses).mean()


class Mix:
    """Draws each row of a batch from a source by its share; every source is read through before it is read again."""

    def __init__(self, work: Path, share: str, length: int, seed: int):
        sources = tomllib.loads((HERE / "sources.toml").read_text(encoding="utf-8"))["source"]
        sources = [source for source in sources if share in source]
        self.rows = {s["name"]: np.load(work / "rows" / f"{s['name']}.{length}.npy", mmap_mode="r") for s in sources}
        self.shares = np.array([s[share] if len(self.rows[s["name"]]) else 0.0 for s in sources])
        self.shares /= self.shares.sum()
        self.names, self.length, self.seed = list(self.rows), length, seed
        self.orders: dict[tuple[str, int], np.ndarray] = {}

    def batch(self, step: int, size: int, used: dict[str, int]) -> torch.Tensor:
        """(size, length + 1) token ids; ``used`` counts the rows taken from each source and length so far."""
        names = np.random.default_rng([self.seed, step]).choice(self.names, size, p=self.shares)
        return torch.from_numpy(np.stack([self._next(name, used) for name in names]).astype(np.int64))

    def _next(self, name: str, used: dict[str, int]) -> np.ndarray:
        key = f"{name}.{self.length}"
        epoch, at = divmod(used.get(key, 0), len(self.rows[name]))
        used[key] = used.get(key, 0) + 1
        if (name, epoch) not in self.orders:
            order = np.random.default_rng([self.seed, epoch, self.names.index(name)]).permutation(len(self.rows[name]))
            self.orders = {key: value for key, value in self.orders.items() if key[0] != name} | {(name, epoch): order}
        return self.rows[name][self.orders[name, epoch][at]]


def schedule(done: float, total: float, warmup: float, decay: float) -> float:
    """The factor on the learning rate (warm-up, stable, decay: WSD, arXiv 2404.06395; 1 - sqrt as in 2405.18392).

    >>> [round(schedule(at, 100, 10, 0.2), 2) for at in (0, 5, 50, 85, 100)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    start = total * (1 - decay)
    if done > start:
        return 1 - math.sqrt(min(1.0, (done - start) / (total - start)))
    return min(1.0, done / warmup)


def orthogonal(update: torch.Tensor) -> torch.Tensor:
    """About U V^T of the singular value decomposition of each matrix in (n, a, b): five Newton-Schulz steps (Jordan 2024)."""
    tall = update.shape[1] > update.shape[2]
    x = update.mT if tall else update
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon with Nesterov momentum and rates matched to AdamW's (arXiv 2502.16982), in the dtype that is fast here.

    torch's own orthogonalises in bf16, which a processor without bf16 does a hundred times slower than fp32.
    """

    def __init__(self, params, lr: float, momentum: float, weight_decay: float, dtype: torch.dtype):
        super().__init__(params, {"lr": lr})
        self.momentum, self.weight_decay, self.dtype = momentum, weight_decay, dtype

    @torch.no_grad()
    def step(self) -> None:
        group = self.param_groups[0]
        shapes: dict[torch.Size, list] = {}
        for p in group["params"]:
            shapes.setdefault(p.shape, []).append(p)
        for shape, matrices in shapes.items():
            updates = []
            for p in matrices:
                average = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - self.momentum)
                updates.append(p.grad.lerp(average, self.momentum))
            rate = group["lr"] * 0.2 * math.sqrt(max(shape))
            for p, update in zip(matrices, orthogonal(torch.stack(updates).to(self.dtype)), strict=True):
                p.mul_(1 - group["lr"] * self.weight_decay).add_(update.to(p.dtype), alpha=-rate)


def optimizers(model, lr: float, dtype: torch.dtype = torch.float32):
    """Muon for the matrices inside the blocks, AdamW for embedding, head, norms and biases."""
    inside = {n for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n}
    matrices = [p for n, p in model.named_parameters() if n in inside]
    others = [p for n, p in model.named_parameters() if n not in inside]
    return [
        Muon(matrices, lr=lr, momentum=0.95, weight_decay=0.1, dtype=dtype),
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def save(folder: Path, master, heads, opts, state: dict) -> None:
    """Weights, optimizer states and counters as one safetensors file, written to a temporary name first."""
    tensors = {f"model.{name}": p.detach().cpu().contiguous() for name, p in master.named_parameters()}
    tensors |= {f"heads.{name}": p.detach().cpu().contiguous() for name, p in heads.named_parameters()}
    for i, opt in enumerate(opts):
        for j, values in opt.state_dict()["state"].items():
            tensors |= {f"opt.{i}.{j}.{name}": torch.as_tensor(value).cpu() for name, value in values.items()}
    save_file(tensors, folder / "checkpoint.tmp", metadata={"state": json.dumps(state)})
    os.replace(folder / "checkpoint.tmp", folder / "checkpoint.safetensors")


def load(folder: Path, master, heads, opts) -> dict | None:
    """The counters of the last checkpoint, its tensors put where they belong; None if there is none."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return None
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["state"])
    tensors = load_file(path)
    if any(f"heads.{name}" not in tensors for name, _ in heads.named_parameters()):
        sys.exit(f"{path}: made without --meaning; leave it out, or export the model and --start from it under another --run")
    with torch.no_grad():
        for name, p in master.named_parameters():
            p.copy_(tensors[f"model.{name}"])
        for name, p in heads.named_parameters():
            p.copy_(tensors[f"heads.{name}"])
    for i, opt in enumerate(opts):
        whole = opt.state_dict()
        for key, tensor in tensors.items():
            if key.startswith(f"opt.{i}."):
                _, _, j, name = key.split(".")
                whole["state"].setdefault(int(j), {})[name] = tensor
        opt.load_state_dict(whole)
    return state


@torch.inference_mode()
def held_out(model, work: Path, length: int = 256, rows: int = 24) -> dict[str, float]:
    """Nats a token on rows of each source's held-out documents."""
    import prepare
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    device = next(model.parameters()).device
    losses = {}
    for path in sorted((work / "held_out").glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        ids = [tokenizer.encode(prepare.render(json.loads(line))).ids for line in lines]
        packed = prepare.pack(ids, length)[:rows]
        if len(packed):
            losses[path.stem] = token_loss(model, torch.from_numpy(packed.astype(np.int64)).to(device)).item()
    return losses


def matmul_speed(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a matrix product here and now: what MFU is measured against."""
    a = torch.randn(1024, 1024, device=device, dtype=dtype)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * 1024**3 / min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--run", default="run", help="name of the folder in WORK for checkpoint and log")
    parser.add_argument("--size", choices=SIZES, default="9m")
    parser.add_argument("--start", type=Path, help="folder of a model to start from, instead of random weights")
    parser.add_argument("--stage", default="share", help="whose shares of the sources: share (then decay), focus, settle, things, lists, close, desk")
    parser.add_argument("--meaning", type=float, default=0.0, help="weight of the second objective (meaning.py)")
    parser.add_argument("--meaning-rows", type=float, default=0.625, help="share of the rows that are for it")
    parser.add_argument("--others", type=float, default=1.0, help="weight in the loss of tokens that no assistant says")
    parser.add_argument("--tokens", type=float, default=36e6)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop, with a checkpoint, after so many")
    parser.add_argument("--steps", type=int, help="stop, with a checkpoint, after so many in this call")
    parser.add_argument("--batch", type=int, default=8192, help="tokens a step")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--warmup", type=float, default=1e6, help="tokens")
    parser.add_argument("--decay", type=float, default=0.3, help="last part of the tokens, in rows of 512")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), help="what computes; default: the faster here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=500, help="steps between checkpoints with held-out losses")
    options = parser.parse_args()
    if not 0 < options.meaning_rows < 1:
        parser.error(f"--meaning-rows: want a share between 0 and 1, the other rows hold text; got {options.meaning_rows}")

    begun = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = options.work / options.run
    folder.mkdir(exist_ok=True)
    torch.manual_seed(options.seed)
    torch.set_flush_denormal(True)  # the first gradients are tiny; denormal numbers would make a step 8x slower
    speeds = {dtype: matmul_speed(device, dtype) for dtype in (torch.bfloat16, torch.float32)}
    fastest = torch.bfloat16 if speeds[torch.bfloat16] > 1.5 * speeds[torch.float32] else torch.float32
    dtype = getattr(torch, options.dtype) if options.dtype else fastest
    peak = speeds[dtype]
    if options.start:
        begins = PhiForCausalLM.from_pretrained(options.start, dtype=torch.float32)
        master = build(options.size, begins.vocab_size)
        master.load_state_dict(begins.state_dict())
    else:
        master = build(options.size)
    master.to(device)  # fp32: what the optimizers change
    model = deepcopy(master).to(dtype)  # what computes
    opts = optimizers(master, options.lr, dtype)
    heads = torch.nn.ModuleList(torch.nn.Linear(SIZES[options.size][1], 384) for _ in VIEWS if options.meaning).to(device)
    if options.meaning:
        opts.append(torch.optim.AdamW(heads.parameters(), lr=options.lr, betas=(0.9, 0.95), weight_decay=0.0))
    state = load(folder, master, heads, opts) or {"step": 0, "tokens": 0, "used": {}, "seconds": 0.0}
    stable = Mix(options.work, options.stage, 256, options.seed)
    decaying = Mix(options.work, "decay" if options.stage == "share" else options.stage, 512, options.seed)
    meanings = {length: Meaning(options.work, length, options.seed) for length in (256, 512) if options.meaning}
    inner = sum(p.numel() for p in master.parameters()) - master.model.embed_tokens.weight.numel()
    block = sum(p.numel() for p in master.model.layers[0].parameters())
    print(f"{inner / 1e6:.1f} M parameters besides the embedding, {dtype}, {peak / 1e9:,.0f} GFLOP/s; {state}", flush=True)

    def copy_weights() -> None:
        with torch.no_grad():
            for low, high in zip(model.parameters(), master.parameters()):
                low.copy_(high)

    copy_weights()
    if (folder / "log.jsonl").exists():  # what came after the checkpoint is trained, and logged, again
        lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[: state["step"]]
        (folder / "log.jsonl").write_text("".join(lines), encoding="utf-8")
    last = state["step"] + options.steps if options.steps is not None else math.inf
    asked_to_stop: list[int] = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: asked_to_stop.append(number))
    while state["tokens"] < options.tokens and state["step"] < last and not asked_to_stop:
        if time.perf_counter() - begun > 60 * options.minutes:
            break
        start = time.perf_counter()
        late = state["tokens"] > options.tokens * (1 - options.decay)
        mix = decaying if late else stable
        count = options.batch // mix.length
        spared = round(count * options.meaning_rows) if options.meaning else 0
        rows = mix.batch(state["step"], count - spared, state["used"]).to(device)
        loss = token_loss(model, rows, options.others)
        loss.backward()
        if options.meaning:
            chats, places = meanings[mix.length].batch(spared, state["used"])
            hidden = first_states(model, chats[:, :-1].to(device))
            meant = meanings[mix.length].loss(heads, hidden, len(model.model.layers), places)
            (options.meaning * meant).backward()
        for low, high in zip(model.parameters(), master.parameters()):
            high.grad, low.grad = low.grad.float(), None
        norm = torch.nn.utils.clip_grad_norm_(master.parameters(), 1.0)
        factor = schedule(state["tokens"], options.tokens, options.warmup, options.decay)
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = options.lr * factor
            opt.step()
        heads.zero_grad()
        copy_weights()
        value = loss.item()  # waits for the GPU, so the clock below is true
        if not math.isfinite(value):
            sys.exit(f"step {state['step']}: the loss is {value}; the last checkpoint in {folder} is intact")
        seconds = time.perf_counter() - start
        state["step"] += 1
        state["tokens"] += count * mix.length
        state["seconds"] += seconds
        speed = count * mix.length / seconds
        layers, width, _ = SIZES[options.size]
        attention = 6 * mix.length * width  # a block: half of the pairs are masked
        flops = (count - spared) * (6 * inner + attention * layers) + spared * (6 * block + attention) * looked_at(layers)
        line = {
            "step": state["step"], "tokens": state["tokens"], "loss": round(value, 4), "lr": options.lr * factor,
            "grad_norm": round(norm.item(), 3), "tokens_per_second": round(speed), "mfu": round(flops * mix.length / seconds / peak, 3),
        }  # fmt: skip
        if options.meaning:
            line["meaning"] = round(meant.item(), 4)
        if state["step"] % options.every == 0:
            line["held_out"] = {name: round(nats, 4) for name, nats in held_out(master, options.work).items()}
            save(folder, master, heads, opts, state)
        with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        if state["step"] % 20 == 0 or "held_out" in line:
            print(line, flush=True)
    save(folder, master, heads, opts, state)


if __name__ == "__main__":
    main()
