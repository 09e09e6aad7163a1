"""Nothing outlives what started it, and nothing that was paid for is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from service_helpers import method, tickets, upload, wait, wait_for_step

import ftkit
from ftkit.errors import FtkitError
from ftkit.hosted import local_process, local_service
from ftkit.service import jobs, serve
from ftkit.service.keys import own_key
from ftkit.service.server import FolderInUse
from ftkit.service.store import Store, insert

NOTEBOOK = """
import sys, time
from ftkit.hosted import local_process, local_service
service = local_service(sys.argv[1])
print(local_process.service(service.data_dir).process.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def kernel_with_service(folder: Path) -> Iterator[tuple[subprocess.Popen, psutil.Process]]:
    """A process that is to its service what a notebook's kernel is, and the service."""
    environment = {**os.environ, "PYTHONPATH": str(Path(ftkit.__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-c", NOTEBOOK, str(folder)], stdout=subprocess.PIPE, env=environment) as kernel:
        yield kernel, psutil.Process(int(kernel.stdout.readline()))


def ended(processes: list[psutil.Process], seconds: float = 10) -> bool:
    """Whether all of them are gone within ``seconds``; a zombie, which only waits to be counted, is gone."""
    until = time.monotonic() + seconds
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def workers_of(pid: int) -> list[psutil.Process]:
    """The service's worker; it must be there."""
    found = [p for p in psutil.Process(pid).children() if "ftkit.service.worker" in p.cmdline()]
    assert found, "the service has no worker"
    return found


def test_a_killed_service_leaves_no_worker_and_its_job_goes_on(tmp_path):
    """kill -9 in the middle of training; on restart the job goes on, and no step is told twice."""
    service = local_service(tmp_path)
    with service.client() as client:
        job = client.fine_tuning.jobs.create(
            model="ftkit-phi-11m", training_file=upload(client, tickets()), method=method(n_epochs=50, batch_size=1)
        )
        wait_for_step(client, job.id)
    process = local_process.service(service.data_dir).process
    workers = workers_of(process.pid)
    process.kill()
    process.wait()
    assert ended(workers)

    with service.client() as client:  # starts it again
        before = len(steps_of(client, job.id))
        until = time.monotonic() + 120
        while len(steps_of(client, job.id)) < before + 3:
            assert time.monotonic() < until
            time.sleep(0.1)
        client.fine_tuning.jobs.cancel(job.id)
        told = steps_of(client, job.id)
        assert told == list(range(1, len(told) + 1))
    service.close()


def steps_of(client, job_id: str) -> list[int]:
    events = list(client.fine_tuning.jobs.list_events(job_id, limit=1000))
    return [event.data["step"] for event in events[::-1] if "train_loss" in (event.data or {})]


def test_a_killed_worker_is_replaced_and_the_job_goes_on(client, service):
    file = upload(client, tickets())
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=file, method=method(n_epochs=50, batch_size=1)
    )
    wait_for_step(client, job.id)
    (worker,) = workers_of(local_process.service(service.data_dir).process.pid)
    worker.kill()
    before = len(steps_of(client, job.id))
    until = time.monotonic() + 120
    while len(steps_of(client, job.id)) < before + 3:
        assert time.monotonic() < until
        time.sleep(0.1)
    told = [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=1000)]
    assert sum("was killed" in message for message in told) == 1
    client.fine_tuning.jobs.cancel(job.id)


def test_a_job_that_kills_every_worker_fails_in_the_end(tmp_path):
    store = Store(tmp_path)
    with store.transaction() as db:
        insert(db, "jobs", id="j", owner="local", status="running", model="m", training_file="f", method="supervised",
               hyperparameters={}, seed=0, name="ft:m")  # fmt: skip
    for _ in range(jobs.DEATHS - 1):
        jobs.worker_died(store, -9)
    assert store.one("jobs", "j")["status"] == "running"
    with store.transaction() as db:  # a new step: the count begins anew
        jobs.measure(db, "j", "train", 1, "Step 1", {"step": 1})
    for _ in range(jobs.DEATHS - 1):
        jobs.worker_died(store, -9)
    assert store.one("jobs", "j")["status"] == "running"
    jobs.worker_died(store, -9)
    failed = store.one("jobs", "j")
    assert failed["status"] == "failed" and "5 times in a row" in failed["error"]["message"]


def test_a_killed_notebook_takes_service_and_worker_with_it(tmp_path):
    with kernel_with_service(tmp_path) as (notebook, service):
        family = [service, *workers_of(service.pid)]
        notebook.kill()
        assert ended(family)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="stops a process as a busy machine would")
def test_the_service_of_a_kernel_that_died_is_not_taken_for_one_that_stays(tmp_path):
    """It still answers until it notices that its parent is gone; whoever trusted it would be refused a moment later."""
    with kernel_with_service(tmp_path) as (notebook, service):
        assert local_process._find(tmp_path.resolve()).process is None
        service.suspend()
        notebook.kill()
    try:
        assert local_process._find(tmp_path.resolve()) is None
    finally:
        service.resume()
    assert ended([service])


def test_a_closed_service_is_gone_and_left_no_complaint_in_its_log(tmp_path):
    service = local_service(tmp_path)
    process = local_process.service(service.data_dir).process
    family = [psutil.Process(process.pid), *workers_of(process.pid)]
    service.close()
    assert process.returncode == 0
    assert ended(family, seconds=2)
    assert (tmp_path / "service.log").read_text() == ""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="a POSIX terminal's Ctrl-C")
def test_ctrl_c_in_the_terminal_ends_the_service_quietly(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(ftkit.__file__).parents[1]), "FTKIT_SERVICE_KEY": "k"}
    command = [sys.executable, "-m", "ftkit.service", "--port", "0", "--data-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        until = time.monotonic() + 20
        while not (found := psutil.Process(process.pid).children()) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert out.startswith(b"ftkit service on http://127.0.0.1:") and b"the key you chose" in out and err == b""
        assert ended(found)


def test_one_folder_has_one_service_and_it_is_found_from_elsewhere(service):
    """The same process is given the one that runs; so is another one, which cannot stop it."""
    assert local_service(service.data_dir) == service
    code = "import sys; from ftkit.hosted import local_service; s = local_service(sys.argv[1]); print(s.base_url); s.close()"
    environment = {**os.environ, "PYTHONPATH": str(Path(ftkit.__file__).parents[1])}
    found = subprocess.run([sys.executable, "-c", code, service.data_dir], capture_output=True, text=True, env=environment)
    assert found.stdout.strip() == service.base_url, found.stderr
    assert len(service.client().models.list().data) > 0
    with pytest.raises(FolderInUse):
        serve(data_dir=service.data_dir, port=0)


def test_the_key_lies_in_one_private_file_and_nowhere_else(service, tuned):
    key = service.key.encode()
    files = [path for path in Path(service.data_dir).rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path.name for path in files if key in path.read_bytes()] == ["key"]
    if os.name == "posix":
        assert Path(service.data_dir, "key").stat().st_mode & 0o777 == 0o600
    (worker,) = workers_of(local_process.service(service.data_dir).process.pid)
    assert service.key not in worker.environ().values()
    assert service.key not in " ".join(worker.cmdline() + worker.parent().cmdline())


def test_the_key_stays_the_same_over_restarts(tmp_path):
    first = own_key(tmp_path)
    assert len(first) > 30 and own_key(tmp_path) == first


def test_a_taken_port_is_said_to_be_taken(service, tmp_path):
    port = int(service.base_url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(FtkitError, match=f"cannot listen on 127.0.0.1:{port}"):
        serve(data_dir=tmp_path, port=port, key="k")
