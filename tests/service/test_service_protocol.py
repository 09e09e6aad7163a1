"""Requests that are wrong, hostile or merely unusual, and the answers they get."""

from pathlib import Path

import pytest
from service_helpers import jsonl, method, tickets, upload

QUESTION = [{"role": "user", "content": "My parcel 5 is late"}]


def job(**more) -> dict:
    return {"model": "ftkit-phi-11m", "training_file": "file-none"} | more


def talk(**more) -> dict:
    return {"model": "ftkit-phi-11m", "messages": QUESTION} | more


@pytest.mark.parametrize("path", ["/models", "/files", "/fine_tuning/jobs", "/nowhere"])
@pytest.mark.parametrize("key", [None, "", "wrong", "ftkit-ключ"])
def test_without_the_key_nobody_comes_in(send, path, key):
    """Also where there is nothing: a stranger does not learn which addresses exist."""
    key = key if key is None or key.isascii() else key.encode().decode("latin-1")
    answer = send("GET", path, key=key)
    assert answer.status == 401
    assert answer.body["error"]["code"] == "invalid_api_key"


WRONG = {  # request → status, code, param
    "no model": ("/fine_tuning/jobs", {"training_file": "x"}, 400, "missing_required_parameter", "model"),
    "unknown base": ("/fine_tuning/jobs", job(model="gpt-9"), 404, "model_not_found", "model"),
    "unknown file": ("/fine_tuning/jobs", job(), 400, "file_not_found", "training_file"),
    "0 epochs": (
        "/fine_tuning/jobs", job(method=method(n_epochs=0)), 400, "invalid_value",
        "method.supervised.hyperparameters.n_epochs",
    ),
    "51 epochs, old place": (
        "/fine_tuning/jobs", job(hyperparameters={"n_epochs": 51}), 400, "invalid_value", "hyperparameters.n_epochs",
    ),
    "epochs in words": (
        "/fine_tuning/jobs", job(hyperparameters={"n_epochs": "many"}), 400, "invalid_value",
        "hyperparameters.n_epochs",
    ),
    "batch of 257": (
        "/fine_tuning/jobs", job(hyperparameters={"batch_size": 257}), 400, "invalid_value",
        "hyperparameters.batch_size",
    ),
    "no learning": (
        "/fine_tuning/jobs", job(hyperparameters={"learning_rate_multiplier": 0}), 400, "invalid_value",
        "hyperparameters.learning_rate_multiplier",
    ),
    "long suffix": ("/fine_tuning/jobs", job(suffix="x" * 65), 400, "invalid_value", "suffix"),
    "empty suffix": ("/fine_tuning/jobs", job(suffix=""), 400, "invalid_value", "suffix"),
    "large seed": ("/fine_tuning/jobs", job(seed=2**31), 400, "invalid_value", "seed"),
    "seed in words": ("/fine_tuning/jobs", job(seed="x"), 400, "invalid_type", "seed"),
    "much metadata": (
        "/fine_tuning/jobs", job(metadata={str(i): "" for i in range(17)}), 400, "invalid_value", "metadata",
    ),
    "an unknown method": (
        "/fine_tuning/jobs", job(method={"type": "reinforcement"}), 400, "invalid_value", "method.type",
    ),
    "settings of another method": (
        "/fine_tuning/jobs", job(method={"type": "dpo", "supervised": {}}), 400, "invalid_value", "method",
    ),
    "no beta": (
        "/fine_tuning/jobs", job(method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}), 400, "invalid_value",
        "method.dpo.hyperparameters.beta",
    ),
    "both places": (
        "/fine_tuning/jobs", job(method=method(), hyperparameters={}), 400, "invalid_value", "hyperparameters",
    ),
    "unknown field": ("/fine_tuning/jobs", job(n_epoch=3), 400, "unknown_parameter", "n_epoch"),
    "not JSON": ("/fine_tuning/jobs", b"{nope", 400, None, None),
    "a list": ("/fine_tuning/jobs", b"[]", 400, "invalid_type", None),
    "unknown model": ("/chat/completions", talk(model="gpt-9"), 404, "model_not_found", "model"),
    "no messages": ("/chat/completions", talk(messages=[]), 400, "invalid_value", "messages"),
    "a strange role": (
        "/chat/completions", talk(messages=[{"role": "king", "content": "x"}]), 400, "invalid_value", "messages.0.role",
    ),
    "an image": (
        "/chat/completions", talk(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), 400,
        "invalid_value", "messages.0.content",
    ),
    "hot": ("/chat/completions", talk(temperature=2.1), 400, "invalid_value", "temperature"),
    "five stops": ("/chat/completions", talk(stop=list("abcde")), 400, "invalid_value", "stop"),
    "an empty stop": ("/chat/completions", talk(stop=""), 400, "invalid_value", "stop.0"),
    "a seed beyond 64 bits": ("/chat/completions", talk(seed=2**64), 400, "invalid_value", "seed"),
    "others without logprobs": ("/chat/completions", talk(top_logprobs=2), 400, "invalid_value", "top_logprobs"),
    "half a character": ("/chat/completions", rb'{"model": "\ud800", "messages": []}', 400, "invalid_value", None),
    "a number of 5,000 digits": ("/chat/completions", b'{"seed": ' + b"9" * 5000 + b"}", 400, None, None),
    "JSON 100,000 levels deep": ("/chat/completions", b"[" * 100_000, 400, "invalid_json", None),
    "JSON 900 levels deep": ("/chat/completions", b"[" * 900 + b"]" * 900, 400, "invalid_json", None),
    "5 MiB of JSON": ("/chat/completions", b" " * (5 << 20), 413, "request_too_large", None),
    "tokens to embed": ("/embeddings", {"model": "all-MiniLM-L6-v2", "input": [1, 2]}, 400, "invalid_type", "input.0"),
    "nothing to embed": ("/embeddings", {"model": "all-MiniLM-L6-v2", "input": []}, 400, "invalid_value", "input"),
    "another embedding model": ("/embeddings", {"model": "ada", "input": "x"}, 404, "model_not_found", "model"),
    "tools": ("/chat/completions", talk(tools=[]), 400, "unknown_parameter", "tools"),
    "too long": (
        "/chat/completions", talk(messages=[{"role": "user", "content": "word " * 9000}]), 400,
        "context_length_exceeded", "messages",
    ),
}  # fmt: skip


