"""A lock in the data folder that the system itself lets go of when its process ends, however it ends."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVICE, WORKER = "in-use.sqlite3", "working.sqlite3"
"""The one service, and the one worker, of a data folder."""


class Held(Exception):
    """Another process has the lock."""


@contextmanager
def hold(root: Path, name: str, seconds: float = 0) -> Iterator[None]:
    """Have the lock while inside; wait for it up to ``seconds``.

    Raises:
        Held: another process has it.
    """
    lock = sqlite3.connect(root / name, timeout=seconds, isolation_level=None)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise Held(f"{root / name} is held by another process") from None
        yield
    finally:
        lock.close()
