"""The highest memory while something runs: of the process on a CPU, of the GPU on one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

GIB = 2**30


class Peak:
    """The highest memory of the process (or of the GPU) inside `peak_memory`."""

    def __init__(self):
        self.bytes = 0

    @property
    def gib(self) -> float:
        """In GiB."""
        return self.bytes / GIB


@contextmanager
def peak_memory(every: float = 0.02) -> Iterator[Peak]:
    """A `Peak` that is up to date once the block has ended."""
    peak, process, done = Peak(), psutil.Process(), threading.Event()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        yield peak
        peak.bytes = torch.cuda.max_memory_reserved()
        return

    def look() -> None:
        while True:
            peak.bytes = max(peak.bytes, process.memory_info().rss)
            if done.wait(every):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
