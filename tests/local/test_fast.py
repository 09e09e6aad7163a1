"""What the engine does to be fast changes neither loss nor gradients: against Hugging Face's own padded forward."""

from copy import deepcopy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Gemma2Config, GemmaConfig, LlamaConfig, PhiConfig

from ftkit.bf16 import cpu_has_bf16
from ftkit.local import loss
from ftkit.local.chat import IGNORE
from ftkit.local.fast import quicken
from ftkit.local.fused import LoraLinear, fuse_lora
from ftkit.local.packing import _document, _short, pack, packs

SHAPE = dict(
    vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
    max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
)  # fmt: skip
CONFIGS = {
    "phi": PhiConfig(**SHAPE | {"num_key_value_heads": 2}, resid_pdrop=0.1, embd_pdrop=0.1, attention_dropout=0.1),
    "llama": LlamaConfig(**SHAPE),
    "gemma": GemmaConfig(**SHAPE, head_dim=16),
    "gemma2": Gemma2Config(**SHAPE, head_dim=16, final_logit_softcapping=2.0, attn_logit_softcapping=0.5, sliding_window=8),
}


@pytest.fixture(params=CONFIGS)
def pair(request):
    """(plain, quickened) with the same weights; large ones, so that a soft cap is felt."""
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(CONFIGS[request.param], dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in plain.parameters():
            if weight.ndim == 1:  # norms start as if they were not there
                weight.add_(torch.rand_like(weight) - 0.5)
        plain.get_output_embeddings().weight.mul_(20)
    return plain, quicken(deepcopy(plain)).train()


def batch():
    """Two rows of 20 and 13 tokens, padded on the right; the prompts carry no loss."""
    ids = torch.randint(3, 96, (2, 20), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[0, :9], labels[1, :5] = IGNORE, IGNORE
    ids[1, 13:], labels[1, 13:] = 1, IGNORE
    return ids, labels, (ids != 1).long()


def forms():
    """The same two rows as the engine may hand them over: padded without a mask, and packed."""
    ids, labels, mask = batch()
    rows = [{"input_ids": ids[row][mask[row] == 1].tolist(), "labels": labels[row][mask[row] == 1].tolist()} for row in (0, 1)]
    return {"padded": {"input_ids": ids, "labels": labels}, "packed": pack(rows)}


def reference(plain, **extra):
    """Hugging Face's loss of the padded, masked batch."""
    ids, labels, mask = batch()
    return plain(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False, **extra).loss


def same_gradients(plain, fast):
    for (name, a), b in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert a.requires_grad == b.requires_grad and (a.grad is None) == (b.grad is None), name
        assert a.grad is None or torch.allclose(a.grad, b.grad, atol=1e-5), name


@pytest.mark.parametrize("form", ["padded", "packed"])
@pytest.mark.parametrize("num_items", [None, torch.tensor(7)])
def test_loss_and_gradients_are_those_of_the_padded_and_masked_forward(pair, form, num_items, monkeypatch):
    monkeypatch.setattr(loss, "CHUNK", 96 * 5)  # 19 scored tokens, five at a time
    plain, fast = pair
    extra = {} if num_items is None else {"num_items_in_batch": num_items}
    expected, got = reference(plain, **extra), fast(**forms()[form], **extra).loss
    assert got.item() == pytest.approx(expected.item(), abs=1e-5)
    expected.backward(), got.backward()
    same_gradients(plain, fast)


@pytest.mark.parametrize("rslora", [False, True])
def test_a_fused_adapter_learns_what_pefts_does(pair, rslora, monkeypatch):
    monkeypatch.setattr(loss, "CHUNK", 96 * 5)
    plain, fast = adapted(pair, use_rslora=rslora)
    used = count_calls(monkeypatch)
    expected, got = reference(plain), fuse_lora(fast)(**forms()["packed"]).loss
    assert len(used) == sum(hasattr(module, "lora_A") for module in fast.modules()), "a layer fell through to PEFT"
    assert got.item() == pytest.approx(expected.item(), abs=1e-5)
    expected.backward(), got.backward()
    same_gradients(plain, fast)


@pytest.mark.parametrize("variant", [dict(use_dora=True), dict(lora_bias=True)])
def test_what_is_not_plain_lora_is_left_to_peft(pair, variant, monkeypatch):
    plain, fast = adapted(pair, **variant)
    used = count_calls(monkeypatch)
    expected, got = reference(plain), fuse_lora(fast)(**forms()["packed"]).loss
    expected.backward(), got.backward()
    assert not used
    same_gradients(plain, fast)


def test_dropout_is_left_to_peft(pair, monkeypatch):
    _, fast = adapted(pair, lora_dropout=0.5)
    used = count_calls(monkeypatch)
    fuse_lora(fast.train())(**forms()["packed"])
    assert not used


def test_a_fused_adapter_is_switched_off_merged_and_saved_by_peft(pair, tmp_path):
    plain, fast = adapted(pair)
    fuse_lora(fast)
    ids, _, _ = batch()
    with torch.no_grad():
        assert torch.allclose(fast(ids[:1]).logits, plain(ids[:1]).logits, atol=1e-4)
        with fast.disable_adapter(), plain.disable_adapter():
            off = fast(ids[:1]).logits
            assert torch.allclose(off, plain(ids[:1]).logits, atol=1e-4)
        fast.save_pretrained(tmp_path / "fast"), plain.save_pretrained(tmp_path / "plain")
        names = [tmp_path / one / "adapter_model.safetensors" for one in ("fast", "plain")]
        assert names[0].read_bytes() == names[1].read_bytes()
        on = fast(ids[:1]).logits
        merged = fast.merge_and_unload()(ids[:1]).logits
    assert torch.allclose(merged, on, atol=1e-3) and not torch.allclose(merged, off, atol=1e-2)


def adapted(pair, **settings):
    """Both models with the same LoRA adapter, B no longer zero."""
    made = []
    for model in pair:
        torch.manual_seed(1)
        config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear", **settings)
        made.append(get_peft_model(model, config).train(model.training))
        for name, weight in made[-1].named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
    return made


def count_calls(monkeypatch) -> list:
    used, apply = [], LoraLinear.apply
    monkeypatch.setattr(LoraLinear, "apply", lambda *args: used.append(1) or apply(*args))
    return used


def test_only_scored_tokens_reach_the_head_and_never_all_their_logits_at_once(pair, monkeypatch):
    monkeypatch.setattr(loss, "CHUNK", 96 * 5)
    seen, plain_logits = [], loss._logits

    def watched(hidden, *rest):
        seen.append(len(hidden))
        return plain_logits(hidden, *rest)

    monkeypatch.setattr(loss, "_logits", watched)
    _, fast = pair
    fast(**forms()["packed"])
    assert seen == [5, 5, 5, 4] and sum(seen) == 11 + 8


def test_with_a_frozen_head_the_logits_are_computed_once(pair, monkeypatch):
    seen, plain_logits = [], loss._logits
    monkeypatch.setattr(loss, "_logits", lambda hidden, *rest: seen.append(len(hidden)) or plain_logits(hidden, *rest))
    fast = get_peft_model(pair[1], LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    fast(**forms()["packed"]).loss.backward()
    assert seen == [19]


def test_packed_documents_do_not_see_each_other_though_the_config_asks_for_a_cache(pair):
    """The trap: with a cache transformers does not look at position_ids, and a document reads the one before it."""
    plain, fast = pair
    assert plain.config.use_cache
    packed = forms()["packed"]
    positions = torch.cat([torch.arange(length) for length in packed["lengths"]])[None]
    given = {"input_ids": packed["input_ids"], "labels": packed["labels"], "position_ids": positions}
    losses = {"right": reference(plain), "mixed": plain(**given).loss, "ours": fast(**packed).loss}
    weights = {name: (fast if name == "ours" else plain).model.layers[0].self_attn.q_proj.weight for name in losses}
    right, mixed, ours = (torch.autograd.grad(losses[name], weights[name])[0] for name in losses)
    assert (mixed - right).norm() > 0.3 * right.norm(), "transformers has mended it: the trap is gone"
    assert torch.allclose(ours, right, atol=1e-5)
    moved = packed["input_ids"].clone()
    moved[0, :20] = moved[0, :20].flip(0)  # the first document says something else; the second must not notice
    hidden = [loss.packed_hidden(fast, ids, packed["lengths"])[0, 20:] for ids in (packed["input_ids"], moved)]
    assert torch.equal(*hidden)


def test_the_first_token_of_a_packed_document_is_not_foretold_from_the_one_before(pair):
    rows = [{"input_ids": [5, 6, 7], "labels": [5, 6, 7]}, {"input_ids": [8, 9], "labels": [8, 9]}]
    assert pack(rows)["labels"].tolist() == [[IGNORE, 6, 7, IGNORE, 9]]


def test_a_model_that_can_pack_is_told_from_one_that_cannot(pair):
    from transformers import BloomConfig, BloomForCausalLM

    assert packs(pair[1]) and pair[1].training
    assert not packs(BloomForCausalLM(BloomConfig(vocab_size=96, hidden_size=32, n_layer=1, n_head=2)))


def test_without_labels_the_model_answers_as_before_and_is_saved_as_before(pair, tmp_path):
    plain, fast = pair
    fast(**forms()["packed"])
    ids, _, _ = batch()
    with torch.no_grad():
        assert torch.allclose(fast(ids[:1]).logits, plain(ids[:1]).logits, atol=1e-4)
    fast.save_pretrained(tmp_path / "fast")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "fast")
    assert again.config.to_dict().get("hidden_act") == plain.config.to_dict().get("hidden_act")
    assert again.config._attn_implementation == "sdpa" or type(plain).__name__ == "Gemma2ForCausalLM"
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("capability", "isa", "bf16", "amx", "expected"),
    [
        ("AVX512", None, True, False, True),
        ("AVX512", None, False, True, True),
        ("AVX512", None, False, False, False),
        ("AVX2", None, True, True, False),  # ATEN_CPU_CAPABILITY=avx2 on a newer CPU
        ("AVX512", "AVX2", True, True, False),
        ("AVX512", "AVX512_CORE_BF16", True, False, True),
    ],
)
def test_bf16_is_chosen_only_where_the_hardware_has_it_and_torch_may_use_it(capability, isa, bf16, amx, expected, monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if isa:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert cpu_has_bf16() is expected


@pytest.mark.parametrize("scale", [None, 0.3])
def test_attention_by_whole_matrices_is_torchs_own(scale):
    ours, theirs = (
        [part.requires_grad_() for part in torch.randn(3, 1, 4, 20, 8, generator=torch.Generator().manual_seed(0)).unbind()]
        for _ in range(2)
    )
    found = _short(*ours, scale)
    want = torch.nn.functional.scaled_dot_product_attention(*theirs, is_causal=True, scale=scale)
    assert torch.allclose(found, want, atol=1e-6)
    found.square().sum().backward(), want.square().sum().backward()
    for one, other in zip(ours, theirs):
        assert torch.allclose(one.grad, other.grad, atol=1e-5)


def test_in_bf16_on_a_cpu_short_documents_are_attended_as_precisely_as_by_torch():
    parts = torch.randn(3, 1, 4, 20, 8, generator=torch.Generator().manual_seed(0))
    exact = _document(*parts.double().unbind(), None, None, None)
    rounded = parts.bfloat16().unbind()
    ours = (_document(*rounded, None, None, None) - exact).abs().mean()
    theirs = (torch.nn.functional.scaled_dot_product_attention(*rounded, is_causal=True) - exact).abs().mean()
    assert 0 < ours < 1.5 * theirs


def test_one_operation_does_what_phis_activation_does_in_eight(pair):
    from transformers.activations import NewGELUActivation

    plain, fast = pair
    assert not any(isinstance(module, NewGELUActivation) for module in fast.modules())
    x = torch.linspace(-6, 6, 1001, dtype=torch.float64)
    assert torch.allclose(torch.nn.GELU(approximate="tanh")(x), NewGELUActivation()(x), atol=1e-12)
    assert type(plain).__name__ != "PhiForCausalLM" or any(isinstance(m, NewGELUActivation) for m in plain.modules())
