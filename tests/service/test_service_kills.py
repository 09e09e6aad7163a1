"""kill -9 of the worker, of the service and of both, twenty times at random moments: the job ends as it would have."""

import http.client
import random
import time
from pathlib import Path

import psutil
import pytest
from service_helpers import method, tickets, upload, wait
from test_service_processes import ended, steps_of, workers_of

from ftkit.hosted import local_process, local_service

KILLS = 20


def job_in(service) -> str:
    with service.client() as client:
        return client.fine_tuning.jobs.create(
            model="ftkit-phi-11m",
            training_file=upload(client, tickets(24)),
            validation_file=upload(client, tickets(6)),
            method=method(n_epochs=40, batch_size=4),  # 240 steps, a checkpoint every 6
            seed=7,
        ).id


def outcome(service, id: str) -> dict:
    """All that must be the same: the adapter's bytes, the result file, the steps told."""
    with service.client() as client:
        job = wait(client, id, "succeeded", seconds=600)
        events = list(client.fine_tuning.jobs.list_events(id, limit=1000))[::-1]
        return {
            "adapter": Path(service.data_dir, "runs", id, "adapter", "adapter_model.safetensors").read_bytes(),
            "metrics": client.files.content(job.result_files[0]).text,
            "train": [event.data["step"] for event in events if "train_loss" in (event.data or {})],
            "valid": [event.data["step"] for event in events if "valid_loss" in (event.data or {})],
            "epochs": [one.step_number for one in client.fine_tuning.jobs.checkpoints.list(id)],
        }


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_at_random_moments_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = local_service(tmp_path / "whole")
    expected = outcome(whole, job_in(whole))
    whole.close()
    assert expected["train"] == list(range(1, 241)) and expected["valid"] == list(range(6, 241, 6))

    chance = random.Random(0)
    service = local_service(tmp_path / "killed")
    id = job_in(service)
    family: list[psutil.Process] = []
    for i in range(KILLS):
        who = ("worker", "service", "both")[i % 3]
        with service.client() as client:  # starts it again where it was killed
            if i % 2:  # in training: some steps after the last kill
                wanted = min(len(steps_of(client, id)) + chance.randint(1, 9), 235)
                until = time.monotonic() + 300
                while len(steps_of(client, id)) < wanted:
                    assert time.monotonic() < until
                    time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.1 if i % 2 else 6))  # or while torch is loaded, the base, the checkpoint
        child = local_process.service(service.data_dir).process
        process = psutil.Process(child.pid)
        workers = [one for one in process.children() if "ftkit.service.worker" in one.cmdline()]
        family += [process, *workers]
        for victim in {"worker": workers, "service": [process], "both": [process, *workers]}[who]:
            victim.kill()
        if who != "worker":
            child.wait()
    got = outcome(service, id)
    for what, value in expected.items():
        assert got[what] == value, what
    last = [psutil.Process(local_process.service(service.data_dir).process.pid)]
    last += workers_of(last[0].pid)
    service.close()
    assert ended([*family, *last])


def half_an_upload(service) -> http.client.HTTPConnection:
    """8 of the 50 MiB that were announced have been sent."""
    host = service.base_url.removeprefix("http://").partition("/")[0]
    connection = http.client.HTTPConnection(host)
    connection.putrequest("POST", "/v1/files")
    connection.putheader("Authorization", f"Bearer {service.key}")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(50 << 20))
    connection.endheaders()
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="e.jsonl"\r\n\r\n'
    connection.send(head + b"x" * (8 << 20))
    return connection


def test_the_service_is_back_after_a_kill_in_the_middle_of_an_upload(tmp_path):
    """Half a file leaves neither a row nor a blob."""
    service = local_service(tmp_path)
    connection = half_an_upload(service)
    time.sleep(0.5)
    process = local_process.service(service.data_dir).process
    process.kill()
    process.wait()
    connection.close()
    with service.client() as client:
        assert client.files.list().data == []
    assert list((tmp_path / "files").iterdir()) == []
    assert sum(path.stat().st_size for path in (tmp_path / "incoming").rglob("*")) == 0
    service.close()


def test_a_client_that_leaves_in_the_middle_of_an_upload_leaves_nothing(service, client):
    before = {file.id for file in client.files.list()}
    blobs = set(Path(service.data_dir, "files").iterdir())
    connection = half_an_upload(service)
    connection.close()
    assert {file.id for file in client.files.list()} == before
    assert set(Path(service.data_dir, "files").iterdir()) == blobs
