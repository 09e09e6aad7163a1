"""From what a learning platform exports to one clean folder a learner.

Canvas   nguyenan_LATE_4711_99887_02_lora-submission-2.zip     name, user id, submission id, file; -2: the third hand-in
Moodle   An Nguyen_4711_assignsubmission_file/02_lora.zip      name, participant's number; also with _ for /
plain    an/…, an.zip, an.ipynb, "an (1).ipynb", "Copy of an.ipynb"

What cannot be matched to a learner is listed, never dropped in silence. File names are only read, never used as paths:
every learner's files are unpacked under fixed names into a folder whose name we chose.
"""

import hashlib
import re
import shutil
import unicodedata
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ftkit.errors import DataError
from ftkit.grading import unzip
from ftkit.grading.artefact import ALLOWED, CLAIMS
from ftkit.grading.spec import Exercise

NOTEBOOK = "notebook.ipynb"
MARKER = ".ftkit-grade"
"""Lies in the folder that we may empty."""
LONGEST_NAME = 500
MOST_FILES = 100_000
"""Of a bundle: thousands of learners with a handful of files each."""
LARGEST_NOTEBOOK = 8 * 1024 * 1024

CANVAS = re.compile(r"(?P<name>[^_/]+?)(?:_(?P<late>LATE))?_(?P<id>\d+)_\d+_(?P<file>.+)", re.IGNORECASE)
MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)")
JUNK = re.compile(r"(^|/)(__MACOSX|\.ipynb_checkpoints|\.DS_Store|Thumbs\.db|desktop\.ini|\._)")
TAKEN = (".zip", ".ipynb", ".safetensors", ".json", ".jsonl")


