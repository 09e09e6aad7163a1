"""Which layers an adapter may stand on, by name: the same for Phi, Llama, Gemma and any other architecture."""

from torch import nn
from transformers.pytorch_utils import Conv1D

from ftkit.errors import RecipeError


def linear_layers(model) -> tuple[str, ...]:
    """The names of the decoder's linear layers in the order they come, without the head.

    Phi: q_proj, k_proj, v_proj, dense, fc1, fc2. Llama, Gemma and Gemma 2: q_proj, k_proj, v_proj, o_proj, gate_proj,
    up_proj, down_proj. Layers stored in 4 bits count too.
    """
    head = model.get_output_embeddings()
    linear = (name for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, Conv1D)) and layer is not head)
    return tuple(dict.fromkeys(name.rpartition(".")[2] for name in linear))


def targets(model, wanted: str | tuple[str, ...]) -> list[str]:
    """The layers to adapt, each by name: all that `linear_layers` finds for "all-linear", else those named.

    A name may be longer, such as "layers.1.mlp.fc1", to mean fewer layers.

    Raises:
        RecipeError: a name that fits no layer; the message lists the names there are.
    """
    if wanted == "all-linear":
        return list(linear_layers(model))
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    paths = [name for name, _ in model.named_modules()]
    for name in names:
        if not any(path == name or path.endswith(f".{name}") for path in paths):
            raise RecipeError(
                f"LoRA: target_modules: the base has no layer named {name!r}; its linear layers are "
                f"{', '.join(linear_layers(model))}. Choose among them, or 'all-linear'"
            )
    return names
