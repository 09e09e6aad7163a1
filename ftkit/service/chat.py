"""The route /v1/chat/completions: whole answers, and streams of them."""

import json
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from ftkit.service.errors import ApiError, refusal_of
from ftkit.service.limits import Limits
from ftkit.service.models import Shelf
from ftkit.service.paging import Owner
from ftkit.service.requests import ChatRequest
from ftkit.service.store import new_id

LOOK_UP = 8
"""Tokens between two looks whether the client is still there."""


def routes(shelf: Shelf, limits: Limits) -> APIRouter:
    router = APIRouter()

    @router.post("/chat/completions", response_model=None)
    async def create(owner: Owner, request: ChatRequest, http: Request) -> dict | Response:
        if request.top_logprobs is not None and not request.logprobs:
            raise ApiError(400, "'top_logprobs' needs 'logprobs': true.", param="top_logprobs", code="invalid_value")
        if shelf.in_making(owner) >= limits.chats:
            message = f"You have {limits.chats} answers in the making already; wait for one to end."
            raise ApiError(429, message, code="rate_limit_exceeded")
        generation = await shelf.begin(owner, request)
        answer = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": request.model}
        if request.stream:
            with_usage = bool(request.stream_options and request.stream_options.include_usage)
            return StreamingResponse(stream(shelf, generation, answer, with_usage), media_type="text/event-stream")
        steps = 1
        while not generation.finished:
            await shelf.step(generation)
            steps += 1
            if steps % LOOK_UP == 0 and await http.is_disconnected():
                return Response(status_code=499)  # nobody reads it
        choices = [
            {
                "index": i,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": {"content": one.logprobs, "refusal": None} if request.logprobs else None,
                "finish_reason": one.finish_reason,
            }
            for i, one in enumerate(generation.choices)
        ]
        return {"object": "chat.completion", **answer, "choices": choices, "usage": usage_of(generation)}

    return router


def usage_of(generation) -> dict:
    """Tokens billed: the prompt once, every answer."""
    prompt, answers = generation.prompt_tokens, generation.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": answers, "total_tokens": prompt + answers}


async def stream(shelf: Shelf, generation, answer: dict, with_usage: bool) -> AsyncIterator[str]:
    """The answers as server-sent events, each piece as soon as it is settled. Ends where the client does."""
    usage = {"usage": None} if with_usage else {}

    def line(i: int, delta: dict, reason: str | None = None, logprobs: list | None = None) -> str:
        told = {"content": logprobs, "refusal": None} if logprobs else None
        choice = {"index": i, "delta": delta, "logprobs": told, "finish_reason": reason}
        return event({"object": "chat.completion.chunk", **answer, "choices": [choice], **usage})

    sent = [(0, 0)] * len(generation.choices)
    """Characters of each answer, and log-probabilities."""
    open_ones = set(range(len(sent)))
    for i in open_ones:
        yield line(i, {"role": "assistant", "content": "", "refusal": None})
    while True:
        for i in sorted(open_ones):
            one = generation.choices[i]
            characters, tokens = sent[i]
            if len(one.text) > characters or (one.finish_reason and len(one.logprobs) > tokens):
                yield line(i, {"content": one.text[characters:]}, logprobs=one.logprobs[tokens:])
                sent[i] = len(one.text), len(one.logprobs)
            if one.finish_reason:
                open_ones.discard(i)
                yield line(i, {}, one.finish_reason)
        if not open_ones:
            break
        try:
            await shelf.step(generation)
        except Exception as error:  # the model was deleted meanwhile, memory ran out: the client is told in the stream
            yield event({"error": refusal_of(error).body})
            return
    if with_usage:
        yield event({"object": "chat.completion.chunk", **answer, "choices": [], "usage": usage_of(generation)})
    yield "data: [DONE]\n\n"


def event(content: dict) -> str:
    """
    >>> event({"a": 1})
    'data: {"a": 1}\\n\\n'
    """
    return f"data: {json.dumps(content)}\n\n"
