#!/usr/bin/env python3
"""The kit's front door. Standard library only; needs Python 3.11 or newer and nothing else.

    python3 kit.py setup    make .venv and install the kit into it
    python3 kit.py tour     … and train one model on each of the three tracks
    python3 kit.py lab      … and open the lessons in JupyterLab
    python3 kit.py test     … with what the tests need, and run all of them

Each may be called again at any time: what is there already is not done twice. Words after the command are handed on:
`python3 kit.py test -k split`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
EXTRAS = {"setup": "lab,offline", "tour": "lab,offline", "lab": "lab,offline", "test": "lab,offline,dev"}
RUN = {
    "tour": ["-m", "ftkit", "tour"],
    "lab": ["-m", "jupyterlab", "--notebook-dir", str(ROOT / "lessons")],
    "test": ["-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"],  # two files at a time, as conftest orders them
}


def main(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if command not in EXTRAS:
        print(__doc__)
        return 0 if command in ("", "help", "-h", "--help") else 2
    if sys.version_info < (3, 11):
        return fail(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.", "Install it from python.org.")
    os.environ["PYTHONUTF8"] = "1"
    if not (installed := install(EXTRAS[command])) or command not in RUN:
        return 0 if installed else 1
    return subprocess.run([str(PYTHON), *RUN[command], *rest], cwd=ROOT).returncode


def install(extras: str) -> bool:
    """True once .venv holds the kit with these extras. A stamp file remembers for which pins that was done."""
    pins = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    state = hashlib.sha256(pins + sys.version.encode()).hexdigest()
    stamp = VENV / "ftkit-installed.txt"
    done, _, had = (stamp.read_text(encoding="utf-8") if stamp.exists() else "").partition(" ")
    if done == state and set(extras.split(",")) <= set(had.split(",")):
        return True
    if not PYTHON.exists() or (done and done != state):
        say(f"Making {VENV.name} with Python {sys.version.split()[0]}")
        if not run(sys.executable, "-m", "venv", "--clear", str(VENV)):
            fail("The virtual environment could not be made.", "On Debian or Ubuntu: sudo apt install python3-venv")
            return False
    say("Installing the kit and its libraries (a few minutes the first time; torch is large)")
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if not run(*pip, "-c", "constraints.txt", "-e", f".[{extras}]"):
        remedy = "Check the connection and the disk, then call this again."
        fail("pip could not install the libraries; its words are above.", remedy)
        return False
    stamp.write_text(f"{state} {extras}", encoding="utf-8")
    say("Installed")
    return True


def run(*command) -> bool:
    try:
        return subprocess.run([str(part) for part in command], cwd=ROOT).returncode == 0
    except OSError as error:
        print(error, file=sys.stderr)
        return False


def say(text: str) -> None:
    print(f"kit: {text}", flush=True)


def fail(what: str, remedy: str) -> int:
    print(f"kit: {what}\n     {remedy}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