@pytest.mark.parametrize("path, body, status, code, param", WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_refused_in_the_envelope(send, path, body, status, code, param):
    answer = send("POST", path, body)
    assert answer.status == status
    assert set(answer.body["error"]) == {"message", "type", "param", "code"}
    assert answer.body["error"]["type"] == "invalid_request_error"
    assert (answer.body["error"]["code"], answer.body["error"]["param"]) == (code, param)
    assert answer.headers["x-request-id"].startswith("req_")


UNKNOWN = {  # as api.openai.com answered in 2023
    "GET /fine_tuning/jobs/123": ("fine_tune_not_found", "fine_tune_id", "Could not find fine tune: 123"),
    "GET /fine_tuning/jobs/123/events": ("fine_tune_not_found", "fine_tune_id", "Could not find fine tune: 123"),
    "GET /fine_tuning/jobs/123/checkpoints": ("fine_tune_not_found", "fine_tune_id", "Could not find fine tune: 123"),
    "POST /fine_tuning/jobs/123/cancel": ("fine_tune_not_found", "fine_tune_id", "Could not find fine tune: 123"),
    "POST /fine_tuning/jobs/123/pause": ("fine_tune_not_found", "fine_tune_id", "Could not find fine tune: 123"),
    "POST /fine_tuning/jobs/123/resume": ("fine_tune_not_found", "fine_tune_id", "Could not find fine tune: 123"),
    "GET /files/file-123": (None, "id", "No such File object: file-123"),
    "GET /files/file-123/content": (None, "id", "No such File object: file-123"),
    "DELETE /files/file-123": (None, "id", "No such File object: file-123"),
    "DELETE /models/ft:123": ("model_not_found", "model", "The model 'ft:123' does not exist"),
    "GET /models/org%2Fname": ("model_not_found", "model", "The model 'org/name' does not exist"),
    "GET /nowhere": ("unknown_url", None, "Invalid URL (GET /v1/nowhere)"),
}


@pytest.mark.parametrize("request_line", UNKNOWN)
def test_what_does_not_exist_is_a_404_as_recorded(send, request_line):
    answer = send(*request_line.split())
    error = answer.body["error"]
    assert (answer.status, error["code"], error["param"], error["message"]) == (404, *UNKNOWN[request_line])


def test_a_wrong_verb_is_405_in_the_envelope(send):
    answer = send("PUT", "/files")
    assert (answer.status, answer.body["error"]["code"]) == (405, "method_not_supported")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "order=up", "after=file-none"])
def test_a_wrong_page_is_refused_in_the_envelope(send, query):
    answer = send("GET", f"/files?{query}")
    assert (answer.status, answer.body["error"]["param"]) == (400, query.partition("=")[0])


