"""The local services this process uses: one per data folder, found where it runs already, else started.

The service is a program of its own (``python -m ftkit.service``); here is only how to find, start and stop it. One that
this process has started is gone when this process is; its files, jobs and models stay, and unfinished jobs go on once a
service runs on the folder again.
"""

import atexit
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ftkit.errors import EndpointError

START_SECONDS = 60
"""A service that has not said its URL by then is ended."""


@dataclass(frozen=True)
class Service:
    """A running service; ``process`` is None where another process has started it."""

    process: subprocess.Popen | None
    base_url: str
    key: str = field(repr=False)


_services: dict[str, Service] = {}
_lock = threading.Lock()


def service(data_dir: str) -> Service:
    """The service on this folder: the one that this process or another has started, else a new one."""
    folder = Path(data_dir).resolve()
    with _lock:
        mine = _services.get(str(folder))
        if mine and mine.process.poll() is None:
            return mine
        if mine:
            mine.process.stdin.close()
            del _services[str(folder)]
        until = time.monotonic() + START_SECONDS
        while (found := _find(folder) or _start(folder)) is None:  # one that is just starting, or about to end
            if time.monotonic() > until:
                raise EndpointError(f"{folder}: another process uses this folder; stop it, or pass another data_dir=")
            time.sleep(0.2)
        if found.process:
            _services[str(folder)] = found
        return found


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


def _find(folder: Path) -> Service | None:
    """The service that another process runs on this folder, or None.

    Its note of where it listens counts only while it holds its lock: the port of one that is gone may be a stranger's. One
    whose parent is gone answers a moment longer and then ends, so it does not count either.

    Raises:
        EndpointError: it was started with a key of its own, which only the environment can tell.
    """
    if not _held(folder / "in-use.sqlite3"):
        return None
    import psutil

    try:
        note = json.loads((folder / "service.json").read_text(encoding="utf-8"))
        if note.get("parent") and not psutil.pid_exists(note["parent"]):
            return None
        where = urlsplit(note["base_url"])
        socket.create_connection((where.hostname, where.port), timeout=1).close()  # it may be about to end
        kept = (folder / "key").read_text(encoding="utf-8").strip() if note["own_key"] else None
    except (OSError, ValueError):
        return None
    key = kept or os.environ.get("FTKIT_SERVICE_KEY")
    if not key:
        raise EndpointError(
            f"{folder}: a service with a key of its own runs on this folder; set FTKIT_SERVICE_KEY to that key, or use "
            f"ftkit.endpoint({note['base_url']!r}, key_env=…)"
        )
    return Service(None, note["base_url"], key)


def _held(lock: Path) -> bool:
    """Whether a service holds the lock of its folder."""
    if not lock.exists():
        return False
    db = sqlite3.connect(lock, timeout=0, isolation_level=None)
    try:
        db.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return True
    finally:
        db.close()
    return False


def _start(folder: Path) -> Service | None:
    """A new service on this folder; None: another one has taken the folder meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    package = Path(__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if name != "FTKIT_SERVICE_KEY"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    with open(folder / "service.log", "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ftkit.service", "--with-parent", "--port", "0", "--data-dir", str(folder)],
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
        return Service(process, answer["base_url"], (folder / "key").read_text(encoding="utf-8").strip())
    process.stdin.close()
    process.kill()
    process.wait()
    if answer.get("error") == "in use":
        return None
    raise EndpointError(f"{folder}: the local service did not start; {folder / 'service.log'} says why")
