"""One running service for all tests of this folder, the official client on it, and one tuned model."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest
from service_helpers import method, tickets, upload, wait

from ftkit.hosted import local_service


@dataclass
class Answer:
    status: int
    headers: dict
    body: dict


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")  # for so small a model threads only get into each other's way
        endpoint = local_service(tmp_path_factory.mktemp("service"))
        yield endpoint
        endpoint.close()


@pytest.fixture(scope="session")
def client(service):
    with service.client() as client:
        yield client


@pytest.fixture(scope="session")
def send(service):
    """``send("POST", "/models", {…}, key=…)``: a request as no client would check it, and the raw answer."""

    def send(verb: str, path: str, body: dict | bytes | None = None, key=service.key, **headers) -> Answer:
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"Content-Type": "application/json"} | headers
        request = urllib.request.Request(service.base_url + path, data, headers, method=verb)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), json.loads(error.read()))

    return send


@pytest.fixture(scope="session")
def tuned(client):
    """A job that has succeeded: 12 rows, 4 of them again for validation, trained until they are known."""
    train, val = upload(client, tickets()), upload(client, tickets(4), "val.jsonl")
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m",
        training_file=train,
        validation_file=val,
        method=method(n_epochs=4),
        suffix="ticket desk",
        seed=1,
        metadata={"lesson": "01"},
    )
    return wait(client, job.id, "succeeded")