def test_an_upload_without_purpose_or_file_is_refused(send):
    answer = send("POST", "/files", b"--b--\r\n", **{"Content-Type": "multipart/form-data; boundary=b"})
    assert (answer.status, answer.body["error"]["param"]) == (400, "file")
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="e.jsonl"\r\n\r\n{}\r\n--b--\r\n'
    answer = send("POST", "/files", form, **{"Content-Type": "multipart/form-data; boundary=b"})
    assert (answer.status, answer.body["error"]["param"]) == (400, "purpose")


@pytest.mark.parametrize("name", ["../../x.jsonl", "..\\..\\x.jsonl", "/etc/x.jsonl", "C:\\x.jsonl"])
def test_a_path_like_file_name_is_only_a_label(client, service, name, tmp_path):
    id = upload(client, tickets(1), name)
    assert client.files.retrieve(id).filename == "x.jsonl"
    assert client.files.content(id).read() == jsonl(tickets(1))
    root = Path(service.data_dir)
    assert [path.name for path in root.parent.parent.rglob("*") if "x.jsonl" in path.name] == []
    assert (root / "files" / id).is_file()


@pytest.mark.parametrize("id", ["..%2Fservice.sqlite3", "..", "%2e%2e%2fservice.sqlite3"])
def test_an_id_that_is_a_path_opens_nothing(send, id):
    assert send("GET", f"/files/{id}/content").status == 404


def test_an_empty_file_is_refused(send):
    form = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\n'
    form += b'Content-Disposition: form-data; name="file"; filename="e.jsonl"\r\n\r\n\r\n--b--\r\n'
    answer = send("POST", "/files", form, **{"Content-Type": "multipart/form-data; boundary=b"})
    assert (answer.status, answer.body["error"]["param"]) == (400, "file")


def test_a_deleted_file_is_gone(client, service, send):
    id = upload(client, tickets(1))
    assert client.files.delete(id).deleted
    assert send("GET", f"/files/{id}").status == 404
    assert id not in [file.id for file in client.files.list()]


def test_files_can_be_listed_by_purpose_and_from_the_oldest(client):
    first = upload(client, tickets(1))
    other = client.files.create(file=("notes.txt", b"x"), purpose="user_data").id
    assert other in [file.id for file in client.files.list(purpose="user_data")]
    assert first not in [file.id for file in client.files.list(purpose="user_data")]
    ids = [file.id for file in client.files.list(order="asc")]
    assert ids.index(first) < ids.index(other)


def test_a_file_with_another_purpose_trains_nothing(client, send):
    other = client.files.create(file=("notes.jsonl", jsonl(tickets())), purpose="user_data").id
    answer = send("POST", "/fine_tuning/jobs", job(training_file=other))
    assert (answer.status, answer.body["error"]["param"]) == (400, "training_file")


def test_the_base_cannot_be_deleted(send):
    assert send("DELETE", "/models/ftkit-phi-11m").status == 403
    assert send("GET", "/models/ftkit-phi-11m").status == 200


def test_a_tuned_model_is_not_tuned_again_and_a_finished_job_not_cancelled(send, tuned):
    answer = send("POST", "/fine_tuning/jobs", job(model=tuned.fine_tuned_model))
    assert (answer.status, answer.body["error"]["code"]) == (400, "model_not_available")
    answer = send("POST", f"/fine_tuning/jobs/{tuned.id}/cancel")
    assert (answer.status, answer.body["error"]["code"]) == (400, "job_already_completed")


def test_an_answer_can_be_cut_repeated_and_drawn_again(client):
    def ask(**settings):
        return client.chat.completions.create(model="ftkit-phi-11m", messages=QUESTION, **settings)

    plain = ask(temperature=0, max_tokens=12)
    assert plain.usage.completion_tokens <= 12
    short = ask(temperature=0, max_completion_tokens=1)
    assert short.usage.completion_tokens == 1 and short.choices[0].finish_reason == "length"
    text = plain.choices[0].message.content
    stopped = ask(temperature=0, max_tokens=12, stop=text[2:4]).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == (text[: text.index(text[2:4])], "stop")
    drawn = [ask(temperature=1.5, seed=7, n=3, max_tokens=12) for _ in range(2)]
    texts = [[choice.message.content for choice in one.choices] for one in drawn]
    assert texts[0] == texts[1] and len(set(texts[0])) > 1


def test_text_parts_are_read_like_text(client):
    parts = [{"role": "user", "content": [{"type": "text", "text": QUESTION[0]["content"]}]}]
    settings = {"model": "ftkit-phi-11m", "temperature": 0, "max_tokens": 8}
    answers = [client.chat.completions.create(messages=messages, **settings) for messages in (QUESTION, parts)]
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content
