"""The loss of the scored tokens alone, in chunks, so that the logits of a large vocabulary are never all in memory.

S is the number of tokens that carry loss, V the vocabulary.
"""

import torch
import torch.nn.functional as F

from ftkit.local.chat import IGNORE
from ftkit.local.packing import packed_hidden

CHUNK = 1 << 23
"""Logits held at once: 32 MiB in fp32."""


def scored_logps(model, input_ids, labels, lengths=None, **kwargs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each scored token: its log-probability, whether it is the likeliest, and its row or packed document; (S,) each.

    Rows padded on the right, or with ``lengths`` documents packed into one row.
    """
    if lengths is None:
        kwargs.setdefault("use_cache", False)
        hidden = getattr(model, model.base_model_prefix)(input_ids=input_ids, **kwargs).last_hidden_state  # (B, T, width)
    else:
        hidden = packed_hidden(model, input_ids, lengths)  # (1, N, width)
    scored = labels[:, 1:] != IGNORE
    rows = scored.nonzero()[:, 0]
    if lengths is not None:
        documents = torch.arange(len(lengths), device=labels.device).repeat_interleave(lengths, output_size=labels.shape[1])
        rows = documents[1:][scored[0]]
    hidden, targets = hidden[:, :-1][scored], labels[:, 1:][scored]
    head, cap = model.get_output_embeddings(), getattr(model.config, "final_logit_softcapping", None)  # a cap: Gemma 2
    if type(head) is torch.nn.Linear:
        hidden = hidden.to(head.weight.dtype)
        return *LinearLogps.apply(hidden, head.weight, head.bias, targets, cap), rows
    logits = head(hidden).float()  # a head that is itself adapted
    logps = -F.cross_entropy(logits if cap is None else cap * torch.tanh(logits / cap), targets, reduction="none")
    return logps, logits.argmax(-1) == targets, rows


class LinearLogps(torch.autograd.Function):
    """The log-probabilities log softmax(h·Wᵀ + b)[target], (S,), and which of them are the highest, (S,), a chunk at a time.

    With a frozen head the gradient with respect to h is computed on the way, while the chunk's logits are there: for one
    token it is the row (onehot − p)·W, which the backward scales. A head that learns has its chunks computed twice.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, cap):
        learns = weight.requires_grad or (bias is not None and bias.requires_grad)
        logps = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        hits = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
        slopes = torch.empty_like(hidden) if hidden.requires_grad and not learns else None
        for part in _chunks(hidden, weight):
            logits, tanh = _logits(hidden[part], weight, bias, cap)
            logps[part], hits[part], slope = _score(logits, tanh, targets[part])
            if slopes is not None:
                slopes[part] = slope.to(weight.dtype) @ weight
        ctx.cap = cap
        ctx.save_for_backward(*((slopes,) if not learns else (hidden, weight, bias, targets)))
        ctx.mark_non_differentiable(hits)
        return logps, hits

    @staticmethod
    def backward(ctx, grad, _):
        if len(ctx.saved_tensors) == 1:
            return ctx.saved_tensors[0] * grad[:, None].to(ctx.saved_tensors[0].dtype), None, None, None, None
        hidden, weight, bias, targets = ctx.saved_tensors
        d_hidden, d_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        d_bias = None if bias is None else torch.zeros_like(bias)
        for part in _chunks(hidden, weight):
            logits, tanh = _logits(hidden[part], weight, bias, ctx.cap)
            slope = _score(logits, tanh, targets[part])[2].mul_(grad[part, None])
            if bias is not None:
                d_bias += slope.sum(0)
            slope = slope.to(weight.dtype)
            d_hidden[part] = slope @ weight
            d_weight.addmm_(slope.T, hidden[part])
        return d_hidden, d_weight, d_bias, None, None


def _chunks(hidden, weight) -> list[slice]:
    size = max(1, CHUNK // len(weight))
    return [slice(start, start + size) for start in range(0, len(hidden), size)]


def _logits(hidden, weight, bias, cap):
    """fp32 logits, (s, V), and with a cap the tanh they are ``cap`` times."""
    logits = F.linear(hidden, weight, bias).float()
    if cap is None:
        return logits, None
    tanh = logits.div_(cap).tanh_()
    return cap * tanh, tanh


def _score(logits, tanh, targets):
    """log p[target], (s,); whether no logit is higher, (s,); the slope onehot − p, (s, V), through the cap if there is one.

    The slope is written over the logits.
    """
    picked, top = logits.gather(1, targets[:, None]), logits.amax(-1, keepdim=True)
    total = logits.sub_(top).exp_().sum(-1, keepdim=True)
    slope = logits.mul_(-1 / total)
    slope[torch.arange(len(targets), device=targets.device), targets] += 1
    return (picked - top - total.log())[:, 0], (picked == top)[:, 0], slope if tanh is None else slope.mul_(1 - tanh * tanh)
