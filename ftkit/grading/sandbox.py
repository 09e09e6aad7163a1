"""Where a learner's notebook runs: in bubblewrap, which holds no hidden test, no secret and no network.

Levels, best first; the first whose trial run works is taken, and the report names it.

bubblewrap   Linux namespaces: no network, no other process in sight, a file system that holds only Python and ftkit
             (read-only) and a small /tmp in memory, no environment.
process      any system: a process of its own with limits, an empty folder and no environment. It can read the
             grader's files and reach the network: only for learners you trust, or on a machine made for it.

Time, memory, processes and output are watched from outside at either level, for the processes of a submission together.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from ftkit.errors import FtkitError
from ftkit.grading import seccomp
from ftkit.grading.spec import Limits, exercises_folder

LEVELS = {
    "bubblewrap": "bubblewrap: no network, no hidden tests or secret in sight, limited time, memory, processes, output",
    "process": "A SEPARATE PROCESS ONLY: time, memory, processes and output are limited, but the learner's code could read "
    "this machine's files, the secret among them, and reach the network. Install bubblewrap (Linux) to close that",
}

RUNNER = Path(__file__).with_name("runner.py")

LOOK_EVERY = 0.1
"""Seconds between two looks at what a sandbox uses."""

SPARE_SECONDS = 30
"""What starting and ending may take beyond the notebook's own time."""

OUTPUT_BYTES = 4 * 1024 * 1024
"""The most that is read from a sandbox; more, and it is ended."""


@dataclass(frozen=True)
class Outcome:
    """What came out of a sandbox."""

    output: bytes
    ended: str
    """"" if it ended by itself with code 0, else why it did not."""
    peak_mib: int = 0


def level(wanted: str = "auto") -> str:
    """The isolation that runs of this process get.

    Raises:
        FtkitError: the wanted level does not work here.
    """
    if wanted not in ("auto", *LEVELS):
        raise FtkitError(f"isolation: want auto, {' or '.join(LEVELS)}; got {wanted!r}")
    if wanted in ("auto", "bubblewrap") and _works():
        return "bubblewrap"
    if wanted == "bubblewrap":
        raise FtkitError("isolation: bubblewrap does not work here; install it (Debian: apt install bubblewrap)")
    return "process"


@cache
def _works() -> bool:
    """Whether bubblewrap is here and a Python with nbclient starts in it: user namespaces may be forbidden."""
    if shutil.which("bwrap") is None:
        return False
    with _filter() as fd:
        trial = [*_bubblewrap(Limits(), "/tmp", fd), sys.executable, "-c", "import nbclient, ipykernel"]
        return subprocess.run(trial, capture_output=True, timeout=60, pass_fds=_given(fd)).returncode == 0


def run(job: dict, limits: Limits, isolation: str) -> Outcome:
    """What runner.py says about ``job``: up to OUTPUT_BYTES of bytes that may hold anything."""
    runner = [sys.executable, str(RUNNER)]
    with tempfile.TemporaryDirectory(prefix="ftkit-grade-") as folder:
        if isolation != "bubblewrap":
            return _watched([*_limited(limits), *runner], json.dumps(job).encode(), limits, folder, _environment(folder))
        with _filter() as fd:
            command = [*_limited(limits), *_bubblewrap(limits, "/tmp", fd), *runner]
            return _watched(command, json.dumps(job).encode(), limits, folder, pass_fds=_given(fd))


@contextmanager
def _filter() -> Iterator[int | None]:
    fd = seccomp.pipe()
    try:
        yield fd
    finally:
        if fd is not None:
            os.close(fd)


def _given(fd: int | None) -> tuple[int, ...]:
    return () if fd is None else (fd,)


def _environment(home: str) -> dict[str, str]:
    """All that the learner's code sees of the environment."""
    return {
        "HOME": home,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": str(_package_parent()),
        "LANG": "C.UTF-8",
        "TMPDIR": home,
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": os.path.join(home, ".ipython"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "FTKIT_GRADING": "1",
    }


def _package_parent() -> Path:
    return Path(__file__).parents[2]


