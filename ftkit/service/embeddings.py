"""The route /v1/embeddings, with the kit's embedding model."""

import base64
from functools import cache

import anyio
from fastapi import APIRouter

from ftkit.errors import ModelError
from ftkit.service.errors import ApiError, unknown_model
from ftkit.service.paging import Owner
from ftkit.service.requests import EmbeddingRequest

MODEL = "all-MiniLM-L6-v2"


def routes() -> APIRouter:
    router = APIRouter()
    turn: list[anyio.CapacityLimiter] = []

    @router.post("/embeddings")
    async def create(owner: Owner, request: EmbeddingRequest) -> dict:
        if request.model != MODEL:
            raise unknown_model(request.model)
        if not turn:
            turn.append(anyio.CapacityLimiter(1))
        vectors, tokens = await anyio.to_thread.run_sync(encode, request.input, limiter=turn[0])
        if request.dimensions not in (None, vectors.shape[1]):
            message = f"{MODEL} gives {vectors.shape[1]} dimensions; it was not trained to be cut shorter."
            raise ApiError(400, message, param="dimensions", code="invalid_value")
        as_text = request.encoding_format == "base64"
        data = [
            {
                "object": "embedding",
                "index": i,
                "embedding": base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_text else vector.tolist(),
            }
            for i, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": MODEL, "usage": usage}

    return router


@cache
def model():
    from ftkit.embed.model import load_base  # sentence-transformers; seconds, so not before the first request

    return load_base(None)


def encode(texts: list[str]):
    """(vectors of length 1, (len(texts), 384) float32; tokens of all texts together).

    Raises:
        ApiError: the model is not there, or a text is longer than it reads: nothing is cut off in silence.
    """
    try:
        loaded = model()
    except ModelError as error:
        raise ApiError(404, str(error), param="model", code="model_not_found") from None
    longest = loaded.transformer.max_seq_length
    lengths = [len(ids) for ids in loaded.transformer.tokenizer(texts, verbose=False).input_ids]
    for i, length in enumerate(lengths):
        if length > longest:
            message = f"Input {i} has {length} tokens; {MODEL} reads {longest} at most. Split it."
            raise ApiError(400, message, param="input", code="context_length_exceeded")
    return loaded.encode(texts), sum(lengths)
