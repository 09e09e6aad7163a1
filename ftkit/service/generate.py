"""Answers in the making, one token at a time, so that a stream is one and many can be made side by side.

n is how many answers one request wants, T the length of its prompt in tokens, V the size of the vocabulary.
"""

import re
from dataclasses import dataclass, field

import torch

from ftkit.errors import ModelError
from ftkit.local.chat import prompt_text
from ftkit.local.model import LocalModel


@dataclass
class Choice:
    """One answer so far."""

    ids: list[int] = field(default_factory=list)
    text: str = ""
    """What can no longer change: never the beginning of a stop text, never half a character."""
    logprobs: list[dict] = field(default_factory=list)
    """In OpenAI's form, one entry a token; empty unless asked for."""
    finish_reason: str | None = None
    """"stop": the model ended, or a stop text came; "length": cut at the limit; None: not finished."""


class Generation:
    """The ``n`` answers to one prompt. `step` adds a token to each that is not finished."""

    def __init__(
        self,
        model: LocalModel,
        messages: list[dict],
        n: int = 1,
        max_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: tuple[str, ...] = (),
        top_logprobs: int | None = None,
    ):
        """``top_logprobs``: how many other tokens to tell of at each place; None: no log-probabilities at all.

        Raises:
            ModelError: the prompt leaves no room for an answer.
        """
        text = prompt_text(model.tokenizer, messages)
        ids = model.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids  # (1, T)
        self.prompt_tokens = ids.shape[1]
        room = model.context - self.prompt_tokens
        if room < 1:
            raise ModelError(f"{model.name}: a prompt of {self.prompt_tokens} tokens fills its {model.context}")
        self.max_tokens, self.temperature, self.top_p = min(max_tokens, room), temperature, top_p
        self.stop, self.top_logprobs = stop, top_logprobs
        self.choices = [Choice() for _ in range(n)]
        self._tokenizer = model.tokenizer
        ends = model.model.generation_config.eos_token_id
        self._ends = {ends} if isinstance(ends, int) else set(ends or ())
        self._next = ids.to(model.model.device).expand(n, -1)  # (n, T), later (n, 1)
        self._cache = None
        self._random = torch.Generator(model.model.device)
        self._random.seed() if seed is None else self._random.manual_seed(seed)

    @property
    def finished(self) -> bool:
        return all(choice.finish_reason for choice in self.choices)

    @property
    def completion_tokens(self) -> int:
        return sum(len(choice.ids) for choice in self.choices)

    @torch.inference_mode()
    def step(self, model: LocalModel) -> None:
        """Add a token to each answer. ``model`` must have the same adapter in use every time."""
        out = model.model(input_ids=self._next, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._cache = out.past_key_values
        logits = out.logits[:, -1].float()  # (n, V)
        chosen = self._draw(logits)  # (n, 1)
        logprobs = logits.log_softmax(-1) if self.top_logprobs is not None else None
        for row, choice in enumerate(self.choices):
            if choice.finish_reason is None:
                self._extend(choice, chosen[row].item(), None if logprobs is None else logprobs[row])
        self._next = chosen

    def _draw(self, logits: torch.Tensor) -> torch.Tensor:
        """The next token of each row, (n, 1): the likeliest at temperature 0, else drawn from the nucleus of mass top_p."""
        if self.temperature == 0:
            return logits.argmax(-1, keepdim=True)
        probabilities = (logits / max(self.temperature, 1e-4)).softmax(-1)
        if self.top_p < 1:
            ordered, order = probabilities.sort(-1, descending=True)
            outside = ordered.cumsum(-1) - ordered >= self.top_p  # the first token is always inside
            probabilities = torch.zeros_like(probabilities).scatter(-1, order, ordered.masked_fill(outside, 0))
        return torch.multinomial(probabilities, 1, generator=self._random)

    def _extend(self, choice: Choice, token: int, logprobs: torch.Tensor | None) -> None:
        choice.ids.append(token)
        ended = token in self._ends
        if logprobs is not None and not ended:
            best = logprobs.topk(self.top_logprobs) if self.top_logprobs else ((), ())
            others = [self._told(int(id), float(value)) for value, id in zip(*best)]
            choice.logprobs.append(self._told(token, float(logprobs[token])) | {"top_logprobs": others})
        full = len(choice.ids) >= self.max_tokens
        text = self._tokenizer.decode(choice.ids[:-1] if ended else choice.ids, skip_special_tokens=True)
        choice.text, cut = settled(text, ended or full, self.stop)
        choice.finish_reason = "stop" if ended or cut else "length" if full else None

    def _told(self, token: int, logprob: float) -> dict:
        text = self._tokenizer.decode([token])
        return {"token": text, "logprob": max(logprob, -9999.0), "bytes": list(text.encode())}


def settled(text: str, ended: bool, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The part of an unfinished answer that later tokens cannot change, and whether a stop text has cut it.

    >>> settled(" late par", ended=False, stop=("parcel",))
    ('late', False)
    >>> settled(" late parcel", ended=False, stop=("parcel",))
    ('late ', True)
    """
    text = text.strip() if ended else text.lstrip()
    cuts = [at for one in stop if (at := text.find(one)) >= 0]
    if cuts:
        return text[: min(cuts)], True
    if ended:
        return text, False
    begun = [len(text) - size for one in stop for size in range(1, len(one)) if text.endswith(one[:size])]
    text = text[: min(begun)] if begun else text
    return re.sub(r"[\s\ufffd]+$", "", text), False  # space at the end is dropped; half a character is not yet one
