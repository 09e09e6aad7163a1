"""The same loss and gradients as Hugging Face's, sooner: what the engine changes on a model in memory before it trains."""

import os
from types import MethodType

import torch
from transformers.activations import NewGELUActivation
from transformers.modeling_outputs import CausalLMOutputWithPast

from ftkit.local.loss import scored_logps


def quicken(model):
    """The model, its eager activations fused, its dropout off and its loss computed on the scored tokens only.

    Weights and files stay. Phi-2's config asks for a dropout of 0.1 in every layer, meant for pretraining.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):  # eight eager operations; the same function as one
                setattr(module, name, torch.nn.GELU(approximate="tanh"))
    if hasattr(model, model.base_model_prefix) and model.get_output_embeddings() is not None:
        model.forward = MethodType(_forward, model)
    return model


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AVX512-BF16 or AMX) and torch may use it.

    Without, bf16 is about a hundred times slower than fp32. ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA can forbid it.
    """
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    if not (torch.backends.cpu.get_cpu_capability().startswith("AVX512") and ("ALL" in allowed or "BF16" in allowed or "AMX" in allowed)):
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _forward(self, input_ids=None, labels=None, lengths=None, num_items_in_batch=None, **kwargs):
    """With labels: the loss alone, from logits of the scored tokens instead of all. Without: as ever."""
    if labels is None:
        return type(self).forward(self, input_ids=input_ids, **kwargs)
    nats = -scored_logps(self, input_ids, labels, lengths, **kwargs)[0]
    return CausalLMOutputWithPast(loss=nats.sum() / (len(nats) if num_items_in_batch is None else num_items_in_batch))
