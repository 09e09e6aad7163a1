"""Nothing outlives what started it, and nothing that was paid for is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from service_helpers import method, tickets, upload, wait, wait_for_step

import ftkit
from ftkit.errors import FtkitError
from ftkit.hosted import local_process, local_service
from ftkit.hosted.local_process import FolderInUse
from ftkit.service import serve

NOTEBOOK = """
import sys, time
from ftkit.hosted import local_process, local_service
service = local_service(sys.argv[1])
print(local_process.service(service.data_dir).process.pid, flush=True)
time.sleep(60)
"""


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


def test_a_killed_service_leaves_no_worker_and_its_job_is_trained_again(tmp_path):
    """kill -9 in the middle of training; on restart the job is back in the queue and runs from the start."""
    service = local_service(tmp_path)
    with service.client() as client:
        job = client.fine_tuning.jobs.create(
            model="ftkit-phi-9m", training_file=upload(client, tickets()), method=method(n_epochs=50, batch_size=1)
        )
        wait_for_step(client, job.id)
    process = local_process.service(service.data_dir).process
    workers = workers_of(process.pid)
    process.kill()
    process.wait()
    assert ended(workers)

    with service.client() as client:  # starts it again
        wait(client, job.id, "running")
        told = [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=1000)][::-1]
        assert "The service was restarted; the job is back in the queue" in told
        assert sum(message == "Fine-tuning job started" for message in told) == 2
        client.fine_tuning.jobs.cancel(job.id)
    service.close()


def test_a_killed_worker_fails_its_job_and_the_next_job_finds_a_new_one(client, service):
    file = upload(client, tickets())
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-9m", training_file=file, method=method(n_epochs=50, batch_size=1)
    )
    wait(client, job.id, "running")
    (worker,) = workers_of(local_process.service(service.data_dir).process.pid)
    worker.kill()
    job = wait(client, job.id, "failed", seconds=10)
    assert job.error.code == "server_error" and "killed" in job.error.message
    after = client.fine_tuning.jobs.create(model="ftkit-phi-9m", training_file=file)
    wait(client, after.id, "queued", "running", seconds=10)  # files are checked by a worker, so there is one
    client.fine_tuning.jobs.cancel(after.id)


def test_a_killed_notebook_takes_service_and_worker_with_it(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(ftkit.__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    ) as notebook:
        service = psutil.Process(int(notebook.stdout.readline()))
        family = [service, *workers_of(service.pid)]
        notebook.kill()
        assert ended(family)


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
        assert (out, err) == (b"", b"")
        assert ended(found)


def test_one_folder_has_one_service(service):
    """A second process is refused; the same process is given the one that runs."""
    assert local_service(service.data_dir) == service
    with pytest.raises(FolderInUse, match="another process's service uses this folder"):
        local_process._start(Path(service.data_dir))


def test_a_notebook_beside_another_gets_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = local_service()
    process = local_process._services.pop(first.data_dir)  # as if another notebook had it
    second = local_service()
    local_process._services[first.data_dir] = process
    assert [Path(one.data_dir).name for one in (first, second)] == ["service", "service-2"]
    first.close(), second.close()


def test_the_key_is_nowhere_on_disk_and_not_in_the_workers_environment(service, tuned):
    key = service.key.encode()
    files = [path for path in Path(service.data_dir).rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if key in path.read_bytes()] == []
    (worker,) = workers_of(local_process.service(service.data_dir).process.pid)
    assert service.key not in worker.environ().values()
    assert service.key not in " ".join(worker.cmdline() + worker.parent().cmdline())


def test_without_a_key_and_a_terminal_to_show_one_it_does_not_start(tmp_path, capsys):
    with pytest.raises(FtkitError, match="set FTKIT_SERVICE_KEY"):
        serve(data_dir=tmp_path, port=0)


def test_a_taken_port_is_said_to_be_taken(service, tmp_path):
    port = int(service.base_url.rpartition(":")[2].partition("/")[0])
    with pytest.raises(FtkitError, match=f"cannot listen on 127.0.0.1:{port}"):
        serve(data_dir=tmp_path, port=port, key="k")
