"""The same training by TRL's SFTTrainer, which tokenises, masks, batches and counts by itself: the same losses."""

import math
from pathlib import Path

import pytest
import torch

from ftkit import Split, Step
from ftkit.local import LoRA

SETTINGS = dict(r=4, alpha=8, batch_size=4, epochs=2, learning_rate=1e-2, warmup=0.1, seed=3)


@pytest.fixture(scope="module")
def tiny_llama(tmp_path_factory) -> str:
    """A folder with a LlamaForCausalLM of 2 layers × 32, grouped queries, and the embedded model's tokenizer."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from ftkit.local.model import resolve

    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tokenizer = AutoTokenizer.from_pretrained(resolve(None))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def by_trl(base: str, split: Split, folder: Path) -> list[dict]:
    """What TRL logs, step by step: its own template call, its own completion mask, PEFT's own fresh adapter."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": list(row.messages[:-1]), "completion": list(row.messages[-1:])} for row in split.train]
    steps = math.ceil(len(rows) / SETTINGS["batch_size"]) * SETTINGS["epochs"]
    set_seed(SETTINGS["seed"])
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        processing_class=AutoTokenizer.from_pretrained(base),
        train_dataset=Dataset.from_list(rows),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=SETTINGS["r"], lora_alpha=SETTINGS["alpha"], target_modules="all-linear"
        ),
        args=SFTConfig(
            output_dir=str(folder), seed=SETTINGS["seed"], num_train_epochs=SETTINGS["epochs"],
            per_device_train_batch_size=SETTINGS["batch_size"], learning_rate=SETTINGS["learning_rate"],
            adam_beta2=0.95, lr_scheduler_type="cosine", warmup_steps=math.ceil(SETTINGS["warmup"] * steps), max_length=512,
            logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, bf16=False,
            gradient_checkpointing=False, dataloader_pin_memory=False, completion_only_loss=True,
        ),
    )  # fmt: skip
    trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("family", ["phi", "llama"])
def test_the_loss_curve_is_that_of_trls_sfttrainer(family, tiny_phi, tiny_llama, small_split, tmp_path):
    base = {"phi": tiny_phi, "llama": tiny_llama}[family]
    ours = []
    LoRA(base=base, **SETTINGS).train(small_split, watch=lambda event: ours.append(event) if isinstance(event, Step) else None)
    theirs = by_trl(base, small_split, tmp_path / "trl")
    assert len(ours) == len(theirs) == 12
    assert [event.learning_rate for event in ours] == pytest.approx([entry["learning_rate"] for entry in theirs], rel=1e-9)
    assert [event.loss for event in ours] == pytest.approx([entry["loss"] for entry in theirs], abs=1e-5)
    assert [event.accuracy for event in ours] == pytest.approx([entry["mean_token_accuracy"] for entry in theirs], abs=1e-6)
    assert ours[-1].loss < ours[0].loss - 0.1, "nothing was learnt: the curves would agree whatever the gradients are"
