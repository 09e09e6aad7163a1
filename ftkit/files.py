"""Files and folders that are whole or not there: written beside their place, then moved into it."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomic(path: Path, text: str) -> Path:
    """The path, now holding ``text`` in UTF-8, flushed to disk before it replaces what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    return path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes ``folder`` if nothing failed, and goes away if something did."""
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)


def append_line(path: Path, record: dict) -> None:
    """``record`` is a line of the JSON Lines file ``path``, whole and on disk, when this returns.

    Other processes may append at the same time: each waits for its turn. Half a line that a crash left behind stays
    by itself, and `read_lines` passes over it.
    """
    import portalocker  # the standard library locks files differently on each system

    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    with open(path, "a+b") as file:
        portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE)
        try:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        finally:
            portalocker.unlock(file)


def read_lines(path: Path) -> list[dict]:
    """The whole records of a file that `append_line` wrote, oldest first; none if there is no file.

    What is passed over is half a line left by a crash: nobody was told that it was saved.
    """
    import portalocker

    if not path.exists():
        return []
    with open(path, "rb") as file:
        portalocker.lock(file, portalocker.LockFlags.SHARED)  # on Windows a locked file cannot be read at all
        try:
            lines = file.read().splitlines()
        finally:
            portalocker.unlock(file)
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
