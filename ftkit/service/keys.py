"""Who may come in: one key, or one for each learner of a class. A key stands for its owner's name."""

import csv
import hashlib
import hmac
import io
import os
import secrets
from pathlib import Path

from ftkit.errors import FtkitError

OWNER = "local"
"""Whose things are those made with the service's own key: the one user's, or the instructor's."""


class Keys:
    """All keys, kept as digests."""

    def __init__(self, own: str, learners: dict[str, str] | None = None):
        """``learners``: key → name."""
        self._owners = {_digest(key.encode()): name for key, name in {**(learners or {}), own: OWNER}.items()}
        self.names = [OWNER, *(learners or {}).values()]

    def owner(self, given: bytes) -> str | None:
        """Whose key this is. Always compares with every key, so the time taken tells nothing about them."""
        given, found = _digest(given), None
        for digest, name in self._owners.items():
            if hmac.compare_digest(digest, given):
                found = name
        return found


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def new_key() -> str:
    return "ftkit-" + secrets.token_urlsafe(24)


def own_key(root: Path) -> str:
    """The key of this data folder: made at the first start, kept where only this account can read it."""
    path = root / "key"
    if not path.exists():
        write_private(path, new_key() + "\n")
    return path.read_text(encoding="utf-8").strip()


def write_private(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that only this account may read (on Windows: whoever may read the folder)."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def read_class(path: str | os.PathLike) -> dict[str, str]:
    """key → name, of a CSV file with the columns ``name`` and ``key``. Where a key is missing, one is made and written back.

    Raises:
        FtkitError: no such file, other columns, a name or key used twice, or a key that is too short.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FtkitError(f"{path}: cannot be read: {error}") from None
    table = csv.DictReader(io.StringIO(text))
    fields = list(table.fieldnames or ())
    if "name" not in fields:
        raise FtkitError(f"{path}: want the columns name and key; got {', '.join(fields) or 'nothing'}")
    rows, found, made = list(table), {}, False
    for line, row in enumerate(rows, start=2):
        name, key = (row["name"] or "").strip(), (row.get("key") or "").strip()
        made |= not key
        key = row["key"] = key or new_key()
        if not name or name == OWNER or name in found.values():
            raise FtkitError(f"{path}:{line}: the name {name!r} is empty, reserved, or used twice")
        if len(key) < 16 or not key.isascii() or key in found:
            raise FtkitError(f"{path}:{line}: the key of {name} has fewer than 16 plain characters, or is used twice")
        found[key] = name
    if not found:
        raise FtkitError(f"{path}: names nobody; want a line for each learner")
    if made:
        out = io.StringIO()
        writer = csv.DictWriter(out, list(dict.fromkeys([*fields, "key"])), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        write_private(path, out.getvalue())
    return found
