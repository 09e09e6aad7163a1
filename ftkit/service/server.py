"""The service's two processes: uvicorn here, one worker beside it. Started by `ftkit.service.serve`."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from ftkit.errors import FtkitError
from ftkit.local import EMBEDDED
from ftkit.service import jobs, results
from ftkit.service.app import make_app
from ftkit.service.keys import Keys, own_key, write_private
from ftkit.service.lifeline import when_parent_ends
from ftkit.service.limits import Limits
from ftkit.service.lock import SERVICE, WORKER, Held, hold
from ftkit.service.store import Store

PATIENCE = 5
"""Seconds that a request waits while another process writes to the store."""

WHERE = "service.json"
"""Tells other processes of this account where the service listens, while it holds its lock."""


def run_server(
    listener: socket.socket,
    url: str,
    data_dir: str | os.PathLike,
    key: str | None,
    learners: dict[str, str],
    bases: Sequence[str],
    limits: Limits,
    with_parent: bool,
    ready: Callable[[], None],
) -> None:
    """Serve on ``listener`` until told to stop; then the worker is gone too.

    ``learners``: key → name. Without a ``key``, the one that the folder keeps is taken.
    """
    with only_one(Path(data_dir)) as root, uploads_in(root):
        (root / WHERE).unlink(missing_ok=True)  # of a service that was killed
        store = Store(root)
        with hold(root, WORKER, seconds=60):  # the worker of a service that was killed is gone once this is free
            results.sweep(store)
        keys = Keys(key or own_key(root), learners)
        app = make_app(Store(root, PATIENCE), keys, list(dict.fromkeys([EMBEDDED, *bases])), limits)

        parent = os.getppid() if with_parent else None
        note = json.dumps({"base_url": url, "own_key": key is None, "parent": parent}) + "\n"
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
        server = Server(config, root / WHERE, note, ready)
        if with_parent:
            when_parent_ends(server.stop)
        with working(store), suppress(KeyboardInterrupt):  # uvicorn has closed in good order, and passes Ctrl-C on
            server.run(sockets=[listener])


class FolderInUse(FtkitError):
    """Another service uses the data folder."""


class Server(uvicorn.Server):
    """uvicorn, with a note of where it is that is there only while it answers; another thread can stop it."""

    def __init__(self, config: uvicorn.Config, where: Path, note: str, ready: Callable[[], None]):
        super().__init__(config)
        self.where, self.note, self.ready = where, note, ready

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        write_private(self.where, self.note)
        self.ready()

    async def shutdown(self, sockets=None) -> None:
        self.stop()
        await super().shutdown(sockets)

    def stop(self) -> None:
        self.where.unlink(missing_ok=True)  # first of all: who looks for the service now must start another one
        self.should_exit = True


@contextmanager
def only_one(root: Path) -> Iterator[Path]:
    """The folder, as the only service there; the system lets go of it when this process ends, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        with hold(root, SERVICE):
            yield root.resolve()
    except Held:
        raise FolderInUse(f"{root}: another service uses this folder; stop it, or choose another data_dir") from None


@contextmanager
def uploads_in(root: Path) -> Iterator[None]:
    """While inside, uploads grow on the disk where they will stay: a /tmp made of memory would fill up."""
    before, spool = tempfile.tempdir, root / "incoming"
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir()
    tempfile.tempdir = str(spool)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(spool, ignore_errors=True)


@contextmanager
def working(store: Store) -> Iterator[None]:
    """While inside, one worker process runs; one that dies is replaced, and the next goes on with its job."""
    stopping = threading.Event()
    workers = [_start_worker(store)]

    def watch() -> None:
        while True:
            code = workers[-1].wait()
            if stopping.wait(1):  # not at once: a worker that cannot start must not spin
                return
            workers[-1].stdin.close()
            with suppress(Exception):  # the store may be locked, or without room; the count of deaths can wait
                jobs.worker_died(store, code)
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
