"""The same loss and gradients as Hugging Face's, sooner: what the engine changes on a model in memory before it trains.

B is the batch, T its longest row, S the tokens in it that carry loss, V the vocabulary.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from transformers.activations import NewGELUActivation
from transformers.modeling_outputs import CausalLMOutputWithPast

from ftkit.local.chat import IGNORE


def quicken(model):
    """The model, its eager activations fused and its loss computed on the scored tokens only. Weights and files stay."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):  # eight eager operations; the same function as one
                setattr(module, name, torch.nn.GELU(approximate="tanh"))
    if hasattr(model, model.base_model_prefix) and model.get_output_embeddings() is not None:
        model.forward = MethodType(_forward, model)
    return model


def _forward(self, input_ids=None, labels=None, num_items_in_batch=None, **kwargs):
    """With labels: the loss alone, from logits of the S scored tokens instead of all B·T. Without: as ever."""
    if labels is None:
        return type(self).forward(self, input_ids=input_ids, **kwargs)
    nats = -scored_logps(self, input_ids, labels, **kwargs)[0]
    return CausalLMOutputWithPast(loss=nats.sum() / (len(nats) if num_items_in_batch is None else num_items_in_batch))


def scored_logps(model, input_ids, labels, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-probability of each scored token, (S,), and the row of the batch it stands in, (S,)."""
    kwargs.setdefault("use_cache", False)
    hidden = getattr(model, model.base_model_prefix)(input_ids=input_ids, **kwargs).last_hidden_state  # (B, T, width)
    scored = labels[:, 1:] != IGNORE
    logits = model.get_output_embeddings()(hidden[:, :-1][scored]).float()  # (S, V)
    if (cap := getattr(model.config, "final_logit_softcapping", None)) is not None:  # Gemma 2
        logits = cap * torch.tanh(logits / cap)
    return -F.cross_entropy(logits, labels[:, 1:][scored], reduction="none"), scored.nonzero()[:, 0]
