"""What other services say when they refuse, played by a small server that answers one thing."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_hosted import SPLIT

from ftkit.errors import EndpointError
from ftkit.hosted import Hosted, endpoint
from ftkit.hosted.jobs import translated


@pytest.fixture
def answering(monkeypatch):
    """``answering({"POST /v1/files": (200, {…})})``: a recipe whose service answers so, and what it was asked."""
    servers = []

    def start(answers: dict) -> tuple[Hosted, list[str]]:
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                line = f"{self.command} {self.path.partition('?')[0]}"
                asked.append(line)
                status, body = answers[line]
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        servers.append(server)
        monkeypatch.setenv("MY_KEY", "sk-very-secret")
        url = f"http://127.0.0.1:{server.server_port}/v1"
        return Hosted(endpoint=endpoint(url, key_env="MY_KEY"), base="gpt-4o-mini-2024-07-18", epochs=3), asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def envelope(code: str | None, message: str = "No.") -> dict:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


FILE = {"id": "file-1", "object": "file", "bytes": 1, "created_at": 1, "filename": "t", "purpose": "fine-tune"}


def test_a_closed_account_is_offered_the_local_service(answering, tmp_path):
    recipe, asked = answering(
        {"POST /v1/files": (200, FILE), "POST /v1/fine_tuning/jobs": (403, envelope("training_not_available"))}
    )
    with pytest.raises(EndpointError, match=r"training_not_available.*local_service\(\)"):
        recipe.train(SPLIT, folder=tmp_path / "run")
    assert asked.count("POST /v1/fine_tuning/jobs") == 1  # no retry


def test_another_403_is_not_mistaken_for_a_closed_account(answering, tmp_path):
    recipe, _ = answering({"POST /v1/files": (403, envelope("unsupported_country"))})
    with pytest.raises(EndpointError) as error:
        recipe.train(SPLIT, folder=tmp_path / "run")
    assert "local_service" not in str(error.value) and "unsupported_country" in str(error.value)


def test_a_wrong_key_is_named_by_its_variable_and_not_repeated(answering, tmp_path):
    said = envelope("invalid_api_key", "Incorrect API key provided: sk-very-secret.")
    recipe, _ = answering({"POST /v1/files": (401, said)})
    with pytest.raises(EndpointError, match="check MY_KEY") as error:
        recipe.train(SPLIT, folder=tmp_path / "run")
    assert "sk-very-secret" not in str(error.value)
    assert all("sk-very-secret" not in path.read_text() for path in (tmp_path / "run").iterdir())


def test_a_service_that_is_not_there_is_said_to_be_out_of_reach(answering, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "k")
    recipe = Hosted(endpoint=endpoint("http://127.0.0.1:9/v1", key_env="MY_KEY"), base="m")
    with pytest.raises(EndpointError, match="out of reach"):
        recipe.base_model().replies([[{"role": "user", "content": "hello"}]])


def test_events_in_openais_own_words_become_steps():
    """api.openai.com names the steps in the message and may leave total_steps out."""

    class Event:
        message = "Step 88/90: training loss=0.15, validation loss=0.20"
        data = {"step": 88, "train_loss": 0.15, "valid_loss": 0.2}

    step, val = translated(Event, "running")
    assert (step.step, step.steps, step.loss) == (88, 90, 0.15)
    assert (val.step, val.loss) == (88, 0.2)
