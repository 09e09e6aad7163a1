"""Shared fixtures. Tiny models are built from a config here; nothing is downloaded."""

import pytest


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """Every test works in a folder of its own, so that `runs/` lands there, and with a progress of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FTKIT_HOME", str(tmp_path / ".ftkit"))


@pytest.fixture(scope="session")
def tiny_phi(tmp_path_factory) -> str:
    """A folder with a PhiForCausalLM of 2 layers × 64 and the embedded model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, PhiConfig, PhiForCausalLM

    from ftkit.local.model import resolve

    folder = tmp_path_factory.mktemp("models") / "tiny-phi"
    tokenizer = AutoTokenizer.from_pretrained(resolve(None))
    assert len(set(tokenizer("Where is my order?").input_ids)) > 3, "the fixture's tokenizer is dead"
    torch.manual_seed(0)
    config = PhiConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        resid_pdrop=0.0,
    )
    PhiForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tickets():
    from ftkit import read_chats
    from ftkit.datasets import dataset

    return read_chats(dataset("tickets"))


@pytest.fixture
def small_split(tickets):
    """24 training rows, 8 for validation, 8 for the test."""
    from ftkit import Split

    return Split(tickets[:24], tickets[24:32], tickets[32:40])
