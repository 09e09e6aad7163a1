"""The layers an adapter stands on are named outright, for each architecture."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GemmaConfig, GPT2Config, LlamaConfig, PhiConfig

from ftkit import RecipeError
from ftkit.local import LoRA
from ftkit.local.engine import save_adapter, wrap
from ftkit.local.layers import linear_layers

SHAPE = dict(
    vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
    max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
)  # fmt: skip
GATED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
EXPECTED = {
    "phi": (PhiConfig(**SHAPE | {"num_key_value_heads": 2}), ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")),
    "llama": (LlamaConfig(**SHAPE), GATED),
    "gemma": (GemmaConfig(**SHAPE, head_dim=16), GATED),
    "gemma2": (Gemma2Config(**SHAPE, head_dim=16), GATED),
    "gpt2": (GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=2), ("c_attn", "c_proj", "c_fc")),
}


@pytest.fixture(params=EXPECTED)
def case(request):
    config, names = EXPECTED[request.param]
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32), names


def test_all_linear_is_every_linear_layer_but_the_head_and_the_adapter_says_so(case, tmp_path):
    model, names = case
    assert set(linear_layers(model)) == set(names)
    recipe = LoRA(r=2)
    wrapped = wrap(recipe, model)
    adapted = {name.split(".lora_A")[0].rpartition(".")[2] for name, _ in wrapped.named_parameters() if "lora_A" in name}
    assert adapted == set(names)
    save_adapter(recipe, wrapped, tmp_path / "adapter")
    stored = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert set(stored["target_modules"]) == set(names)


def test_it_is_what_peft_means_by_all_linear(case):
    from copy import deepcopy

    from peft import LoraConfig, get_peft_model

    model, _ = case
    theirs = get_peft_model(deepcopy(model), LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
    ours = wrap(LoRA(r=2), model)
    assert [name for name, p in ours.named_parameters() if p.requires_grad] == [
        name for name, p in theirs.named_parameters() if p.requires_grad
    ]


@pytest.mark.parametrize("wrong", [("nope",), ("q_proj", "nope"), "nope"])
def test_a_wrong_name_is_refused_with_the_names_there_are(wrong):
    model = AutoModelForCausalLM.from_config(EXPECTED["phi"][0])
    with pytest.raises(RecipeError, match="no layer named 'nope'; its linear layers are q_proj, k_proj, v_proj, dense, fc1, fc2"):
        wrap(LoRA(target_modules=wrong), model)


def test_one_layer_can_be_meant_by_a_longer_name():
    wrapped = wrap(LoRA(r=2, target_modules=("layers.1.mlp.fc1",)), AutoModelForCausalLM.from_config(EXPECTED["phi"][0]))
    names = [name for name, p in wrapped.named_parameters() if p.requires_grad]
    assert len(names) == 2 and all("layers.1.mlp.fc1" in name for name in names)
