"""What the sandbox lets through, at both levels. The zoo holds the attacks."""

import json
import os
import struct
import sys

import pytest

from ftkit.errors import FtkitError
from ftkit.grading import sandbox, seccomp
from ftkit.grading.spec import Limits

LIMITS = Limits(cell_seconds=60, notebook_seconds=180, memory_mib=700)
needs_bubblewrap = pytest.mark.skipif(not sandbox._works(), reason="needs bubblewrap (Debian: apt install bubblewrap)")
LEVELS = [pytest.param("bubblewrap", marks=needs_bubblewrap), "process"]


def said(code: str, level: str, calls=((1, 2),)) -> dict:
    job = {
        "cells": [{"id": "a", "source": code}], "probes": [{"id": "q", "function": "f", "calls": [list(call) for call in calls]}],
        "cell_seconds": 60, "notebook_seconds": 180, "output_bytes": 100_000,
    }  # fmt: skip
    outcome = sandbox.run(job, LIMITS, level)
    assert not outcome.ended, outcome
    return json.loads(outcome.output)


@pytest.mark.parametrize("level", LEVELS)
def test_answers_come_back_as_json_and_output_as_text(level):
    found = said("print('hello')\ndef f(a, b): return {'sum': a + b, 'list': (a, b)}", level)
    assert found["cells"]["a"] == {"state": "ok", "output": "hello\n"} and found["died"] is False
    assert json.loads(found["answers"]["q"]["answers"]) == [{"value": {"sum": 3, "list": [1, 2]}}]


@pytest.mark.parametrize("level", LEVELS)
def test_the_environment_of_the_grader_is_not_there(level, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a key of the course")
    found = said("import os\nprint(dict(os.environ))\ndef f(a, b): return sorted(os.environ)", level)
    assert "a key of the course" not in json.dumps(found)


@needs_bubblewrap
def test_bubblewrap_shows_python_and_the_package_and_nothing_else_of_this_machine(tmp_path):
    (tmp_path / "secret.key").write_text("secret")
    here, user = repr(str(tmp_path / "secret.key")), os.path.expanduser("~")
    exercises = repr(str(sandbox._package_parent() / "exercises"))
    code = f"import os, ftkit\ndef f(a, b): return [os.path.exists({here}), os.path.exists({exercises}), os.listdir({user!r}) if os.path.exists({user!r}) else [], os.path.exists('/etc/passwd')]"
    secret, hidden, home, passwords = json.loads(said(code, "bubblewrap")["answers"]["q"]["answers"])[0]["value"]
    assert not secret and not hidden and not passwords
    assert set(home) <= {".pyenv", ".local", ".venv"}  # where Python itself may lie


def test_a_level_that_is_not_there_is_not_silently_replaced(monkeypatch):
    monkeypatch.setattr(sandbox, "_works", lambda: False)
    assert sandbox.level("auto") == "process"
    with pytest.raises(FtkitError, match="bubblewrap does not work here"):
        sandbox.level("bubblewrap")
    with pytest.raises(FtkitError, match="want auto"):
        sandbox.level("docker")


@needs_bubblewrap
def test_the_sandbox_works_where_the_package_lies_under_tmp(tmp_path):
    """As in a clone that a build server made there: the sandbox has a /tmp of its own."""
    command = sandbox._bubblewrap(LIMITS, "/tmp")
    assert command.index("--tmpfs") < min(i for i, word in enumerate(command) if word == "--ro-bind")


@needs_bubblewrap
def test_hidden_tests_inside_the_environment_are_covered(tmp_path, monkeypatch):
    (tmp_path / "02_lora" / "hidden").mkdir(parents=True)
    monkeypatch.setattr(sandbox, "exercises_folder", lambda: tmp_path)
    assert str(tmp_path / "02_lora" / "hidden") not in sandbox._bubblewrap(LIMITS, "/tmp")
    monkeypatch.setattr(sandbox.sys, "prefix", str(tmp_path))
    command = sandbox._bubblewrap(LIMITS, "/tmp")
    assert command[command.index(str(tmp_path / "02_lora" / "hidden")) - 1] == "--tmpfs"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone keeps processes of one user apart in this way")
@pytest.mark.parametrize("level", [pytest.param("bubblewrap", marks=needs_bubblewrap)])
def test_the_learners_process_cannot_open_the_files_or_the_memory_of_the_one_that_asks_it(level):
    code = (
        "import os\ndef opened(path):\n    try: open(path, 'r+b').close()\n    except OSError: return False\n    return True\n"
        "def f(a, b):\n    p = f'/proc/{os.getppid()}'\n"
        "    return [opened(f'{p}/mem'), opened(f'{p}/fd/1'), opened('/proc/self/mem')]"
    )
    assert json.loads(said(code, level)["answers"]["q"]["answers"]) == [{"value": [False, False, True]}]


def test_who_says_more_than_is_read_is_ended(tmp_path):
    endless = [sys.executable, "-c", "import os\nwhile True: os.write(1, b'x' * 65536)"]
    outcome = sandbox._watched(endless, b"", LIMITS, str(tmp_path))
    assert outcome.ended == "it said more than the grader reads" and len(outcome.output) <= sandbox.OUTPUT_BYTES


@needs_bubblewrap
def test_memory_that_belongs_to_no_process_cannot_be_had():
    """Nobody who watches processes would see it grow."""
    code = (
        "import ctypes, errno, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def f(a, b):\n    try: os.memfd_create('x')\n    except PermissionError: pass\n    else: return 'memfd'\n"
        "    return [libc.shmget(0, 4096, 0o1600), ctypes.get_errno() == errno.EPERM]"
    )
    assert json.loads(said(code, "bubblewrap")["answers"]["q"]["answers"]) == [{"value": [-1, True]}]


@pytest.mark.parametrize("machine", seccomp.DENIED)
def test_the_filter_refuses_the_calls_of_its_list_and_no_others(machine):
    """Run by an interpreter of the five instructions that it is made of."""
    audit, calls = seccomp.DENIED[machine]
    steps = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))

    def run(arch: int, number: int) -> int:
        at, value = 0, None
        while True:
            code, yes, no, k = steps[at]
            if code == seccomp.RETURN:
                return k
            if code == seccomp.LOAD:
                value, jump = {0: number, 4: arch}[k], 0
            else:
                jump = yes if (value == k if code == seccomp.EQUAL else value >= k) else no
            at += 1 + jump

    refused = {number for number in range(600) if run(audit, number) == seccomp.REFUSE}
    assert refused == set(calls.values()) and run(audit, seccomp.X32 + 1) == seccomp.REFUSE
    assert run(audit, 0) == seccomp.ALLOW and run(0x40000003, 0) == seccomp.KILL
    assert seccomp.program("riscv64") == b""