@dataclass
class Submission:
    """One learner's newest hand-in, in a folder of ours."""

    student: str
    """The name as the platform wrote it, without control characters."""
    id: str
    """The platform's number, or ""."""
    platform: str
    """"canvas", "moodle" or "plain"."""
    key: str
    """A name for files: letters, digits, - and _, different for every learner."""
    folder: Path
    late: bool = False
    refused: str = ""
    """Why nothing of it was unpacked, or ""."""
    notes: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    @property
    def sha256(self) -> str:
        """Over the unpacked files: equal files, equal grade."""
        digest = hashlib.sha256(self.refused.encode())
        for path in sorted(self.folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


@dataclass(frozen=True)
class _Upload:
    """One file of one learner, as it lies in the bundle."""

    student: str
    id: str
    platform: str
    late: bool
    file: str
    """Its own name, the platform's additions taken off."""
    path: Path
    order: tuple
    """Grows with time: number of the hand-in, then date."""


def ingest(bundle: str | Path, exercise: Exercise, work: Path) -> tuple[list[Submission], list[str]]:
    """(the newest submission of each learner, the names of what belongs to nobody).

    ``bundle`` is the platform's zip, or a folder with what was in it. ``work`` is emptied and filled.

    Raises:
        DataError: there is nothing there, or the bundle itself is unsafe or damaged.
    """
    bundle = Path(bundle)
    if bundle.is_dir() and work.resolve().is_relative_to(bundle.resolve()):
        raise DataError(f"{work.parent}: lies in the folder of submissions; choose another folder for the grades")
    if work.is_dir() and any(work.iterdir()) and not (work / MARKER).exists():
        raise DataError(f"{work}: holds files that are not the grader's; choose another folder for the grades")
    shutil.rmtree(work, ignore_errors=True)
    raw = work / "raw"
    raw.mkdir(parents=True)
    (work / MARKER).write_text("Made by ftkit grade, which empties this folder.\n", encoding="utf-8")
    uploads, unmatched = [], []
    if bundle.is_file():
        entries, unmatched = _from_zip(bundle, raw, exercise)
    elif bundle.is_dir():
        entries = _from_folder(bundle)
    else:
        raise DataError(f"{bundle}: no such file or folder; give the zip that Canvas or Moodle exports, or a folder")
    entries = [one for one in entries if not JUNK.search(one[0])]
    outer = _outer([name for name, _, _ in entries])
    for name, path, date in entries:
        name = name.removeprefix(outer)
        found = _match(name, path, date)
        unmatched.append(unzip.shown(name)) if found is None else uploads.append(found)
    learners: dict[tuple[str, str], list[_Upload]] = {}
    for one in uploads:
        learners.setdefault((one.platform, one.id or one.student.casefold()), []).append(one)
    keys: set[str] = set()
    submissions = [_submission(sorted(some, key=lambda u: u.order), exercise, work, keys) for some in learners.values()]
    shutil.rmtree(raw, ignore_errors=True)
    return sorted(submissions, key=lambda s: (s.student.casefold(), s.key)), sorted(unmatched)


def _outer(names: list[str]) -> str:
    """The folder around everything, where it is that of the class and not that of one learner; else "".

    >>> _outer(["02/an.ipynb", "02/binh.ipynb"]), _outer(["an/a.ipynb", "an/a (1).ipynb", "an/a.zip"])
    ('02/', '')
    """
    names = [name for name in names if name.lower().endswith(TAKEN)]
    first = {name.partition("/")[0] for name in names}
    if len(first) != 1 or not all("/" in name for name in names) or any(map(MOODLE.fullmatch, first)):
        return ""
    outer = first.pop() + "/"
    inner = [PurePosixPath(name[len(outer) :]) for name in names if name.lower().endswith((".ipynb", ".zip"))]
    loose = {(path.suffix, _again(path.stem)[0]) for path in inner if len(path.parts) == 1}
    learners = max((sum(suffix == one for suffix, _ in loose) for one in (".zip", ".ipynb")), default=0)
    return outer if learners > 1 or len({path.parts[0] for path in inner if len(path.parts) > 1}) > 1 else ""


def _from_zip(bundle: Path, raw: Path, exercise: Exercise) -> tuple[list[tuple[str, Path, tuple]], list[str]]:
    """([(name in the zip, where it lies now, date)] of each file, unpacked under numbers; names of what is not unpacked)."""
    found, left = [], []
    try:
        archive = zipfile.ZipFile(bundle)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{bundle}: not a whole zip file ({error}); export it again, or give a folder") from None
    with archive:
        if len(archive.infolist()) > MOST_FILES:
            raise DataError(f"{bundle}: more than {MOST_FILES:,} files; give it in parts")
        for number, member in enumerate(archive.infolist()):
            if member.is_dir():
                continue
            if why := unzip.unsafe(member):  # a learner's odd file name must not stop the class
                left.append(f"{unzip.shown(member.filename)} ({why})")
                continue
            target = raw / f"{number:06d}"
            try:
                unzip.extract(archive, member, target, exercise.limits.upload_mib * 1024 * 1024)
            except DataError as error:
                target.write_bytes(b"")
                target.with_suffix(".refused").write_text(str(error), encoding="utf-8")
            found.append((member.filename, target, tuple(member.date_time)))
    return found, left


def _from_folder(bundle: Path) -> list[tuple[str, Path, tuple]]:
    """The same of a folder; links are not followed."""
    found = []
    for path in sorted(bundle.rglob("*")):
        inside = path.relative_to(bundle)
        if any((bundle / Path(*inside.parts[: n + 1])).is_symlink() for n in range(len(inside.parts))):
            continue
        if path.is_file():
            found.append((inside.as_posix(), path, (path.stat().st_mtime,)))
    return found


def _match(name: str, path: Path, date: tuple) -> _Upload | None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    last = parts[-1]
    if not last.lower().endswith(TAKEN) or len(name) > LONGEST_NAME:
        return None
    for part in parts[:-1]:
        if moodle := MOODLE.fullmatch(part):
            return _Upload(clean_name(moodle["name"]), moodle["id"], "moodle", False, last, path, (0, date))
    if canvas := CANVAS.fullmatch(last):
        file, again = _again(canvas["file"])
        return _Upload(clean_name(canvas["name"]), canvas["id"], "canvas", bool(canvas["late"]), file, path, (again, date))
    if len(parts) == 1 and (moodle := MOODLE.fullmatch(last)):
        return _Upload(clean_name(moodle["name"]), moodle["id"], "moodle", False, moodle["file"], path, (0, date))
    inner = parts[:-1]
    if inner and inner[0].lower() in ("submissions", "submission") and len(parts) > 1:
        inner = inner[1:]
    if inner:
        return _Upload(clean_name(inner[0]), "", "plain", False, _again(last)[0], path, (_again(last)[1], date))
    stem, again = _again(re.sub(r"\.(zip|ipynb)$", "", last, flags=re.IGNORECASE))
    if stem == last:
        return None  # a loose .json or .safetensors says not whose it is
    stem = re.sub(r"^(Copy of|Bản sao của)\s+", "", stem, flags=re.IGNORECASE)
    return _Upload(clean_name(stem), "", "plain", False, last, path, (again, date))


def _again(name: str) -> tuple[str, int]:
    """(the name without a hand-in's number, that number): ``a-2.zip``, ``a (2).ipynb``."""
    match = re.fullmatch(r"(?P<stem>.+?)(?:-(?P<n>\d{1,3})| ?\((?P<m>\d{1,3})\))(?P<ext>\.\w+)?", name)
    if match is None:
        return name, 0
    return match["stem"] + (match["ext"] or ""), int(match["n"] or match["m"])


def clean_name(name: str) -> str:
    """A learner's name for people to read: no control or direction-changing characters, at most 80 characters."""
    name = unicodedata.normalize("NFC", name)
    clean = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    return " ".join(clean.split())[:80] or "no name"


def _key(student: str, number: str, taken: set[str]) -> str:
    letters = unicodedata.normalize("NFKD", student.casefold().replace("đ", "d")).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "-", letters)
    key = "-".join(filter(None, [plain.strip("-")[:40], number[:20]])) or "learner"
    unique, n = key, 2
    while unique in taken:
        unique, n = f"{key}-{n}", n + 1
    taken.add(unique)
    return unique


