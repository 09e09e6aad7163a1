"""The routes under /v1/models and /v1/chat/completions, and the shelf of loaded models behind them."""

import json
import re
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from ftkit.errors import ModelError
from ftkit.service.errors import ApiError, unknown_model
from ftkit.service.requests import ChatRequest
from ftkit.service.store import Store, new_id

SHELF = 3
"""Models kept in memory; the one unused for longest makes room."""

MAX_TOKENS = 256
"""Of an answer whose request names no limit."""


class Shelf:
    """The models that can be asked: the bases, and every tuned model in the store."""

    def __init__(self, store: Store, bases: list[str]):
        self.store, self.bases = store, bases
        self.created = int(time.time())
        self.loaded: OrderedDict = OrderedDict()
        self.lock = threading.Lock()  # one answer is generated at a time

    def find(self, id: str) -> dict:
        """The ``model`` object, or 404."""
        if id in self.bases:
            return {"id": id, "object": "model", "created": self.created, "owned_by": "ftkit"}
        row = self.store.one("models", id)
        if row is None:
            raise unknown_model(id)
        return tuned(row)

    def delete(self, id: str) -> None:
        """Forget a tuned model, on disk too; a base is refused."""
        self.find(id)
        if id in self.bases:
            raise ApiError(403, f"{id} is a base model; only fine-tuned models can be deleted.", param="model")
        row = self.store.one("models", id)
        with self.store.transaction() as db:
            db.execute("DELETE FROM models WHERE id = ?", (id,))
        with self.lock:
            self.loaded.pop(id, None)
            shutil.rmtree(self.store.run_folder(row["job"]), ignore_errors=True)

    def complete(self, id: str, batch: list[list[dict]], **settings) -> list:
        """A `Completion` for each list of messages."""
        self.find(id)
        with self.lock:
            try:
                return self._model(id).complete(batch, **settings)
            except ModelError as error:
                code = "context_length_exceeded" if "tokens" in str(error) else "model_error"
                raise ApiError(400, str(error), param="messages", code=code) from None

    def _model(self, id: str):
        from ftkit.local.model import LocalModel  # torch, transformers, peft; seconds, so not before the first question

        if id not in self.loaded:
            while len(self.loaded) >= SHELF:
                self.loaded.popitem(last=False)
            if id in self.bases:
                self.loaded[id] = LocalModel.load(id)
            else:
                row = self.store.one("models", id)
                self.loaded[id] = LocalModel.load(row["base"], adapter=self.store.run_folder(row["job"]) / "adapter")
        self.loaded.move_to_end(id)
        return self.loaded[id]


def routes(store: Store, shelf: Shelf) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    def list_models() -> dict:
        rows, _ = store.page("models", after=None, limit=10_000)
        return {"object": "list", "data": [shelf.find(id) for id in shelf.bases] + [tuned(row) for row in rows]}

    @router.get("/models/{id:path}")
    def retrieve(id: str) -> dict:
        return shelf.find(id)

    @router.delete("/models/{id:path}")
    def delete(id: str) -> dict:
        shelf.delete(id)
        return {"id": id, "object": "model", "deleted": True}

    @router.post("/chat/completions")
    def create(request: ChatRequest):
        temperature = 1.0 if request.temperature is None else request.temperature
        completions = shelf.complete(
            request.model,
            [[message.model_dump() for message in request.messages]] * (request.n or 1),
            max_tokens=request.max_completion_tokens or request.max_tokens or MAX_TOKENS,
            temperature=temperature,
            top_p=request.top_p or 1.0,
            seed=request.seed,
            stop=request.stop or (),
        )
        answer = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": request.model}
        usage = usage_of(completions)
        if request.stream:
            with_usage = bool(request.stream_options and request.stream_options.include_usage)
            lines = stream(answer, completions, usage if with_usage else None)
            return StreamingResponse(lines, media_type="text/event-stream")
        choices = [
            {
                "index": i,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": None,
                "finish_reason": one.finish_reason,
            }
            for i, one in enumerate(completions)
        ]
        return {"object": "chat.completion", **answer, "choices": choices, "usage": usage}

    return router


def tuned(row: dict) -> dict:
    """The row as OpenAI's ``model`` object."""
    return {"id": row["id"], "object": "model", "created": row["created_at"], "owned_by": "local"}


def usage_of(completions: list) -> dict:
    """Tokens billed: the prompt once, every answer."""
    prompt, answers = completions[0].prompt_tokens, sum(one.completion_tokens for one in completions)
    return {"prompt_tokens": prompt, "completion_tokens": answers, "total_tokens": prompt + answers}


def stream(answer: dict, completions: list, usage: dict | None) -> Iterator[str]:
    """The answer as server-sent events, word by word. It is generated whole first: only the form is a stream."""

    def line(choices: list, **more) -> str:
        return "data: " + json.dumps({"object": "chat.completion.chunk", **answer, "choices": choices, **more}) + "\n\n"

    for i, one in enumerate(completions):
        yield line([{"index": i, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        for word in re.findall(r"\s*\S+|\s+$", one.text):
            yield line([{"index": i, "delta": {"content": word}, "finish_reason": None}])
        yield line([{"index": i, "delta": {}, "finish_reason": one.finish_reason}])
    if usage:
        yield line([], usage=usage)
    yield "data: [DONE]\n\n"
