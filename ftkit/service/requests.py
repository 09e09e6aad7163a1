"""What a request may say. pydantic checks it; `errors.from_validation` puts complaints into OpenAI's envelope."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ftkit.data import ROLES
from ftkit.hosted import BATCH_SIZES, EPOCHS, LARGEST_SEED, LONGEST_SUFFIX


MAX_TOKENS = 256
"""Of an answer whose request names no limit."""


def _auto_or_whole(low: int, high: int):
    def check(value):
        if value == "auto" or value is None or (type(value) is int and low <= value <= high):
            return value
        raise ValueError(f"want 'auto' or a whole number from {low} to {high}")

    return BeforeValidator(check)


def _auto_or_positive(value):
    if value == "auto" or value is None or (type(value) in (int, float) and 0 < value <= 100):
        return value
    raise ValueError("want 'auto' or a number above 0, 100 at most")


class Strict(BaseModel):
    """Refuses fields it does not know: what the service would ignore, it must not accept."""

    model_config = ConfigDict(extra="forbid")


class Body(Strict):
    """A whole request."""

    @model_validator(mode="before")
    @classmethod
    def _text_that_can_be_stored(cls, values):
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half a character (a lone surrogate)") from None
        return values


class Hyperparameters(Strict):
    n_epochs: Annotated[int | str | None, _auto_or_whole(*EPOCHS)] = "auto"
    batch_size: Annotated[int | str | None, _auto_or_whole(*BATCH_SIZES)] = "auto"
    learning_rate_multiplier: Annotated[float | str | None, BeforeValidator(_auto_or_positive)] = "auto"


class DpoHyperparameters(Hyperparameters):
    beta: Annotated[float | str | None, BeforeValidator(_auto_or_positive)] = "auto"


class Supervised(Strict):
    hyperparameters: Hyperparameters | None = None


class Dpo(Strict):
    hyperparameters: DpoHyperparameters | None = None


class Method(Strict):
    type: Literal["supervised", "dpo"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None

    @model_validator(mode="after")
    def _no_settings_of_another_method(self):
        other = {"supervised": "dpo", "dpo": "supervised"}[self.type]
        if getattr(self, other) is not None:
            raise ValueError(f"type is {self.type!r}, but settings are given for {other!r}")
        return self


Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]

WHOLE_64_BITS = {"ge": -(2**63), "le": 2**63 - 1}


class JobRequest(Body):
    model: str
    training_file: str
    validation_file: str | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=LONGEST_SUFFIX)] | None = None
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED, strict=True)] | None = None
    metadata: Annotated[Metadata, Field(max_length=16)] | None = None
    integrations: Annotated[list, Field(max_length=0)] | None = None

    @property
    def settings(self) -> Hyperparameters:
        """What was asked for, in the new place (``method``) or the deprecated one."""
        if self.method and self.method.type == "dpo":
            return (self.method.dpo and self.method.dpo.hyperparameters) or DpoHyperparameters()
        in_method = self.method and self.method.supervised and self.method.supervised.hyperparameters
        return in_method or self.hyperparameters or Hyperparameters()


def _joined(content):
    """The text of a message; a list of text parts is joined."""
    if content is None:
        return ""
    if isinstance(content, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise ValueError("this service reads text only")
        return "\n".join(part["text"] for part in content)
    return content


def _listed(value):
    return [value] if isinstance(value, str) else value


class Message(BaseModel):
    role: Literal[ROLES]
    content: Annotated[str, BeforeValidator(_joined)] = ""


class StreamOptions(BaseModel):
    include_usage: bool = False
    include_obfuscation: bool = False


class TextFormat(Strict):
    type: Literal["text"]


class ChatRequest(Body):
    model: str
    messages: Annotated[list[Message], Field(min_length=1, max_length=2048)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    seed: Annotated[int, Field(**WHOLE_64_BITS)] | None = None
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=4), BeforeValidator(_listed)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    # Accepted because they change nothing here.
    user: str | None = None
    metadata: dict | None = None
    store: bool | None = None
    response_format: TextFormat | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None

    @property
    def longest(self) -> int:
        """Tokens of an answer, at most."""
        return self.max_completion_tokens or self.max_tokens or MAX_TOKENS


class EmbeddingRequest(Body):
    model: str
    input: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=2048), BeforeValidator(_listed)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None
