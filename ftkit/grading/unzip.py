"""Taking files out of a zip that a stranger made: only wanted names, no more bytes than allowed, nothing but plain files."""

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from ftkit.errors import DataError

CHUNK = 64 * 1024
ENTRY_BYTES = 320
"""Of a zip's central directory, for each entry that is allowed; names of a usual length take half of it."""


def check(path: Path, most_files: int) -> None:
    """Refuse a zip whose list of entries alone would fill the memory, before it is read.

    Raises:
        DataError: no zip, damaged, or too many entries.
    """
    with open(path, "rb") as file:
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(0, size - 65_557))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        raise DataError("not a whole zip file; pack it again")
    _, _, _, _, entries, directory, _, _ = struct.unpack("<IHHHHIIH", tail[at : at + 22])
    if tail[max(0, at - 20) :].startswith(b"PK\x06\x07") and at >= 76:  # a second, larger list of entries, which zipfile prefers
        entries, directory = struct.unpack("<QQ", tail[at - 44 : at - 28])
    if entries > most_files or directory > most_files * ENTRY_BYTES:
        raise DataError(f"holds more than {most_files:,} entries")


def members(archive: zipfile.ZipFile, most_files: int) -> list[zipfile.ZipInfo]:
    """The plain files of the archive.

    Raises:
        DataError: too many entries, or one of them is `unsafe`.
    """
    found = archive.infolist()
    if len(found) > most_files:
        raise DataError(f"holds {len(found):,} entries, more than {most_files:,}")
    for one in found:
        if why := unsafe(one):
            raise DataError(f"{why}: {shown(one.filename)}")
    return [one for one in found if not one.is_dir()]


def unsafe(member: zipfile.ZipInfo) -> str:
    """Why this entry is not taken out: its name leads out of the folder, a link, a password; "" if it is harmless."""
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":") or "\0" in member.orig_filename:
        return "holds a name that leads out of its folder"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "holds a link or a special file"
    if member.flag_bits & 0x1:
        return "is protected by a password"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "uses a kind of compression that is not read"
    return ""


def extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, most_bytes: int) -> int:
    """The bytes written to ``target``; counted while they come, whatever the zip says of its size.

    Raises:
        DataError: more than ``most_bytes``, or damaged.
    """
    written = 0
    try:
        with archive.open(member) as source, open(target, "xb") as sink:
            while chunk := source.read(CHUNK):
                written += len(chunk)
                if written > most_bytes:
                    raise DataError(f"{shown(member.filename)} is larger than what is allowed: a zip bomb, or the wrong file")
                sink.write(chunk)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        target.unlink(missing_ok=True)
        raise DataError(f"{shown(member.filename)} is damaged: {error}") from None
    except DataError:
        target.unlink(missing_ok=True)
        raise
    except Exception as error:  # zlib.error and whatever else a forged stream may cause
        target.unlink(missing_ok=True)
        raise DataError(f"{shown(member.filename)} is damaged: {type(error).__name__}") from None
    return written


def unpack(path: Path, folder: Path, wanted: Callable[[str], str | None], most_files: int, most_bytes: int) -> list[str]:
    """The names that were not wanted; the wanted ones now lie in ``folder`` under the name that ``wanted`` gave them.

    Raises:
        DataError: anything about the zip that is not as it should be; then nothing of it is kept.
    """
    check(path, most_files)
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # damaged headers raise many things
        raise DataError(f"not a zip file that can be read: {error}") from None
    ignored, taken = [], {}
    with archive:
        try:
            for member in members(archive, most_files):
                name = wanted(member.filename)
                if name is None:
                    ignored.append(shown(member.filename))
                elif name in taken:
                    raise DataError(f"holds two files for {name}: {shown(taken[name].filename)} and {shown(member.filename)}")
                else:
                    taken[name] = member
            left = most_bytes
            for name, member in taken.items():
                left -= extract(archive, member, folder / name, left)
        except DataError:
            for name in taken:
                (folder / name).unlink(missing_ok=True)
            raise
    return ignored


def shown(name: str) -> str:
    """A file's name for people to read: no control characters, not too long."""
    clean = "".join(c if c.isprintable() else "�" for c in name)
    return clean if len(clean) <= 80 else clean[:77] + "…"
