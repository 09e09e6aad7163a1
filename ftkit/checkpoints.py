"""Checkpoints that are whole or not there: written aside, sealed with a digest of every file, then moved into place.

    runs/lora-001/checkpoints/
      checkpoint-100/    the adapter (or the model), optimiser, schedule, random states, trainer_state.json, seal.json
      checkpoint-200/    the last two are kept; all go once the run has succeeded
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

KEPT = 2
SEAL = "seal.json"


def place(written: Path, folder: Path) -> Path:
    """The checkpoint ``written`` aside, sealed and moved into ``folder``; older ones than the last two are removed."""
    (written / SEAL).write_text(json.dumps(_digests(written)), encoding="utf-8")
    for path in written.rglob("*"):
        if path.is_file():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
    final = folder / written.name
    shutil.rmtree(final, ignore_errors=True)
    os.replace(written, final)
    for old in _by_step(folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def newest(folder: Path) -> tuple[Path | None, list[str]]:
    """The last checkpoint that is whole, or None; and the names of later ones that are damaged."""
    damaged = []
    for path in _by_step(folder):
        if is_whole(path):
            return path, damaged
        damaged.append(path.name)
    return None, damaged


def is_whole(checkpoint: Path) -> bool:
    """Whether every file is there as it was when the checkpoint was sealed."""
    try:
        return _digests(checkpoint) == json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def step_of(checkpoint: Path) -> int:
    """The step after which it was written.

    >>> step_of(Path("runs/lora-001/checkpoints/checkpoint-200"))
    200
    """
    return int(checkpoint.name.rpartition("-")[2])


def _by_step(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    return sorted(found, key=step_of, reverse=True)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
