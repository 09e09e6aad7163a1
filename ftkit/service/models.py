"""The routes under /v1/models, and the shelf of loaded models behind them and the chat."""

import shutil
import time
import weakref
from collections import OrderedDict

import anyio
from fastapi import APIRouter

from ftkit.errors import ModelError
from ftkit.service import embeddings
from ftkit.service.errors import ApiError, unknown_model
from ftkit.service.paging import Owner
from ftkit.service.requests import ChatRequest
from ftkit.service.store import Store

ADAPTERS = 16
"""Kept on a base while nobody uses them; the one unused for longest makes room."""


class Shelf:
    """The models that can be asked. Each base is loaded once; the adapters of its tuned models are switched on it.

    Everything that touches a model runs in a thread, one at a time, in the order of asking: a request takes its turn
    again for every token, so that many answers grow side by side and the service stays responsive.
    """

    def __init__(self, store: Store, bases: list[str]):
        self.store, self.bases = store, bases
        self.created = int(time.time())
        self._turn: anyio.CapacityLimiter | None = None
        self._loaded: dict[str, object] = {}
        """base → LocalModel"""
        self._adapters: OrderedDict[str, str] = OrderedDict()
        """tuned model → the name of its adapter on its base, the least recently used first"""
        self._making: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
        """Generation → (owner, model), for as long as somebody wants the answers"""

    async def take_turn(self, act, *args):
        """What ``act`` returns, in a thread, once it is its turn."""
        if self._turn is None:
            self._turn = anyio.CapacityLimiter(1)  # fair: first come, first served
        return await anyio.to_thread.run_sync(act, *args, limiter=self._turn)

    def find(self, owner: str, id: str) -> dict:
        """The ``model`` object, or 404."""
        if id in self.bases:
            return {"id": id, "object": "model", "created": self.created, "owned_by": "ftkit"}
        if id == embeddings.MODEL:
            return {"id": id, "object": "model", "created": self.created, "owned_by": "sentence-transformers"}
        row = self.store.one("models", id, owner=owner)
        if row is None:
            raise unknown_model(id)
        return tuned(row)

    def in_making(self, owner: str) -> int:
        """How many requests of the owner are being answered."""
        return sum(whose == owner for whose, _ in list(self._making.values()))

    async def begin(self, owner: str, request: ChatRequest):
        """The `Generation` that answers a request, its first token made."""
        self.find(owner, request.model)
        return await self.take_turn(self._begin, owner, request)

    async def step(self, generation) -> None:
        """One more token for each of its answers."""
        await self.take_turn(self._step, generation)

    def _begin(self, owner: str, request: ChatRequest):
        from ftkit.service.generate import Generation  # torch

        try:
            model = self._in_use(owner, request.model)
            generation = Generation(
                model,
                [message.model_dump() for message in request.messages],
                n=request.n or 1,
                max_tokens=request.longest,
                temperature=1.0 if request.temperature is None else request.temperature,
                top_p=request.top_p or 1.0,
                seed=request.seed,
                stop=tuple(request.stop or ()),
                top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
            )
        except ModelError as error:
            code = "context_length_exceeded" if "tokens" in str(error) else "model_error"
            raise ApiError(400, str(error), param="messages", code=code) from None
        self._making[generation] = (owner, request.model)
        generation.step(model)
        return generation

    def _step(self, generation) -> None:
        generation.step(self._in_use(*self._making[generation]))

    def _in_use(self, owner: str, id: str):
        """The loaded model, its adapter switched on."""
        if id in self.bases:
            return self._base(id).use(None)
        row = self.store.one("models", id, owner=owner)
        if row is None:  # deleted while an answer was made
            raise unknown_model(id)
        model = self._base(row["base"])
        if id in self._adapters:
            self._adapters.move_to_end(id)
            name = self._adapters[id]
            return model if model.in_use == name else model.use(name)
        name = row["folder"].replace("/", "-")  # PEFT wants no dots
        model.add_adapter(name, self.store.root / row["folder"])
        self._adapters[id] = name
        self._make_room()
        return model

    def _base(self, id: str):
        from ftkit.local.model import LocalModel  # torch, transformers, peft; seconds, so not before the first question

        if id not in self._loaded:
            self._loaded[id] = LocalModel.load(id)
        return self._loaded[id]

    def _make_room(self) -> None:
        wanted = {model for _, model in list(self._making.values())}
        for id in [one for one in list(self._adapters)[:-1] if one not in wanted][: max(0, len(self._adapters) - ADAPTERS)]:
            self._unload(id)

    def _unload(self, id: str) -> None:
        name = self._adapters.pop(id, None)
        for model in self._loaded.values():
            if name and name in model.adapters:
                model.remove_adapter(name)

    def delete(self, owner: str, id: str) -> None:
        """Forget a tuned model, on disk too; a base is refused."""
        self.find(owner, id)
        row = self.store.one("models", id, owner=owner)
        if row is None:
            raise ApiError(403, f"{id} is a base model; only fine-tuned models can be deleted.", param="model")
        with self.store.transaction() as db:
            db.execute("DELETE FROM models WHERE id = ?", (id,))
        self._unload(id)
        shutil.rmtree(self.store.root / row["folder"], ignore_errors=True)


def routes(store: Store, shelf: Shelf) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    def list_models(owner: Owner) -> dict:
        rows, _ = store.page("models", owner=owner)
        own = [shelf.find(owner, id) for id in (*shelf.bases, embeddings.MODEL)]
        return {"object": "list", "data": own + [tuned(row) for row in rows]}

    @router.get("/models/{id:path}")
    def retrieve(owner: Owner, id: str) -> dict:
        return shelf.find(owner, id)

    @router.delete("/models/{id:path}")
    async def delete(owner: Owner, id: str) -> dict:
        await shelf.take_turn(shelf.delete, owner, id)
        return {"id": id, "object": "model", "deleted": True}

    return router


def tuned(row: dict) -> dict:
    """The row as OpenAI's ``model`` object."""
    return {"id": row["id"], "object": "model", "created": row["created_at"], "owned_by": row["owner"]}
