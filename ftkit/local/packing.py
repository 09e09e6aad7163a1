"""Documents end to end in one row, so that no token is padding, and attention that stays within each document.

B is the number of documents in a batch, N their tokens together, H heads, D the size of one.
"""

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils import is_flash_attn_2_available

from ftkit.local.chat import IGNORE

PACKED = "ftkit_packed"

SHORT = 512
"""Tokens of a document up to which whole matrices of scores are no slower in bf16 on a CPU (half the time at 64 to 256)."""


def pack(batch: list[dict]) -> dict[str, torch.Tensor]:
    """``lengths``, (B,), of the documents; ``input_ids`` and ``labels``, (1, N).

    >>> pack([{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8, 9], "labels": [-100, 9]}])["labels"]
    tensor([[-100,    6,    7, -100,    9]])
    """
    labels = [[IGNORE, *row["labels"][1:]] for row in batch]  # a first token has nothing before it to be foretold from
    return {
        "lengths": torch.tensor([len(row["input_ids"]) for row in batch]),
        "input_ids": torch.tensor([[token for row in batch for token in row["input_ids"]]]),
        "labels": torch.tensor([[label for row in labels for label in row]]),
    }


def packed_hidden(model, input_ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The decoder's last hidden states of packed documents, (1, N, width), each as if it were alone."""
    ends = lengths.cumsum(0)
    positions = torch.arange(input_ids.shape[1], device=input_ids.device)
    positions -= (ends - lengths).repeat_interleave(lengths, output_size=input_ids.shape[1])
    bounds = F.pad(ends, (1, 0)).to(torch.int32)
    rows = lengths.tolist()
    config, usual = model.config, model.config._attn_implementation
    config._attn_implementation = PACKED
    try:
        return getattr(model, model.base_model_prefix)(
            input_ids=input_ids,
            position_ids=positions[None],
            use_cache=False,  # with a cache transformers does not look at position_ids, and documents mix
            lengths=rows,
            cu_seq_lens_q=bounds,
            cu_seq_lens_k=bounds,
            max_length_q=max(rows),
            max_length_k=max(rows),
        ).last_hidden_state
    finally:
        config._attn_implementation = usual


def attend(module, query, key, value, attention_mask, lengths, **kwargs):
    """Causal attention within each document: (1, H, N, D) → (1, N, H, D). The signature is transformers'."""
    if query.is_cuda and query.dtype != torch.float32 and is_flash_attn_2_available():
        return ALL_ATTENTION_FUNCTIONS["flash_attention_2"](module, query, key, value, None, **kwargs)
    scale, window, softcap = (kwargs.get(name) for name in ("scaling", "sliding_window", "softcap"))
    if _has_varlen(query) and softcap is None:
        return _varlen(query, key, value, scale, window, kwargs["cu_seq_lens_q"], kwargs["max_length_q"]), None
    heads = query.shape[1] // key.shape[1]
    if heads > 1:  # several query heads share one of the keys
        key, value = (one.repeat_interleave(heads, dim=1) for one in (key, value))
    documents = zip(*(one.split(lengths, dim=2) for one in (query, key, value)))
    return torch.cat([_document(*one, scale, window, softcap) for one in documents], dim=2).transpose(1, 2), None


def _document(query, key, value, scale, window, softcap):
    """Causal attention of one document, (1, H, T, D)."""
    length = query.shape[2]
    far = window is not None and length > window
    if softcap is None and not far:
        if query.dtype == torch.bfloat16 and query.device.type == "cpu" and length <= SHORT:
            return _short(query, key, value, scale)
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    seen = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    if far:
        seen &= ~seen.tril(-window)
    if softcap is None:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=scale)
    scores = softcap * torch.tanh(query @ key.mT * scale / softcap)  # Gemma 2
    return scores.masked_fill(~seen, float("-inf")).softmax(-1, dtype=torch.float32).to(value.dtype) @ value


def _short(query, key, value, scale):
    """The same by whole matrices, (1, H, T, D), the softmax in fp32: torch's flash attention on a CPU is slow in bf16."""
    length, size = query.shape[2:]
    unseen = torch.full((length, length), float("-inf"), dtype=query.dtype).triu(1)
    scores = torch.baddbmm(unseen, query[0], key[0].mT, alpha=size**-0.5 if scale is None else scale)
    return (scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value[0])[None]


def _has_varlen(query) -> bool:
    """Whether torch's own flash attention over packed documents can take it: half precision, on Ampere or newer."""
    if not query.is_cuda or query.dtype == torch.float32 or query.shape[-1] > 256:
        return False
    try:
        from torch.nn.attention.varlen import varlen_attn  # noqa: F401  since torch 2.10
    except ImportError:
        return False
    return torch.cuda.get_device_capability(query.device) >= (8, 0)


def _varlen(query, key, value, scale, window, bounds, longest):
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))  # (N, H, D)
    heads = query.shape[1] // key.shape[1]
    if heads > 1:
        key, value = (one.repeat_interleave(heads, dim=1) for one in (key, value))
    sizes = (-1 if window is None else window - 1, 0)
    return varlen_attn(query, key, value, bounds, bounds, longest, longest, scale=scale, window_size=sizes)[None]


AttentionInterface.register(PACKED, attend)


@torch.no_grad()
def packs(model) -> bool:
    """Whether packed documents come out of this model as each alone does: tried on two short ones, not looked up.

    A model whose layers remember in another way (state spaces, positions added to the scores) or take other arguments
    does not; its rows are padded instead.
    """
    if getattr(model.config, "attention_chunk_size", None) or not hasattr(model, model.base_model_prefix):
        return False
    ids = torch.arange(12, device=model.device)[None] % model.config.vocab_size
    parts = [ids[:, :7], ids[:, 7:]]
    training, _ = model.training, model.eval()
    try:
        alone = torch.cat([getattr(model, model.base_model_prefix)(input_ids=part, use_cache=False)[0] for part in parts], 1)
        together = packed_hidden(model, ids, torch.tensor([7, 5], device=model.device))
    except (TypeError, ValueError, KeyError, RuntimeError, AttributeError):
        return False
    finally:
        model.train(training)
    error = (together - alone).abs().max() / alone.abs().max()
    return error.item() < (1e-4 if model.dtype == torch.float32 else 0.05)
