"""The service's two processes: uvicorn here, one worker beside it. Started by `ftkit.service.serve`."""

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from ftkit.errors import FtkitError
from ftkit.local import EMBEDDED
from ftkit.service import jobs
from ftkit.service.app import make_app
from ftkit.service.lifeline import when_parent_ends
from ftkit.service.store import Store


def run_server(
    listener: socket.socket,
    data_dir: str | os.PathLike,
    key: str,
    bases: Sequence[str],
    with_parent: bool,
    ready: Callable[[], None],
) -> None:
    """Serve on ``listener`` until told to stop; then the worker is gone too."""
    with only_one(Path(data_dir)):
        store = Store(data_dir)
        jobs.requeue(store)
        app = make_app(store, key, list(dict.fromkeys([EMBEDDED, *bases])))
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        server = Server(config, ready)
        if with_parent:
            when_parent_ends(server.stop)
        with working(store), suppress(KeyboardInterrupt):  # uvicorn has closed in good order, and passes Ctrl-C on
            server.run(sockets=[listener])


class FolderInUse(FtkitError):
    """Another service uses the data folder."""


class Server(uvicorn.Server):
    """uvicorn, telling when it is ready, and willing to be stopped from another thread."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.ready()

    def stop(self) -> None:
        self.should_exit = True


@contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the folder; the system lets go of it when this process ends, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(root / "in-use.sqlite3", timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise FolderInUse(f"{root}: another service uses this folder; stop it, or choose another data_dir") from None
    finally:
        lock.close()


@contextmanager
def working(store: Store) -> Iterator[None]:
    """While inside, one worker process runs; one that dies is replaced, and the job it was at fails."""
    stopping = threading.Event()
    workers = [_start_worker(store)]

    def watch() -> None:
        while True:
            code = workers[-1].wait()
            if stopping.wait(1):  # not at once: a worker that cannot start must not spin
                return
            jobs.worker_died(store, code)
            workers[-1].stdin.close()
            workers.append(_start_worker(store))
            if stopping.is_set():
                workers[-1].stdin.close()

    thread = threading.Thread(target=watch, name="worker-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        workers[-1].stdin.close()  # the worker reads end-of-file, and ends
        thread.join(timeout=10)


def _start_worker(store: Store) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "ftkit.service.worker", str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is for the service, which then ends the worker
    )
