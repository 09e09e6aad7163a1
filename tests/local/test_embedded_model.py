"""The small model that ships with the kit: whole, alive, and what its card says."""

import json
import math
from pathlib import Path

import pytest
import torch

import ftkit
from ftkit.local import EMBEDDED
from ftkit.local.model import LocalModel, load_base, resolve

FOLDER = Path(resolve(None))
TEXTS = {
    "English": "The man looked at the house and said that he would come back in the morning.",
    "Vietnamese": "Hà Nội là thủ đô của Việt Nam, nằm ở phía bắc của đất nước.",
    "code": "def __init__(self, name):\n    self.name = name\n",
    "chat": "<|endoftext|><|user|>I would like to book a table for two at 7 pm.<|end|><|assistant|>",
}


@pytest.fixture(scope="module")
def embedded():
    return load_base(None)


@pytest.mark.parametrize("kind", TEXTS)
def test_it_has_learnt_what_text_looks_like(embedded, kind):
    """A dead or shuffled file would still load; its loss would not be far under ln 12107 = 9.4, that of knowing nothing."""
    model, tokenizer = embedded
    ids = tokenizer(TEXTS[kind], return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        loss = model(**ids, labels=ids.input_ids).loss.item()
    assert loss < 5.5, f"{kind}: {loss:.2f} nats a token"


def test_every_text_comes_back_and_nothing_is_unknown(embedded):
    _, tokenizer = embedded
    for text in (*TEXTS.values(), "Đơn #74937 giá 249.000đ 😀 日本語"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids
    assert len(tokenizer("899308", add_special_tokens=False).input_ids) == 6, "digits are tokens of their own"


def test_pad_end_of_turn_and_end_of_text_are_three_tokens(embedded):
    model, tokenizer = embedded
    assert len({tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id}) == 3
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert set(model.generation_config.eos_token_id) == {tokenizer.eos_token_id, tokenizer.bos_token_id}


def test_it_is_a_phi_as_phi_2_is():
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.bfloat16)
    assert type(model).__name__ == "PhiForCausalLM" and model.dtype == torch.bfloat16
    assert model.config.hidden_act == "gelu_new" and not model.config.tie_word_embeddings
    layers = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert layers == {"q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2", "lm_head"}


def test_it_ends_its_turn_and_answers_something_in_both_languages():
    model = LocalModel.load()
    asked = ("Thank you!", "Cảm ơn bạn nhé!", "Hello! Who are you?", "I would like to book a table for two at 7 pm.")
    for answer in model.complete([[{"role": "user", "content": text}] for text in asked], max_tokens=80):
        assert answer.finish_reason == "stop" and answer.text


def test_it_is_small_enough_to_ship_and_the_card_names_it():
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert EMBEDDED in card and all(word in card for word in ("Licence", "cannot do", "bits per byte"))
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "float16" and math.log(config["vocab_size"]) > 9
    assert Path(ftkit.__file__).parent in FOLDER.parents
