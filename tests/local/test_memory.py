"""The estimate before a training: memory, time, dollars."""

import json
import subprocess
import sys

import pytest
import torch
from transformers import LlamaConfig, PhiConfig

import ftkit as ft
from ftkit.estimate import Range, TrainingEstimate
from ftkit.local.memory import COURSE, flops_per_token, footprint
from ftkit.prices import prices

LLAMAS = {
    "33B": LlamaConfig(hidden_size=6656, intermediate_size=17920, num_hidden_layers=60, num_attention_heads=52),
    "65B": LlamaConfig(hidden_size=8192, intermediate_size=22016, num_hidden_layers=80, num_attention_heads=64),
}
TINY = PhiConfig(vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    ("method", "base", "gb"),
    [
        ("LoRA", "microsoft/phi-2", 16.2),
        ("LoRA", "google/gemma-2b", 14.0),
        ("LoRA", "meta-llama/Llama-2-7b-hf", 25.6),
        ("QLoRA", "microsoft/phi-2", 3.4),
        ("QLoRA", "google/gemma-2b", 5.5),
        ("QLoRA", "meta-llama/Llama-2-7b-hf", 5.7),
        ("QLoRA", "33B", 24),
        ("QLoRA", "65B", 45),
    ],
)
def test_known_cases_come_out_near_what_is_known_of_them(method, base, gb):
    """2,048 tokens, r=16, all linear layers, bf16; LoRA without checkpointing, QLoRA with; another engine than ours.

    The figures leave out what CUDA takes for itself: phi-2's QLoRA keeps 1.8 GB of weights, 0.4 of the adapter with its
    optimiser, 0.4 of logits and 0.3 of checkpoints, which leaves half a gigabyte of the 3.4 for one layer's activations.
    """
    config = LLAMAS[base] if base in LLAMAS else COURSE[base]()
    recipe = getattr(ft, method)(r=16)
    needed = footprint(recipe, config, 1, 2048, checkpointing=method == "QLoRA", plain=True, besides=0).total / 1e9
    assert abs(needed / gb - 1) <= 0.1, f"{needed:.1f} GB, known: {gb}"


def test_our_engine_needs_less_than_the_plain_forward_pass():
    config = PhiConfig(vocab_size=4096, hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=2)
    ours, plain = (footprint(ft.LoRA(), config, 4, 512, plain=plain, besides=0) for plain in (False, True))
    assert ours.activations < plain.activations


def test_memory_grows_with_rows_and_tokens_and_falls_with_four_bits_and_checkpointing():
    def gib(recipe=ft.LoRA(), rows=2, length=64, **more):
        return footprint(recipe, TINY, rows, length, besides=0, **more)

    assert 1.8 <= gib(rows=4, length=256).activations / gib(rows=2, length=256).activations <= 2.2
    assert gib(length=128).activations > 1.9 * gib().activations
    assert gib(ft.QLoRA()).weights < gib().weights
    assert gib(ft.LoRA(r=64)).trained > 3.9 * gib(ft.LoRA(r=16)).trained
    with pytest.warns(FutureWarning, match="gradient_checkpointing_enable"):
        assert gib(checkpointing=True).activations < gib().activations


def test_full_fine_tuning_holds_sixteen_bytes_a_parameter():
    from transformers import AutoModelForCausalLM

    count = AutoModelForCausalLM.from_config(TINY).num_parameters()
    for dtype in (torch.float32, torch.bfloat16):
        needed = footprint(ft.FullFineTune(), TINY, 1, 32, dtype=dtype)
        assert needed.weights + needed.trained == 16 * count


def test_the_work_per_token_is_that_of_the_formula():
    """By hand: 2 layers of 4·32² + 2·32·64 weights, the head, and causal attention over 10 tokens."""
    linear = 2 * (4 * 32**2 + 2 * 32 * 64) + 256 * 32
    attention = 4 * 10 * 32 * 2
    assert flops_per_token(ft.FullFineTune(), TINY, 10) == 3 * (2 * linear + attention)
    adapters = 2 * 16 * (4 * (32 + 32) + 2 * (32 + 64))
    assert flops_per_token(ft.LoRA(r=16), TINY, 10) == 2 * (2 * linear + attention) + attention + 6 * adapters


