"""Chat completions and embeddings, against independent oracles."""

import asyncio
import base64
import json
import socket
import time

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from ftkit.embed.model import load_base
from ftkit.local.model import LocalModel
from ftkit.service.chat import stream
from ftkit.service.generate import Generation, settled

QUESTION = [{"role": "user", "content": "My parcel 5 is late"}]


def test_a_stream_says_what_the_whole_answer_says(client, tuned):
    settings = {"model": tuned.fine_tuned_model, "messages": QUESTION, "temperature": 0, "max_tokens": 20}
    whole = client.chat.completions.create(**settings)
    chunks = list(client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) >= 2 and "".join(pieces) == whole.choices[0].message.content == "late parcel"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason == "stop"
    assert chunks[-1].usage == whole.usage and whole.usage.total_tokens > whole.usage.prompt_tokens > 0


def test_the_first_words_of_a_stream_are_sent_before_the_last_are_made():
    """When the first piece goes out, most of the answer does not exist yet."""
    model = LocalModel.load()
    generation = Generation(model, QUESTION, max_tokens=40)
    generation.step(model)

    class Turns:
        async def step(self, generation):
            generation.step(model)

    async def first_piece() -> str:
        async for line in stream(Turns(), generation, {}, with_usage=False):
            delta = json.loads(line.removeprefix("data: "))["choices"][0]["delta"]
            if delta.get("content"):
                return delta["content"]

    assert asyncio.run(first_piece()) and not generation.finished and generation.completion_tokens < 5


def test_greedy_answers_are_those_of_transformers(client):
    settings = {"model": "ftkit-phi-11m", "messages": QUESTION, "temperature": 0, "max_tokens": 40}
    (wanted,) = LocalModel.load().complete([QUESTION], max_tokens=40)
    got = client.chat.completions.create(**settings)
    assert got.choices[0].message.content == wanted.text
    assert got.usage.completion_tokens == wanted.completion_tokens
    assert got.choices[0].finish_reason == wanted.finish_reason


def test_log_probabilities_are_those_of_the_models_scores(client):
    model = LocalModel.load()
    got = client.chat.completions.create(
        model="ftkit-phi-11m", messages=QUESTION, temperature=0, max_tokens=1, logprobs=True, top_logprobs=3
    )
    (first,) = got.choices[0].logprobs.content
    text = model.tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
    scores = model.logits(text)[-1].log_softmax(-1)
    best = scores.topk(3)
    assert [one.logprob for one in first.top_logprobs] == pytest.approx(best.values.tolist(), abs=1e-4)
    assert first.logprob == pytest.approx(best.values[0].item(), abs=1e-4)
    assert [one.token for one in first.top_logprobs] == [model.tokenizer.decode([id]) for id in best.indices.tolist()]
    streamed = list(
        client.chat.completions.create(
            model="ftkit-phi-11m", messages=QUESTION, temperature=0, max_tokens=5, logprobs=True, stream=True
        )
    )
    told = [one for chunk in streamed if chunk.choices[0].logprobs for one in chunk.choices[0].logprobs.content]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert len(told) > 1 and "".join(one.token for one in told) == said
    assert told[0].logprob == pytest.approx(first.logprob, abs=1e-4)


def test_draws_follow_the_softmax_and_top_p_keeps_to_the_nucleus():
    """500 first tokens at temperature 1 against the model's own probabilities; the tolerance is five deviations."""
    model = LocalModel.load()
    text = model.tokenizer.apply_chat_template(QUESTION, tokenize=False, add_generation_prompt=True)
    wanted = model.logits(text)[-1].softmax(-1)
    drawn = Generation(model, QUESTION, n=500, max_tokens=1, temperature=1.0, seed=0)
    drawn.step(model)
    counts = np.bincount([choice.ids[0] for choice in drawn.choices], minlength=len(wanted)) / 500
    top = int(wanted.argmax())
    p = wanted[top].item()
    assert abs(counts[top] - p) < 5 * (p * (1 - p) / 500) ** 0.5
    nucleus = Generation(model, QUESTION, n=200, max_tokens=1, temperature=1.0, top_p=0.3, seed=0)
    nucleus.step(model)
    ordered, order = wanted.sort(descending=True)
    inside = set(order[: int((ordered.cumsum(0) < 0.3).sum()) + 1].tolist())
    assert {choice.ids[0] for choice in nucleus.choices} <= inside


def test_unfinished_text_holds_back_what_may_still_change():
    assert settled("a b ", False, ()) == ("a b", False)
    assert settled("Xin ch\ufffd", False, ()) == ("Xin ch", False)
    assert settled("one EN", False, ("END", "STOP")) == ("one", False)
    assert settled("one EN", True, ("END",)) == ("one EN", False)


def test_a_client_that_leaves_in_the_middle_of_a_stream_leaves_nothing_behind(service, client):
    """The connection breaks off; the next answers come as if nothing had been."""
    host, _, port = service.base_url.removeprefix("http://").removesuffix("/v1").partition(":")
    body = json.dumps({"model": "ftkit-phi-11m", "messages": QUESTION, "max_tokens": 900, "stream": True, "temperature": 2}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.key}\r\n"
    for _ in range(20):  # more than one key may have in the making at a time
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            assert b"200 OK" in connection.recv(4096)
    until = time.monotonic() + 10
    while True:
        answer = client.with_options(max_retries=0).chat.completions.with_raw_response
        try:
            answer.create(model="ftkit-phi-11m", messages=QUESTION, max_tokens=5)
            break
        except Exception:  # 429 until the service has noticed that they are gone
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_those_of_sentence_transformers(service, send, encoding):
    texts = ["Where is my parcel?", "Refund, please"]
    oracle: SentenceTransformer = load_base(None).transformer
    wanted = oracle.encode(texts, normalize_embeddings=True)
    answer = send("POST", "/embeddings", {"model": "all-MiniLM-L6-v2", "input": texts, "encoding_format": encoding}).body
    got = [one["embedding"] for one in answer["data"]]
    if encoding == "base64":
        got = [np.frombuffer(base64.b64decode(one), dtype="<f4") for one in got]
    np.testing.assert_allclose(np.array(got), wanted, atol=1e-5)
    assert answer["usage"]["prompt_tokens"] == sum(len(oracle.tokenizer(text).input_ids) for text in texts)


def test_the_client_reads_embeddings_and_a_text_too_long_is_refused(client, send):
    (one,) = client.embeddings.create(model="all-MiniLM-L6-v2", input="hello").data
    assert len(one.embedding) == 384 and sum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-4)
    answer = send("POST", "/embeddings", {"model": "all-MiniLM-L6-v2", "input": "word " * 1000})
    assert (answer.status, answer.body["error"]["code"]) == (400, "context_length_exceeded")
