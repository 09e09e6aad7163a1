"""QLoRA: a base in 4 bits, trained, answered with and merged on a CPU."""

import subprocess
import sys

import pytest
import torch

from ftkit import ModelError, Run, Step
from ftkit.local import QLoRA
from ftkit.local.model import LocalModel, Nf4, load_base

QUICK = dict(r=4, alpha=8, batch_size=8, learning_rate=1e-2, epochs=2)
LEVELS = [
    -1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0,
    0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
]  # fmt: skip
"""NormalFloat-4, from the appendix of arXiv:2305.14314."""


@pytest.fixture(scope="module")
def run(tiny_phi, tickets, tmp_path_factory) -> Run:
    from ftkit import Split

    split = Split(tickets[:24], tickets[24:32], tickets[32:40])
    return QLoRA(base=tiny_phi, **QUICK).train(split, folder=tmp_path_factory.mktemp("runs") / "qlora")


def test_loading_the_libraries_says_nothing():
    done = subprocess.run([sys.executable, "-c", "import ftkit, ftkit.local.model, bitsandbytes"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_weight_in_4_bits_is_its_blocks_largest_times_one_of_the_16_levels():
    """On the embedded model: on AVX512 bitsandbytes 0.50 reads layers whose width is no multiple of 64 with other blocks' scales."""
    plain = LocalModel.load().model.model.layers[0].mlp.fc1.weight
    stored = load_base(None, Nf4(double=False))[0].dequantize().model.layers[0].mlp.fc1.weight
    blocks, got = plain.detach().reshape(-1, 64), stored.detach().reshape(-1, 64)
    largest = blocks.abs().amax(dim=1, keepdim=True)
    levels = torch.tensor(LEVELS)
    nearest = levels[(blocks / largest).unsqueeze(-1).sub(levels).abs().argmin(-1)]
    assert torch.allclose(got, nearest * largest, atol=1e-6)
    assert (got - blocks).abs().max() > 1e-3


def test_the_head_and_the_embedding_keep_their_numbers(tiny_phi):
    plain, (stored, _) = LocalModel.load(tiny_phi).model, load_base(tiny_phi, Nf4())
    assert torch.equal(stored.lm_head.weight, plain.lm_head.weight)
    assert torch.equal(stored.model.embed_tokens.weight, plain.model.embed_tokens.weight)
    assert stored.model.layers[0].mlp.fc1.weight.dtype == torch.uint8


def test_training_on_4_bits_learns_and_the_run_reopens_as_it_was(run):
    assert run.status == "succeeded" and run.val_losses[-1] < run.val_losses[0]
    again = Run.open(run.folder)
    assert again.recipe == run.recipe and again.recipe.double_quant
    assert torch.equal(again.model.logits("Where is my order?"), run.model.logits("Where is my order?"))
    base = run.recipe.base_model()
    assert "4 bits" in base.name and (base.logits("Where?") - run.model.logits("Where?")).abs().max() > 1e-3


def test_merging_is_exact_on_the_numbers_it_was_trained_on_and_says_nothing(run, tmp_path, capfd, recwarn):
    from transformers import AutoModelForCausalLM

    run.model.logits("Where?")
    capfd.readouterr(), recwarn.clear()
    merged = run.model.merge()
    said = [str(one.message) for one in recwarn if "is_gradient_checkpointing" not in str(one.message)]  # PEFT's, silenced
    assert (capfd.readouterr(), said) == (("", ""), [])
    assert torch.allclose(merged.logits("Where is my order?"), run.model.logits("Where is my order?"), atol=1e-5)
    plain = AutoModelForCausalLM.from_pretrained(merged.save(tmp_path / "merged"))
    assert not getattr(plain, "is_quantized", False) and plain.dtype == torch.float32
    with torch.no_grad():
        logits = plain(**merged.tokenizer("Where?", return_tensors="pt")).logits[0]
    assert torch.allclose(logits, run.model.logits("Where?"), atol=1e-5)


def test_merging_into_4_bits_is_refused_with_the_reason(run):
    with pytest.raises(ModelError, match="rounding .* to the 16 levels again loses"):
        run.model.merge(four_bit=True)


def test_an_adapter_from_4_bits_does_not_fit_the_plain_base_as_well(run, tiny_phi):
    """Why merging goes by the dequantised weights: on the original ones the adapter answers something else."""
    on_plain = LocalModel.load(tiny_phi, run.folder / "adapter").logits("Where is my order?")
    assert (on_plain - run.model.logits("Where is my order?")).abs().max() > 1e-3


def test_an_adapter_fused_with_4_bits_learns_what_pefts_does(tiny_phi):
    from peft import LoraConfig, get_peft_model

    from ftkit.local.fused import fuse_lora

    found = []
    ids = torch.arange(3, 20)[None]
    for change in (lambda model: model, fuse_lora):
        torch.manual_seed(1)
        config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")
        model = change(get_peft_model(load_base(tiny_phi, Nf4())[0], config).train())
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        layer = model.get_base_model().model.layers[0].mlp.fc1
        found.append((loss.item(), layer.lora_A.default.weight.grad, layer.lora_B.default.weight.grad, "forward" in vars(layer)))
    (loss, *grads, fused), (loss_2, *grads_2, fused_2) = found
    assert (fused, fused_2) == (False, True)
    assert loss == pytest.approx(loss_2, abs=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) and a.abs().max() > 1e-4 for a, b in zip(grads, grads_2, strict=True))


def test_answering_first_does_not_spoil_training_afterwards(tiny_phi, small_split, run, monkeypatch):
    """On processors with AVX512-BF16, bitsandbytes repacks the weights in place at the first answer unless told not to."""
    import bitsandbytes as bnb

    monkeypatch.setattr(bnb.nn.modules, "has_avx512bf16", lambda: True)
    model, _ = load_base(tiny_phi, Nf4())
    layers = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert len(layers) == 12 and not any(layer.support_avx512bf16_for_cpu for layer in layers)
    losses = []
    recipe = QLoRA(base=tiny_phi, **QUICK)
    recipe.base_model().reply("Where?", max_tokens=2)
    recipe.train(small_split, watch=lambda event: losses.append(event.loss) if isinstance(event, Step) else None)
    assert losses == run.losses


def test_a_layer_whose_rows_end_within_a_block_of_64_is_refused_on_a_cpu(tiny_phi, tmp_path):
    """bitsandbytes 0.50 reads it with the wrong scales where the processor has AVX512."""
    from transformers import AutoTokenizer, PhiConfig, PhiForCausalLM

    config = PhiConfig.from_pretrained(tiny_phi)
    config.hidden_size, config.num_attention_heads = 96, 4
    PhiForCausalLM(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_phi).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="takes 96 numbers, no multiple of 64.*ft.LoRA"):
        QLoRA(base=str(tmp_path)).base_model()


def test_without_bitsandbytes_the_error_says_what_to_do(tiny_phi, monkeypatch):
    monkeypatch.setattr("ftkit.local.model.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install bitsandbytes. Or take ft.LoRA"):
        QLoRA(base=tiny_phi).base_model()