def _bubblewrap(limits: Limits, home: str, fd: int | None = None) -> list[str]:
    """The command that opens the sandbox. In it: the system's programs, this Python, the package ftkit, an empty /tmp."""
    command = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    command += ["--disable-userns"] if _knows("--disable-userns") else []
    command += ["--cap-drop", "ALL", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--clearenv"]
    command += ["--seccomp", str(fd)] if fd is not None else []
    size = ["--size", str(limits.disk_mib * 1024 * 1024)] if _knows("--size") else []
    command += ["--proc", "/proc", "--dev", "/dev", *size, "--tmpfs", "/tmp", *size, "--tmpfs", "/dev/shm"]
    for path in ("/usr", "/bin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system/cpu"):
        command += ["--ro-bind-try", path, path]
    mounted = []
    for path in (Path(sys.base_prefix), Path(sys.prefix), Path(sys.prefix).resolve(), Path(__file__).parents[1]):
        if not any(path.is_relative_to(one) for one in [Path("/usr"), *mounted]):
            command += ["--ro-bind", str(path), str(path)]
            mounted.append(path)
    for hidden in exercises_folder().glob("*/hidden"):  # where the environment is the checkout itself
        if any(hidden.is_relative_to(one) for one in mounted):
            command += ["--tmpfs", str(hidden)]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", home]
    for name, value in _environment(home).items():
        command += ["--setenv", name, value]
    return command


@cache
def _knows(option: str) -> bool:
    """Whether this bubblewrap is new enough for ``option`` (0.8 has all that we use)."""
    return option in subprocess.run(["bwrap", "--help"], capture_output=True, text=True).stdout


def _limited(limits: Limits) -> list[str]:
    """Limits for each single process, where the system has prlimit."""
    if shutil.which("prlimit") is None:
        return []
    memory = (limits.memory_mib + 4096) * 1024 * 1024  # of addresses; libraries reserve far more than they use
    seconds = round(limits.notebook_seconds + SPARE_SECONDS) * 4
    return [
        "prlimit", f"--as={memory}", f"--cpu={seconds}", "--core=0", f"--fsize={limits.disk_mib * 1024 * 1024}", "--nofile=512",
        *([f"--nproc={_user_processes() + limits.processes * 4}"] if os.geteuid() else []), "--",
    ]  # fmt: skip


def _user_processes() -> int:
    """Threads of this user now: the system counts all of them against the limit."""
    own = os.geteuid()
    count = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        count += (process.info["num_threads"] or 1) if uids and uids.real == own else 0
    return count


def _watched(command: list[str], stdin: bytes, limits: Limits, folder: str, environment: dict | None = None, pass_fds=()) -> Outcome:
    """Run it; end it, with everything it started, as soon as it uses too much of anything."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=folder,
        start_new_session=True, pass_fds=pass_fds,
    )  # fmt: skip
    output = bytearray()
    flooded = threading.Event()

    def read() -> None:
        while chunk := process.stdout.read1(65536):
            if len(output) + len(chunk) > OUTPUT_BYTES:
                flooded.set()
                return
            output.extend(chunk)

    def write() -> None:
        try:
            with process.stdin as pipe:
                pipe.write(stdin)
        except OSError:  # it ended before it had read its job
            pass

    threads = [threading.Thread(target=one, daemon=True) for one in (read, write)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + limits.notebook_seconds + SPARE_SECONDS
    ended, peak, seen = "", 0, {}
    while process.poll() is None:
        used, count = _usage(process.pid, seen)
        peak = max(peak, used)
        if used > limits.memory_mib * 1024 * 1024:
            ended = f"it used more than {limits.memory_mib} MiB of memory"
        elif count > limits.processes:
            ended = f"it started more than {limits.processes} processes"
        elif flooded.is_set():
            ended = "it said more than the grader reads"
        elif time.monotonic() > until:
            ended = f"it had not ended after {limits.notebook_seconds + SPARE_SECONDS:.0f} s"
        if ended:
            break
        try:
            process.wait(LOOK_EVERY)
        except subprocess.TimeoutExpired:
            pass
    _kill(process, seen)
    threads[0].join(timeout=5)
    process.stdout.close()
    if not ended and flooded.is_set():
        ended = "it said more than the grader reads"
    if not ended and process.returncode:
        ended = f"the sandbox ended with code {process.returncode}"
    return Outcome(bytes(output), ended, peak >> 20)


def _usage(pid: int, seen: dict) -> tuple[int, int]:
    """(bytes in memory, processes) of the process and all its descendants; ``seen`` remembers them."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0, 0
    used = 0
    for one in family:
        try:
            used += one.memory_info().rss
            seen[one.pid] = one
        except psutil.Error:
            pass
    return used, len(family)


def _kill(process: subprocess.Popen, seen: dict) -> None:
    """End it and what it started. In bubblewrap the kernel ends all of them with the first; elsewhere we look for them."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    for one in seen.values():
        try:
            if one.is_running():  # the same process still, not another with its number
                one.kill()
        except psutil.Error:
            pass
    process.wait()
