"""A linear layer with its LoRA adapter as one operation, forward and backward.

N is the number of tokens, d the layer's inputs, k its outputs, r the rank.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer


def fuse_lora(model):
    """The model, its plain LoRA layers computed in one operation each. Only in memory, and PEFT's own code still runs
    whenever it is not plain training: adapters disabled, merged, mixed, with dropout or a variant such as DoRA."""
    for module in model.modules():
        base = getattr(module, "base_layer", None)
        if isinstance(module, LoraLayer) and (type(base) is torch.nn.Linear or type(base).__name__ == "Linear4bit"):
            module.forward = MethodType(_forward, module)
    return model


def _forward(self, x, *args, **kwargs):
    name = self.active_adapters[0] if len(self.active_adapters) == 1 else None
    plain = (
        name in self.lora_A
        and not (args or kwargs or self.disable_adapters or self.merged or self.lora_variant or self.lora_bias[name])
        and type(self.lora_dropout[name]) is torch.nn.Identity
        and not self.base_layer.weight.requires_grad
    )
    if not plain:
        return type(self).forward(self, x, *args, **kwargs)
    return LoraLinear.apply(x, self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name])


def _weight(base) -> torch.Tensor:
    """W₀, (k, d), in the type the layer computes in."""
    if (state := getattr(base.weight, "quant_state", None)) is None:
        return base.weight
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(base.weight.data.view(-1, 1), state)


class LoraLinear(torch.autograd.Function):
    """y = x·W₀ᵀ + b + s·(x·Aᵀ)·Bᵀ with W₀ and b frozen. Only x is kept for the backward; x·Aᵀ, of rank r, is made again."""

    @staticmethod
    def forward(ctx, x, base, a, b, scale):
        weight = _weight(base)
        flat = x.reshape(-1, x.shape[-1]).to(weight.dtype)  # (N, d)
        bias = None if base.bias is None else base.bias.to(weight.dtype)
        y = F.linear(flat, weight, bias).addmm_(flat @ a.to(flat.dtype).T, b.to(flat.dtype).T, alpha=scale)  # (N, k)
        ctx.base, ctx.scale, ctx.dtype = base, scale, x.dtype
        ctx.save_for_backward(flat, a, b)
        y = y.view(*x.shape[:-1], -1)
        return y if not x.is_meta and torch.is_autocast_enabled(x.device.type) else y.to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        flat, a, b = ctx.saved_tensors
        shape, grad = grad.shape, grad.reshape(-1, grad.shape[-1]).to(flat.dtype)  # (N, k)
        low = (grad @ b.to(flat.dtype)).mul_(ctx.scale)  # (N, r)
        d_a = (low.T @ flat).to(a.dtype)
        d_b = (grad.T @ (flat @ a.to(flat.dtype).T)).mul_(ctx.scale).to(b.dtype)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = (grad @ _weight(ctx.base)).addmm_(low, a.to(flat.dtype)).view(*shape[:-1], -1).to(ctx.dtype)
        return d_x, None, d_a, d_b, None
