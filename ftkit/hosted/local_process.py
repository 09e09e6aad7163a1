"""The local services this process has started: one per data folder, each gone when this process is.

The service is a program of its own (``python -m ftkit.service``); here is only how to start and stop it.
"""

import atexit
import json
import os
import secrets
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from ftkit.errors import EndpointError

START_SECONDS = 60
"""A service that has not said its URL by then is ended."""


class FolderInUse(EndpointError):
    """Another process's service uses the data folder."""


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: subprocess.Popen
    base_url: str
    key: str = field(repr=False)


_services: dict[str, Service] = {}
_lock = threading.Lock()


def service(data_dir: str) -> Service:
    """The service on this folder, started if it does not run."""
    data_dir = str(Path(data_dir).resolve())
    with _lock:
        running = _services.get(data_dir)
        if running is None or running.process.poll() is not None:
            if running:
                running.process.stdin.close()
            _services[data_dir] = running = _start(Path(data_dir))
        return running


def stop(data_dir: str) -> None:
    """End the service on this folder, if this process started one."""
    with _lock:
        running = _services.pop(str(Path(data_dir).resolve()), None)
    if running is None:
        return
    running.process.stdin.close()  # it reads end-of-file, and ends
    try:
        running.process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()


@atexit.register
def stop_all() -> None:
    for data_dir in list(_services):
        stop(data_dir)


def _start(data_dir: Path) -> Service:
    data_dir.mkdir(parents=True, exist_ok=True)
    key = "ftkit-" + secrets.token_urlsafe(24)
    package = Path(__file__).parents[2]
    environment = {**os.environ, "FTKIT_SERVICE_KEY": key}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    with open(data_dir / "service.log", "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ftkit.service", "--with-parent", "--port", "0", "--data-dir", str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,  # Kernel → Interrupt is for the notebook alone
        )
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    with process.stdout:
        line = process.stdout.readline()
    watchdog.cancel()
    answer = json.loads(line) if line.startswith(b"{") else {}
    if "base_url" in answer:
        return Service(process, answer["base_url"], key)
    process.stdin.close()
    process.kill()
    process.wait()
    if answer.get("error") == "in use":
        raise FolderInUse(f"{data_dir}: another process's service uses this folder; stop it, or pass another data_dir=")
    raise EndpointError(f"{data_dir}: the local service did not start; {data_dir / 'service.log'} says why")
