"""Runs one learner's notebook and asks its functions. A program of its own: ``python runner.py`` INSIDE the sandbox.

stdin: a job, {"cells": [{"id", "source"}], "probes": [{"id", "function", "calls": [[argument, …], …]}], limits}.
stdout: one JSON object, {"died": bool, "cells": {id: {"state", "output"}}, "answers": {id: [{"value"} | {"error"}] | null}}.

Whatever this process says may have been forged by the learner's code, which runs as the same user; that is why the
expected answers never come here. It imports nothing of ftkit.
"""

import ctypes
import json
import os
import sys
import time
import uuid

MIME = "application/x-ftkit-answers+json"

ASK = '''
import copy, json
from IPython import get_ipython

def _plain(value, depth=0):
    if depth > 20:
        return repr(value)[:200]
    if isinstance(value, dict):
        return {str(k): _plain(v, depth + 1) for k, v in list(value.items())[:10000]}
    if isinstance(value, (list, tuple)):
        return [_plain(v, depth + 1) for v in value[:10000]]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return value if value == value and abs(value) < 1e300 else repr(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), depth + 1)
    return repr(value)[:200]

def ask(name, calls, mime, shell=get_ipython(), plain=_plain, dumps=json.dumps, copy=copy.deepcopy):
    found = []
    for arguments in calls:
        function = shell.user_ns.get(name)
        if not callable(function):
            found.append({"error": "NameError: " + name + " is not defined"})
            continue
        try:
            found.append({"value": plain(function(*copy(arguments)))})
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            found.append({"error": (type(error).__name__ + ": " + str(error))[:300]})
    shell.display_pub.publish({mime: dumps(found)})
'''
"""A module of its own in the kernel, so that a name of the learner's such as `list` or `json` does no harm to it."""

LOAD_ASK = f"import sys, types\nsys.modules['_ftkit_ask'] = types.ModuleType('_ftkit_ask')\nexec({ASK!r}, vars(sys.modules['_ftkit_ask']))"


def _keep_out() -> None:
    """No process of the same user may read this one's memory or write to its files (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def main() -> None:
    _keep_out()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")  # ours alone: what libraries print goes to stderr
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    import nbformat
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    class TooMuch(Exception):
        """A cell printed more than it may."""

    class Client(NotebookClient):
        """Counts what cells print, and keeps no more than is allowed."""

        printed = 0

        def output(self, outs, msg, display_id, cell_index):
            self.printed += len(json.dumps(msg["content"], default=str))
            if self.printed > job["output_bytes"]:
                return None
            return super().output(outs, msg, display_id, cell_index)

    began = time.monotonic()
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(LOAD_ASK)]
    manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=os.path.join(os.environ["HOME"], "k"))
    manager.kernel_spec.interrupt_mode = "message"
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    client = Client(
        notebook, km=manager, allow_errors=True, timeout=job["cell_seconds"], interrupt_on_timeout=True,
        error_on_timeout={"ename": "TimeoutError", "evalue": "the cell took too long", "traceback": []},
        startup_timeout=60, store_widget_state=False, record_timing=False, coalesce_streams=True,
        extra_arguments=["--HistoryManager.enabled=False"],
    )  # fmt: skip
    result = {"died": False, "cells": {}, "answers": {}}

    def run(source: str):
        """(state, the cell)."""
        left = job["notebook_seconds"] - (time.monotonic() - began)
        cell = nbformat.v4.new_code_cell(source)
        if result["died"]:
            return "not run: the kernel had died", cell
        if left <= 1:
            return "not run: the notebook took too long", cell
        client.timeout = max(1, round(min(job["cell_seconds"], left)))
        notebook.cells.append(cell)
        before, client.printed = time.monotonic(), 0
        try:
            client.execute_cell(cell, len(notebook.cells) - 1)
        except (DeadKernelError, RuntimeError):
            result["died"] = True
            return "the kernel died", cell
        except CellControlSignal:
            return "too long", cell
        if time.monotonic() - before >= client.timeout:
            return "too long", cell
        if client.printed > job["output_bytes"]:
            return "too much output", cell
        failed = [out for out in cell.outputs if out.output_type == "error"]
        return (f"{failed[0].ename}: {failed[0].evalue}"[:300] if failed else "ok"), cell

    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        for one in job["cells"]:
            state, cell = run(one["source"])
            result["cells"][one["id"]] = {"state": state, "output": shown(cell.outputs)}
        for probe in job["probes"]:
            mime = f"{MIME}-{uuid.uuid4().hex}"
            state, cell = run(f"import _ftkit_ask\n_ftkit_ask.ask({probe['function']!r}, {probe['calls']!r}, {mime!r})")
            found = [out.data[mime] for out in cell.outputs if out.output_type == "display_data" and mime in out.data]
            result["answers"][probe["id"]] = {"state": state, "answers": found[0] if found and state == "ok" else None}
    json.dump(result, answer_to)
    answer_to.close()


def shown(outputs) -> str:
    """What a cell printed, as plain text."""
    parts = []
    for out in outputs:
        if out.output_type == "stream":
            parts.append(out.text)
        elif out.output_type == "error":
            parts.append(f"{out.ename}: {out.evalue}")
        elif "text/plain" in out.get("data", {}):
            parts.append(str(out.data["text/plain"]))
    return "\n".join(parts)[:4000]


if __name__ == "__main__":
    main()
