"""A local service that speaks OpenAI's fine-tuning protocol and really trains. Introduced in lesson 01.

    server.py     uvicorn and the worker, started and stopped together
    gate.py       who may come in, and with what: keys.py, body.py
    app.py        one FastAPI application, how errors look: errors.py
    files.py  tuning.py  models.py  chat.py  embeddings.py  status.py      its routes
    requests.py   what a request may say; limits.py how much one key may have
    jobs.py       the life of a job, from validating_files to succeeded
    worker.py     the process that trains, one job after another: rows.py reads, results.py is what remains
    generate.py   answers, token by token
    store.py      the SQLite file all of them share; lock.py, lifeline.py: one of each, and none left over
"""

import json
import os
import socket
from collections.abc import Sequence

from ftkit.errors import FtkitError
from ftkit.lang import spoken


@spoken("en")  # as the protocol does
def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    data_dir: str | os.PathLike = "ftkit-service",
    key: str | None = None,
    keys: str | os.PathLike | None = None,
    base: Sequence[str] = (),
    max_jobs: int | None = None,
    max_gib: float | None = None,
    with_parent: bool = False,
) -> None:
    """Run the local OpenAI-compatible service until it is stopped.

    Args:
        host: the default is for this machine alone; "0.0.0.0" lets a class in.
        port: 0 takes any free one.
        data_dir: files, jobs and tuned models; one service at a time.
        key: what clients must send. Default: the environment's FTKIT_SERVICE_KEY, else a random one that is made at the
            first start and kept in the file ``key`` of the folder, readable by this account alone; it is never shown.
        keys: a CSV file with the columns name and key, one learner a line; missing keys are made and written back. Each
            sees only their own files, jobs and models. The service's own key opens the page /status.
        base: models to offer beside the embedded one: hub names or folders.
        max_jobs: jobs that one key may have unfinished.
        max_gib: what the files and tuned models of one key may take.
        with_parent: started by a program: write ``{"base_url": …}`` as one line to stdout, and end when stdin closes.

    Raises:
        FtkitError: the port or the folder is taken, or the file of keys cannot be used.
    """
    from ftkit.service.keys import read_class
    from ftkit.service.limits import Limits
    from ftkit.service.server import FolderInUse, run_server  # fastapi and uvicorn

    key = key or os.environ.get("FTKIT_SERVICE_KEY")
    os.environ.pop("FTKIT_SERVICE_KEY", None)  # the worker has no use for it
    learners = read_class(keys) if keys else {}
    given = {name: value for name, value in (("jobs", max_jobs), ("gib", max_gib)) if value is not None}
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
            else:
                where = "the key you chose" if key else f'"$(cat {os.path.join(data_dir, "key")})"'
                print(f"ftkit service on {url}; data in {data_dir}. Stop with Ctrl-C. In the client's terminal:\n")
                print(f"    export OPENAI_BASE_URL={url}\n    export OPENAI_API_KEY={where}\n", flush=True)
                if learners:
                    print(f"{len(learners)} learners, each with the key in {keys}. Who is where: {url[:-3]}/status\n", flush=True)

        try:
            run_server(listener, url, data_dir, key, learners, base, Limits(**given), with_parent, ready)
        except FolderInUse:
            if with_parent:
                print(json.dumps({"error": "in use"}), flush=True)
            raise
