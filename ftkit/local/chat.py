"""From messages to token ids: the chat template, and which tokens carry loss."""

from jinja2.exceptions import TemplateError

from ftkit.data import Chat
from ftkit.errors import DataError
from ftkit.lang import say

INSTRUCT = (
    "{% for m in messages %}"
    "{% if m.role in ('system', 'developer') %}{{ 'Instruct: ' + m.content + '\n' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token + '\n' }}"
    "{% else %}{{ ('' if loop.previtem and loop.previtem.role in ('system', 'developer') else 'Instruct: ')"
    " + m.content + '\nOutput:' }}{% endif %}"
    "{% endfor %}"
)
"""The template for models that bring none: ``Instruct: … Output: …``, as Phi-2 was trained."""

INSTRUCTORS = ("system", "developer")
"""The roles that say how to answer; not every template knows them."""

IGNORE = -100
"""The label of tokens without loss, as torch's cross-entropy knows it."""


def use_template(tokenizer) -> None:
    """Give the tokenizer the fallback template if it has none of its own."""
    if tokenizer.chat_template is None:
        tokenizer.chat_template = INSTRUCT


def prompt_text(tokenizer, messages: list[dict]) -> str:
    """The text to be continued by the answer."""
    return render(tokenizer, messages, add_generation_prompt=True)


def render(tokenizer, messages: list[dict], **options) -> str:
    """The conversation as the model's template writes it.

    A template may refuse or drop what a system or developer message says (Gemma's knows neither role). Then the first
    of these that it takes is used: the same with the role named "system"; the text put before the first user turn.

    Raises:
        DataError: the template refuses the conversation in every form.
    """
    refusal = None
    for form in (messages, as_system(messages), folded(messages)):
        try:
            text = tokenizer.apply_chat_template(form, tokenize=False, **options)
        except TemplateError as error:
            refusal = refusal or error
            continue
        if all(message["content"].strip() in text for message in messages if message["role"] in INSTRUCTORS):
            return text
    raise DataError(
        f"the model's chat template refuses a conversation with the roles {', '.join(m['role'] for m in messages)}: "
        f"{refusal or say('it drops the system message')}"
    )


def as_system(messages: list[dict]) -> list[dict]:
    """The messages with "system" for "developer", the older name that most templates know."""
    return [{**message, "role": "system"} if message["role"] in INSTRUCTORS else message for message in messages]


def folded(messages: list[dict]) -> list[dict]:
    """The messages without system and developer turns: what they say stands before the next user turn.

    >>> folded([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my order?"}])
    [{'role': 'user', 'content': 'Be brief.\\n\\nWhere is my order?'}]
    """
    result: list[dict] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] in INSTRUCTORS:
            waiting.append(message["content"])
            continue
        if waiting and message["role"] == "user":
            message = {**message, "content": "\n\n".join([*waiting, message["content"]])}
            waiting = []
        result.append(message)
    return result + [{"role": "user", "content": "\n\n".join(waiting)}] if waiting else result


def encode(tokenizer, chat: Chat, max_length: int) -> dict[str, list[int]]:
    """``input_ids`` and ``labels`` of equal length; only what the assistant says, and the end after it, has labels.

    A message with ``"weight": 0`` is read but not learnt. Each turn's prompt, tokenised alone, must be a prefix of the
    tokenised conversation, or the border between prompt and answer would fall inside a token.

    Raises:
        DataError: the row is longer than ``max_length`` tokens, or the template refuses it or merges tokens at the border.
    """
    ids: list[int] = []
    labels: list[int] = []
    for i, message in enumerate(chat.messages):
        if message["role"] != "assistant" or not message.get("content"):
            continue
        try:
            before = prompt_text(tokenizer, list(chat.messages[:i]))
            after = render(tokenizer, list(chat.messages[: i + 1]))
        except DataError as error:
            raise DataError(f"{chat.where}: {error}") from None
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
