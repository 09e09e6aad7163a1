"""From messages to token ids: the chat template, and which tokens carry loss."""

from ftkit.data import Chat
from ftkit.errors import DataError

INSTRUCT = (
    "{% for m in messages %}"
    "{% if m.role in ('system', 'developer') %}{{ 'Instruct: ' + m.content + '\n' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token + '\n' }}"
    "{% else %}{{ ('' if loop.previtem and loop.previtem.role in ('system', 'developer') else 'Instruct: ')"
    " + m.content + '\nOutput:' }}{% endif %}"
    "{% endfor %}"
)
"""The template for models that bring none: ``Instruct: … Output: …``, as Phi-2 was trained."""

IGNORE = -100
"""The label of tokens without loss, as torch's cross-entropy knows it."""


def use_template(tokenizer) -> None:
    """Give the tokenizer the fallback template if it has none of its own."""
    if tokenizer.chat_template is None:
        tokenizer.chat_template = INSTRUCT


def prompt_text(tokenizer, messages: list[dict]) -> str:
    """The text to be continued by the answer."""
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def encode(tokenizer, chat: Chat, max_length: int) -> dict[str, list[int]]:
    """``input_ids`` and ``labels`` of equal length; only what the assistant says, and the end after it, has labels.

    A message with ``"weight": 0`` is read but not learnt. Each turn's prompt, tokenised alone, must be a prefix of the
    tokenised conversation, or the border between prompt and answer would fall inside a token.

    Raises:
        DataError: the row is longer than ``max_length`` tokens, or the template merges tokens at the border.
    """
    ids: list[int] = []
    labels: list[int] = []
    for i, message in enumerate(chat.messages):
        if message["role"] != "assistant" or not message.get("content"):
            continue
        before = prompt_text(tokenizer, list(chat.messages[:i]))
        after = tokenizer.apply_chat_template(list(chat.messages[: i + 1]), tokenize=False)
        prompt = tokenizer(before, add_special_tokens=False).input_ids
        whole = tokenizer(after.rstrip("\n"), add_special_tokens=False).input_ids
        if whole[: len(prompt)] != prompt or prompt[: len(ids)] != ids:
            raise DataError(f"{chat.where}: the chat template merges tokens between message {i} and its prompt")
        learnt = message.get("weight", 1) == 1
        labels += [IGNORE] * (len(prompt) - len(ids))
        labels += whole[len(prompt) :] if learnt else [IGNORE] * (len(whole) - len(prompt))
        ids = whole
    if len(ids) > max_length:
        raise DataError(f"{chat.where}: {len(ids)} tokens, but max_length is {max_length}; shorten the row or raise it")
    return {"input_ids": ids, "labels": labels}
