"""What the engine does to be fast changes neither loss nor gradients: against Hugging Face's own forward."""

from copy import deepcopy

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GemmaConfig, LlamaConfig, PhiConfig

from ftkit.local.chat import IGNORE
from ftkit.local.fast import quicken

SHAPE = dict(
    vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
    max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
)  # fmt: skip
CONFIGS = {
    "phi": PhiConfig(**SHAPE | {"num_key_value_heads": 2}, resid_pdrop=0.0),
    "llama": LlamaConfig(**SHAPE),
    "gemma": GemmaConfig(**SHAPE, head_dim=16),
    "gemma2": Gemma2Config(**SHAPE, head_dim=16, final_logit_softcapping=2.0, sliding_window=8),
}


@pytest.fixture(params=CONFIGS)
def pair(request):
    """(plain, quickened) with the same weights; large ones, so that a soft cap is felt."""
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(CONFIGS[request.param], dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        plain.get_output_embeddings().weight.mul_(20)
    return plain, quicken(deepcopy(plain))


def batch():
    """Two rows of 20 and 13 tokens, padded on the right; the prompts carry no loss."""
    ids = torch.randint(3, 96, (2, 20), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[0, :9], labels[1, :5] = IGNORE, IGNORE
    ids[1, 13:], labels[1, 13:] = 1, IGNORE
    return ids, labels, (ids != 1).long()


@pytest.mark.parametrize("num_items", [None, torch.tensor(7)])
def test_loss_and_gradients_are_those_of_the_padded_and_masked_forward(pair, num_items):
    plain, fast = pair
    ids, labels, mask = batch()
    extra = {} if num_items is None else {"num_items_in_batch": num_items}
    expected = plain(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False, **extra).loss
    got = fast(input_ids=ids, labels=labels, **extra).loss
    assert got.item() == pytest.approx(expected.item(), abs=1e-5)
    expected.backward(), got.backward()
    for (name, a), b in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-5), name


def test_only_scored_tokens_reach_the_head(pair):
    _, fast = pair
    ids, labels, _ = batch()
    seen = []
    fast.get_output_embeddings().register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    fast(input_ids=ids, labels=labels)
    assert seen == [(11 + 8, 96)]


def test_without_labels_the_model_answers_as_before_and_is_saved_as_before(pair, tmp_path):
    plain, fast = pair
    ids, _, _ = batch()
    with torch.no_grad():
        assert torch.allclose(fast(ids[:1]).logits, plain(ids[:1]).logits, atol=1e-5)
    fast.save_pretrained(tmp_path / "fast")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "fast")
    assert again.config.to_dict().get("hidden_act") == plain.config.to_dict().get("hidden_act")
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), again.parameters(), strict=True))


def test_one_operation_does_what_phis_activation_does_in_eight(pair):
    from transformers.activations import NewGELUActivation

    plain, fast = pair
    assert not any(isinstance(module, NewGELUActivation) for module in fast.modules())
    x = torch.linspace(-6, 6, 1001, dtype=torch.float64)
    assert torch.allclose(torch.nn.GELU(approximate="tanh")(x), NewGELUActivation()(x), atol=1e-12)
    assert type(plain).__name__ != "PhiForCausalLM" or any(isinstance(m, NewGELUActivation) for m in plain.modules())
