"""Full disk, locked database, hostile requests: a clear answer, and a clear state afterwards."""

import errno
import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import suppress

import httpx
import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from service_helpers import tickets, upload
from test_service_class import CLASS, OWN, as_learner, served

from ftkit.errors import DataError, RunError
from ftkit.local import EMBEDDED
from ftkit.service import jobs, rows, worker
from ftkit.service.app import make_app
from ftkit.service.keys import Keys
from ftkit.service.store import Store, insert

AUTHORIZED = {"Authorization": f"Bearer {OWN}"}


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 1 MiB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if not mount or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_an_upload_onto_a_full_disk_is_refused_and_leaves_nothing(small_disk):
    store = Store(small_disk)
    with served(store) as url, as_learner(url, OWN) as client:
        with pytest.raises(openai.InternalServerError) as error:
            client.files.create(file=("big.jsonl", b"x" * (2 << 20)), purpose="fine-tune")
        assert (error.value.status_code, error.value.code) == (507, "disk_full")
        assert client.files.list().data == [] and list((small_disk / "files").iterdir()) == []
        assert upload(client, tickets())  # what fits is taken


def test_a_full_disk_pauses_the_job_and_says_what_to_do(tmp_path):
    store = Store(tmp_path)
    with served(store) as url, as_learner(url, OWN) as client:
        job = client.fine_tuning.jobs.create(model=EMBEDDED, training_file=upload(client, tickets()))
        jobs.validate(store, store.one("jobs", job.id))
        row = jobs.next_job(store)

        def full():
            try:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                raise RunError(f"the checkpoint could not be written ({error})") from None  # as the engine says it

        worker.carefully(store, row, full)
        assert client.fine_tuning.jobs.retrieve(job.id).status == "paused"
        assert "Make room, then resume it" in client.fine_tuning.jobs.list_events(job.id).data[0].message
        assert client.fine_tuning.jobs.resume(job.id).status == "queued"


def test_a_locked_database_is_said_to_be_busy_and_nothing_is_half_done(tmp_path):
    store = Store(tmp_path, patience=0.1)
    with served(store) as url, as_learner(url, OWN) as client:
        file = upload(client, tickets())
        lock = sqlite3.connect(tmp_path / "service.sqlite3", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(openai.InternalServerError) as error:
            upload(client, tickets())
        assert (error.value.status_code, error.value.code) == (503, "database_unavailable")
        with pytest.raises(openai.InternalServerError):
            client.fine_tuning.jobs.create(model=EMBEDDED, training_file=file)
        assert [one.id for one in client.files.list()] == [file]  # reading goes on
        lock.close()
        assert [path.name for path in (tmp_path / "files").iterdir()] == [file]
        assert client.fine_tuning.jobs.list().data == []
        assert client.fine_tuning.jobs.create(model=EMBEDDED, training_file=file).status == "validating_files"


def test_a_locked_database_costs_the_worker_nothing_but_time(tmp_path):
    store = Store(tmp_path)

    def locked():
        raise sqlite3.OperationalError("database is locked")

    with pytest.raises(sqlite3.OperationalError):  # passed on to `patiently`, which tries again; the job is not failed
        worker.carefully(store, {"id": "j"}, locked)


def test_an_upload_without_an_announced_length_is_cut_off_at_the_cap(tmp_path, monkeypatch):
    monkeypatch.setattr("ftkit.service.body.LARGEST_UPLOAD", 1 << 20)
    with served(Store(tmp_path)) as url:
        def pieces():
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="e.jsonl"\r\n\r\n'
            for _ in range(3):
                yield b"x" * (1 << 19)

        headers = {"Authorization": f"Bearer {OWN}", "Content-Type": "multipart/form-data; boundary=b"}
        answer = httpx.post(f"{url}/files", content=pieces(), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert list((tmp_path / "files").iterdir()) == []


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """Our OpenAPI document, and the application behind it."""
    app = make_app(Store(tmp_path_factory.mktemp("schema")), Keys(OWN, CLASS), [EMBEDDED])
    return schemathesis.openapi.from_asgi("/openapi.json", app, headers=AUTHORIZED)


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.name)
def test_no_request_that_our_document_allows_or_forbids_is_a_500(schema, mode):
    """Not by schemathesis' pytest plugin, which does not know pytest 9."""
    statuses = Counter()

    def try_out(operation) -> None:
        @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            response = case.call(headers=AUTHORIZED)
            statuses[response.status_code] += 1
            assert response.status_code < 500, f"{case.as_curl_command()}: {response.text}"
            if response.status_code >= 400:
                assert set(response.json()["error"]) == {"message", "type", "param", "code"}

        with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
            check()

    for operation in schema.get_all_operations():
        try_out(operation.ok())
    assert sum(statuses.values()) > 50 and len(statuses) >= 3, statuses


@pytest.mark.parametrize("depth", [400, 980, 5_000, 200_000])
@pytest.mark.parametrize("place", ['"tools": %s, ', '"extra": %s, '])
def test_a_row_nested_however_deep_is_read_or_named_by_its_line(tmp_path, depth, place):
    store = Store(tmp_path)
    deep = '{"a": ' * depth + "1" + "}" * depth
    plain = b'{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}\n'
    bomb = plain.replace(b"{", b"{" + (place % deep).encode(), 1)
    store.blob("file-x").write_bytes(plain + bomb)
    with store.transaction() as db:
        insert(db, "files", id="file-x", owner="local", filename="bomb.jsonl", purpose="fine-tune", bytes=len(bomb))
    try:
        assert len(rows.read(store, "file-x", "supervised")) == 2
    except DataError as error:
        assert str(error).startswith("bomb.jsonl:2: ")