def test_every_gpu_of_the_course_has_its_facts():
    assert set(prices()["gpus"]) >= {"T4", "L4", "A100-40", "A100-80", "H100", "H200"}
    for facts in prices()["gpus"].values():
        assert facts["memory_gib"] > 10 and facts["tflops"] > 50 and 0 < facts["mfu_low"] < facts["mfu_high"] <= 0.45
        assert facts["as_of"] and facts["source"]


def test_phi_2_does_not_fit_a_t4_in_full_but_does_as_qlora(small_split):
    full = ft.FullFineTune(base="microsoft/phi-2", max_length=256).estimate(small_split, gpu="T4")
    small = ft.QLoRA(base="microsoft/phi-2", max_length=256).estimate(small_split, gpu="T4")
    assert not full.fits and "does not fit: take QLoRA" in str(full)
    assert small.fits and "hub is out of reach" in str(small)
    assert full.usd is None and "no dated price" in str(full)


def test_dollars_are_the_hours_times_the_price_of_the_hour(small_split):
    told = ft.LoRA().estimate(small_split, gpu="H100")
    hourly = prices()["gpus"]["H100"]
    assert told.usd.low == pytest.approx(told.seconds.low / 3600 * hourly["usd_per_hour_low"])
    assert told.usd.high == pytest.approx(told.seconds.high / 3600 * hourly["usd_per_hour_high"])
    assert "as of 2026" in str(told)


def test_an_unknown_gpu_and_an_unknown_model_are_refused_in_words(small_split):
    with pytest.raises(ft.ModelError, match="gpu='TPU' is not in prices.json; there are T4"):
        ft.LoRA().estimate(small_split, gpu="TPU")
    with pytest.raises(ft.ModelError, match="nothing can be estimated"):
        ft.LoRA(base="nobody/nothing").estimate(small_split, gpu="T4")


def test_what_was_estimated_stands_beside_what_was_measured(tiny_phi, small_split):
    recipe = ft.LoRA(base=tiny_phi)
    run = recipe.train(small_split)
    told = TrainingEstimate("LoRA", "this CPU", Range(0.5, 0.7), 16, Range(1, 2), None)
    assert run.usage.step == len(run.losses) and run.usage.seconds > 0 and run.usage.peak_gib > 0.1
    assert f"measured {run.usage.peak_gib:.1f}" in told.against(run)
    assert ft.Run.open(run.folder).usage == run.usage


@pytest.mark.parametrize("where", ["load_base", "trainer_for"])
def test_a_gpu_that_is_too_small_is_named_with_what_to_take_instead(tiny_phi, small_split, monkeypatch, where):
    from ftkit.local import engine

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine, where, full)
    with pytest.raises(ft.ModelError, match="LoRA does not fit the memory of this GPU; take QLoRA, a smaller batch_size"):
        ft.LoRA(base=tiny_phi).train(small_split)


MEASURE = """
import json, sys
import ftkit as ft
rows = ft.read_chats(ft.dataset("tickets"))
split = ft.Split(rows[:64], rows[64:72], rows[72:80])
recipe = getattr(ft, sys.argv[1])()
told = recipe.estimate(split)
run = recipe.train(split, folder="run")
print(json.dumps([told.gib.low, told.gib.high, run.usage.peak_gib]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["LoRA", "QLoRA", "FullFineTune"])
def test_the_peak_on_this_cpu_is_foretold_within_a_fifth(method):
    done = subprocess.run([sys.executable, "-c", MEASURE, method], capture_output=True, text=True, check=True)
    low, high, measured = json.loads(done.stdout.splitlines()[-1])
    assert 0.8 * measured <= high and low <= 1.2 * measured, (low, high, measured)