def _submission(uploads: list[_Upload], exercise: Exercise, work: Path, keys: set[str]) -> Submission:
    """The newest zip and, if they are newer, loose files beside it."""
    newest = uploads[-1]
    key = _key(newest.student, newest.id, keys)
    folder = work / key
    folder.mkdir()
    found = Submission(newest.student, newest.id, newest.platform, key, folder, late=newest.late)
    zips = [one for one in uploads if one.file.lower().endswith(".zip")]
    loose = [one for one in uploads if not one.file.lower().endswith(".zip")]
    replaced = len(zips) - 1 if zips else 0
    limits = exercise.limits
    try:
        if zips:
            _refuse_if_marked(zips[-1].path)
            try:
                ignored = unzip.unpack(
                    zips[-1].path, folder, lambda name: wanted(name, exercise), limits.files, limits.upload_mib * 1024 * 1024
                )
            except DataError as error:
                raise DataError(f"{unzip.shown(zips[-1].file)}: {error}") from None
            if ignored:
                found.notes.append(f"not read: {', '.join(ignored[:5])}" + (" …" if len(ignored) > 5 else ""))
        by_name: dict[str, list[_Upload]] = {}
        for one in loose:
            if name := wanted(one.file, exercise):
                by_name.setdefault(name, []).append(one)
            else:
                found.notes.append(f"not read: {unzip.shown(one.file)}")
        for name, some in by_name.items():
            replaced += len(some) - 1
            if zips and (folder / name).exists() and zips[-1].order > some[-1].order:
                continue
            _refuse_if_marked(some[-1].path)
            if some[-1].path.stat().st_size > limits.upload_mib * 1024 * 1024:
                raise DataError(f"{unzip.shown(some[-1].file)} is larger than {limits.upload_mib} MiB")
            shutil.copyfile(some[-1].path, folder / name)
        if (folder / NOTEBOOK).exists() and (folder / NOTEBOOK).stat().st_size > LARGEST_NOTEBOOK:
            raise DataError(f"the notebook is larger than {LARGEST_NOTEBOOK >> 20} MiB; clear its outputs")
    except DataError as error:
        shutil.rmtree(folder)
        folder.mkdir()
        found.refused = str(error)
    if replaced:
        found.notes.append(f"{replaced} older hand-in{'s' if replaced > 1 else ''} not read")
    return found


def _refuse_if_marked(path: Path) -> None:
    mark = path.with_suffix(".refused")
    if re.fullmatch(r"\d{6}", path.name) and mark.exists():
        raise DataError(mark.read_text(encoding="utf-8"))


def wanted(name: str, exercise: Exercise) -> str | None:
    """The name under which a file is kept, or None."""
    if JUNK.search(name):
        return None
    last = PurePosixPath(name.replace("\\", "/")).name
    if last.lower().endswith(".ipynb"):
        return NOTEBOOK
    return last if last in (*ALLOWED[exercise.artefact], CLAIMS) else None
