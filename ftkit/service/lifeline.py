"""A child process that cannot outlive its parent, on any system.

The parent keeps the write end of the child's standard input and never writes. When the parent ends, even by
kill -9, the system closes that end, the child reads end-of-file, and goes.
"""

import os
import threading
from collections.abc import Callable


def when_parent_ends(act: Callable[[], None]) -> None:
    """Call ``act``, in a thread of its own, once standard input is closed."""

    def wait() -> None:
        try:
            while os.read(0, 4096):  # not sys.stdin: its lock would trouble the interpreter's shutdown
                pass
        except OSError:
            pass
        act()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
