"""A GPU without bf16, such as a T4: fp16 is chosen, and training in fp16 works. Seen without one: what torch would answer is
set, and the arithmetic is done by the CPU's fp16 kernels.
"""

import pytest
import torch

from ftkit import FullFineTune, LoRA, Run
from ftkit.doctor import doctor
from ftkit.embed import engine as embed_engine
from ftkit.local import engine, model


@pytest.fixture
def t4(monkeypatch):
    """What torch says on a T4: there is a GPU, and bf16 only if emulation counts."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=0: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index=0: type("Properties", (), {"total_memory": 15 * 2**30}))


def stay_here(monkeypatch):
    """The GPU is not really there."""
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: self)


def test_a_base_is_loaded_in_fp16(t4, tiny_phi, monkeypatch):
    stay_here(monkeypatch)
    base, _ = model.load_base(tiny_phi)
    assert base.dtype == torch.float16


def test_full_fine_tuning_keeps_its_weights_in_fp32(t4, tiny_phi, monkeypatch):
    stay_here(monkeypatch)
    monkeypatch.setattr(engine, "prepare", lambda recipe, base, pad: (base, None))
    assert engine.opened(FullFineTune(base=tiny_phi))[0].dtype == torch.float32
    assert engine.opened(LoRA(base=tiny_phi))[0].dtype == torch.float16


@pytest.mark.parametrize("recipe", [LoRA(), FullFineTune()], ids=lambda recipe: recipe.kind)
def test_the_trainer_is_told_fp16_and_never_bf16(recipe, t4, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "TrainingArguments", dict)
    told = engine.arguments(recipe, 10, False, tmp_path)
    assert (told["fp16"], told["bf16"]) == (True, False)


def test_embeddings_never_use_bf16(t4):
    assert embed_engine.bf16() is False


def test_the_doctor_says_fp16(t4):
    (device,) = [what for _, name, what in doctor().rows if name == "device"]
    assert device == "Tesla T4, 15 GiB; numbers in fp16 (this GPU has no bf16)"


def losses_of(recipe, small_split, folder, half: bool) -> list[float]:
    """Two steps as the Trainer makes them, in fp16 with scaled gradients or in fp32."""
    torch.manual_seed(0)
    base, tokenizer, collate = engine.opened(recipe)
    rows = [engine.encode(tokenizer, chat, recipe.max_length) for chat in small_split.train]
    trainer = engine.trainer_for(recipe, base, tokenizer, collate, rows, [], Run(folder, recipe, []))
    batch = collate(rows[:1])
    count = (batch["labels"] != -100).sum()
    optimizer, scaler, found = trainer.create_optimizer(), torch.amp.GradScaler("cpu", enabled=half), []
    base.train()
    for _ in range(2):
        with torch.autocast("cpu", torch.float16, enabled=half):
            loss = trainer.compute_loss(base, dict(batch), num_items_in_batch=count)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        assert all(p.grad.isfinite().all() and p.dtype == torch.float32 for p in base.parameters() if p.grad is not None)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


@pytest.mark.slow  # a CPU multiplies fp16 slowly
@pytest.mark.parametrize("kind", [LoRA, FullFineTune])
def test_training_in_fp16_learns_what_fp32_learns(kind, tiny_phi, small_split, tmp_path, monkeypatch):
    recipe = kind(base=tiny_phi, batch_size=8, learning_rate=3e-3)
    exact = losses_of(recipe, small_split, tmp_path / "fp32", half=False)
    monkeypatch.setattr(engine, "cpu_dtype", lambda recipe: torch.float16)  # as load_base would have it on a T4
    assert losses_of(recipe, small_split, tmp_path / "fp16", half=True) == pytest.approx(exact, rel=0.01)
    assert exact[-1] < exact[0]
