"""A local service that speaks OpenAI's fine-tuning protocol and really trains. Introduced in lesson 01.

    app.py        one FastAPI application: who may come in, and how errors look
    files.py  tuning.py  chat.py          its routes
    requests.py   what a request may say
    jobs.py       the life of a job, from validating_files to succeeded
    worker.py     the process that trains, one job after another
    server.py     uvicorn and the worker, started and stopped together
    store.py      the SQLite file all of them share
"""

import json
import os
import secrets
import socket
import sys
from collections.abc import Sequence

from ftkit.errors import FtkitError


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    data_dir: str | os.PathLike = "ftkit-service",
    key: str | None = None,
    base: Sequence[str] = (),
    with_parent: bool = False,
) -> None:
    """Run the local OpenAI-compatible service until it is stopped.

    Args:
        port: 0 takes any free one.
        data_dir: files, jobs and tuned models; one service at a time.
        key: what clients must send. Default: the environment's FTKIT_SERVICE_KEY, else a random one that is
            shown once on the terminal and kept nowhere.
        base: models to offer beside the embedded one: hub names or folders.
        with_parent: started by a program: write ``{"base_url": …}`` as one line to stdout, and end when stdin closes.

    Raises:
        FtkitError: the port or the folder is taken, or there is no key and no terminal to show one on.
    """
    from ftkit.service.server import FolderInUse, run_server  # fastapi and uvicorn

    key = key or os.environ.get("FTKIT_SERVICE_KEY")
    os.environ.pop("FTKIT_SERVICE_KEY", None)  # the worker has no use for it
    shown = not key
    if shown and not (sys.stdout.isatty() or with_parent):
        raise FtkitError("serve: no key, and no terminal to show one on; set FTKIT_SERVICE_KEY or pass key=")
    key = key or "ftkit-" + secrets.token_urlsafe(24)
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        why = f"serve: cannot listen on {host}:{port} ({error.strerror}); choose another port, or 0"
        raise FtkitError(why) from None
    with listener:
        url = f"http://{host}:{listener.getsockname()[1]}/v1"

        def ready() -> None:
            if with_parent:
                print(json.dumps({"base_url": url}), flush=True)
            elif sys.stdout.isatty():
                print(f"ftkit service on {url}; data in {data_dir}. Stop with Ctrl-C. In the client's terminal:\n")
                print(f"    export OPENAI_BASE_URL={url}")
                print(f"    export OPENAI_API_KEY={key if shown else '…  # the key you chose'}\n", flush=True)

        try:
            run_server(listener, data_dir, key, base, with_parent, ready)
        except FolderInUse:
            if with_parent:
                print(json.dumps({"error": "in use"}), flush=True)
            raise
