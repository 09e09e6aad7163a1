"""Conversations under templates that know fewer roles than the data: system and developer turns, several turns."""

from copy import deepcopy

import pytest
from jinja2.exceptions import TemplateError

from ftkit import Chat, DataError
from ftkit.local.chat import IGNORE, encode, folded, prompt_text
from ftkit.local.model import LocalModel, load_base

STRICT = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system role here') }}{% endif %}"
    "{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('user and assistant must take turns') }}{% endif %}"
    "{{ '<|user|>' if m.role == 'user' else '<|assistant|>' }}{{ m.content | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""As Gemma's: no system role, strict turns, contents trimmed."""
DROPPING = STRICT.replace("{{ raise_exception('no system role here') }}", "{% set messages = messages[1:] %}")
"""As strict, but a system message vanishes without a word."""
SYSTEM_ONLY = (
    "{% for m in messages %}{% if m.role not in ('system', 'user', 'assistant') %}{{ raise_exception('unknown role') }}{% endif %}"
    "{{ '[' + m.role + ']' + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)
"""Knows system, but not developer."""
BRIEF, ASK = "Answer in one word.", "Where is my order?"


@pytest.fixture(scope="module")
def plain():
    return load_base(None)[1]


def under(tokenizer, template: str):
    changed = deepcopy(tokenizer)
    changed.chat_template = template
    return changed


def say(*turns: tuple[str, str]) -> list[dict]:
    return [{"role": role, "content": text} for role, text in turns]


def test_the_strict_template_really_refuses(plain):
    with pytest.raises(TemplateError, match="no system role here"):
        under(plain, STRICT).apply_chat_template(say(("system", BRIEF), ("user", ASK)), tokenize=False)


@pytest.mark.parametrize("template", [STRICT, DROPPING], ids=["refuses", "drops"])
@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_system_turn_is_folded_into_the_first_user_turn(plain, template, role):
    tokenizer = under(plain, template)
    turns = [("user", ASK), ("assistant", "Paris"), ("user", "And now?"), ("assistant", "Rome")]
    prompt = prompt_text(tokenizer, say((role, BRIEF), *turns[:3]))
    assert prompt == prompt_text(tokenizer, say(("user", f"{BRIEF}\n\n{ASK}"), *turns[1:3]))
    assert prompt.count(BRIEF) == 1
    row = encode(tokenizer, Chat(tuple(say((role, BRIEF), *turns))), max_length=128)
    assert tokenizer.decode(row["input_ids"]) == f"{prompt}Rome<|end|>"
    learnt = tokenizer.decode([token for token in row["labels"] if token != IGNORE])
    assert learnt == "Paris<|end|>Rome<|end|>"


def test_training_and_answering_see_the_same_folded_prompt(tiny_phi):
    model = LocalModel.load(tiny_phi)
    model.tokenizer.chat_template = STRICT
    messages = say(("system", BRIEF), ("user", ASK))
    row = encode(model.tokenizer, Chat((*messages, {"role": "assistant", "content": "Paris"})), max_length=64)
    prompt = [token for token, label in zip(row["input_ids"], row["labels"]) if label == IGNORE]
    assert model.tokenizer.decode(prompt) == prompt_text(model.tokenizer, messages)
    [done] = model.complete([messages], max_tokens=3)
    assert done.prompt_tokens == len(prompt) and model.reply(messages, 3) == model.reply(folded(messages), 3)


def test_a_developer_turn_becomes_a_system_turn_where_only_that_is_known(plain):
    text = prompt_text(under(plain, SYSTEM_ONLY), say(("developer", BRIEF), ("user", ASK)))
    assert text == f"[system]{BRIEF}<|end|>[user]{ASK}<|end|>[assistant]"


def test_a_template_that_knows_the_role_gets_it_untouched(plain):
    text = prompt_text(plain, say(("system", BRIEF), ("user", ASK)))
    assert text == f"<|endoftext|><|system|>{BRIEF}<|end|><|user|>{ASK}<|end|><|assistant|>"


def test_a_system_turn_alone_is_asked_as_a_user(plain):
    assert prompt_text(under(plain, STRICT), say(("system", BRIEF))) == f"<|endoftext|><|user|>{BRIEF}<|end|>\n<|assistant|>"


def test_a_conversation_no_form_of_which_fits_is_refused_with_its_place(plain):
    tokenizer = under(plain, STRICT)
    row = Chat(tuple(say(("user", ASK), ("user", ASK), ("assistant", "Paris"))), where="chats.jsonl:7")
    with pytest.raises(DataError, match="chats.jsonl:7: the model's chat template refuses.*user, user.*must take turns"):
        encode(tokenizer, row, max_length=64)
