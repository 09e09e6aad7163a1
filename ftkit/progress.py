"""Where am I, and what comes next? A small file on this machine, and `ft.progress()`, which tells it.

The file is ~/.ftkit/progress.json, or in the folder that FTKIT_HOME names. It holds the best result of each quiz and
the self-checks that passed; nothing about a person, no time, and it is sent nowhere. It is a help and never a hindrance:
what cannot be read is set aside, what cannot be written is not kept, and no lesson fails for it. In a grading sandbox
(FTKIT_GRADING=1) nothing is written. A Colab machine loses it when it is given back.
"""

import html
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ftkit.course import COURSE, Station, language
from ftkit.files import write_atomic
from ftkit.lang import say, spoken
from ftkit.tables import html_table, text_table

VERSION = 1
"""Of the file's form. A file of another version belongs to another ftkit: it is left as it is."""

PATIENCE = 1.0
"""Seconds to wait for another notebook that is writing."""


class _Damaged(Exception):
    """The file is not what we write."""


class _OtherVersion(Exception):
    """The file was written by another ftkit."""


@dataclass(frozen=True)
class Progress:
    """What is done and what comes next, as `progress` found it."""

    quizzes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """lesson → (questions right, of how many), the best so far."""
    checks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """exercise → its questions whose self-check passed."""
    lang: str = "en"
    note: str = ""
    """What is wrong with the file, if something is."""

    def done(self, station: Station) -> bool:
        """A lesson is done when every question of its quiz was right at once; an exercise when all its checks passed."""
        if station.is_lesson:
            right, of = self.quizzes.get(station.name, (0, 1))
            return right == of
        return set(station.checks) <= set(self.checks.get(station.name, ()))

    @property
    def next(self) -> Station | None:
        """The first that is not done; None at the end of the course."""
        return next((station for station in COURSE if not self.done(station)), None)

    @property
    def words(self) -> str:
        """What comes next, as a sentence."""
        station = self.next
        with spoken(self.lang):
            if station is None:
                said = say("All done.")
            else:
                path = station.path_vi if self.lang == "vi" else station.path
                said = say(f"Next: {_name(station).lower()}, {station.minutes} minutes: {path}")
        return f"{said}\n{self.note}" if self.note else said

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        with spoken(self.lang):
            heads = ("", say("title"), say("minutes"), say("done"))
            titles = (station.title_vi if self.lang == "vi" else station.title for station in COURSE)
            return heads, [(_name(one), title, str(one.minutes), self._state(one)) for one, title in zip(COURSE, titles)]

    def _state(self, station: Station) -> str:
        if station.is_lesson:
            got, of = self.quizzes.get(station.name, (0, 0))
            said = say(f"quiz: {got} of {of} right")
        else:
            got, of = len(set(station.checks) & set(self.checks.get(station.name, ()))), len(station.checks)
            said = say(f"checks: {got} of {of} passed")
        return "–" if not got else f"✓ {said}" if self.done(station) else said

    def __str__(self) -> str:
        return f"{text_table(*self._table())}\n{self.words}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        with spoken(self.lang):
            caption = say("Where you are")
        words = "<br>".join(map(html.escape, self.words.splitlines()))
        return f"{html_table(caption, *self._table())}<p>{words}</p>"


def progress(lang: str | None = None) -> Progress:
    """What is done and what comes next: a table of the lessons and exercises. Never raises.

    Args:
        lang: "en" or "vi"; default: what FTKIT_LANG says, else English.
    """
    path, note = _path(), ""
    with spoken(language(lang)):
        try:
            found = _read(path)
        except _OtherVersion:
            found = _empty()
            note = say(f"{_shown(path)} was written by another version of ftkit and is left as it is.")
        except (_Damaged, OSError):
            aside = _set_aside(path)
            found = _empty()
            note = say(f"{_shown(path)} cannot be read; what is done is counted anew.")
            if aside:
                note += " " + say(f"The old file is kept as {aside.name}.")
    quizzes = {name: (one["right"], one["of"]) for name, one in found["quizzes"].items()}
    checks = {name: tuple(passed) for name, passed in found["checks"].items()}
    return Progress(quizzes, checks, language(lang), note)


def record_quiz(lesson: str, right: int, of: int) -> bool:
    """Whether the result is in the file now, or a better one. Never raises."""

    def change(found: dict) -> None:
        best = found["quizzes"].get(lesson, {"right": 0, "of": 1})
        if right / of >= best["right"] / best["of"]:
            found["quizzes"][lesson] = {"right": right, "of": of}

    return _change(change)


def record_check(exercise: str, question: str) -> bool:
    """Whether it is in the file now that this self-check passed. Never raises."""

    def change(found: dict) -> None:
        passed = found["checks"].setdefault(exercise, [])
        found["checks"][exercise] = sorted({*passed, question})

    return _change(change)


def _change(change: Callable[[dict], None]) -> bool:
    if os.environ.get("FTKIT_GRADING"):
        return False
    import portalocker  # the standard library locks files differently on each system

    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with portalocker.Lock(path.with_name("progress.lock"), "a", timeout=PATIENCE, check_interval=0.05):
            try:
                found = _read(path)
            except _Damaged:
                _set_aside(path)
                found = _empty()
            before = json.dumps(found)
            change(found)
            if json.dumps(found) != before:
                write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    except (OSError, _OtherVersion, portalocker.LockException):
        return False
    return True


def _path() -> Path:
    folder = os.environ.get("FTKIT_HOME") or os.path.join(os.path.expanduser("~"), ".ftkit")
    return Path(folder) / "progress.json"


def _shown(path: Path) -> str:
    """The path without the name of whoever is at home here."""
    home = os.path.expanduser("~")
    return str(path).replace(home, "~", 1) if str(path).startswith(home + os.sep) else str(path)


def _empty() -> dict:
    return {"version": VERSION, "quizzes": {}, "checks": {}}


def _read(path: Path) -> dict:
    """What the file holds; nothing if there is none yet.

    Raises:
        _Damaged, _OtherVersion, OSError
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _empty()
    except (ValueError, RecursionError):  # not UTF-8, not JSON, JSON that nobody means
        raise _Damaged from None
    if isinstance(found, dict) and isinstance(found.get("version"), int) and found["version"] != VERSION:
        raise _OtherVersion
    if not _is_ours(found):
        raise _Damaged
    return found


def _is_ours(found) -> bool:
    if not (isinstance(found, dict) and found.get("version") == VERSION):
        return False
    quizzes, checks = found.get("quizzes"), found.get("checks")
    if not (isinstance(quizzes, dict) and isinstance(checks, dict)):
        return False
    for one in quizzes.values():
        if not (isinstance(one, dict) and all(type(one.get(key)) is int for key in ("right", "of"))):
            return False
        if not 0 <= one["right"] <= one["of"] or one["of"] < 1:
            return False
    return all(isinstance(passed, list) and all(isinstance(q, str) for q in passed) for passed in checks.values())


def _set_aside(path: Path) -> Path | None:
    """Where the file that cannot be read lies now; None where it could not be moved."""
    aside = path.with_name("progress.damaged.json")
    if os.environ.get("FTKIT_GRADING") or not path.is_file():
        return None
    try:
        os.replace(path, aside)
    except OSError:
        return None
    return aside


def _name(station: Station) -> str:
    number = station.name[:2]
    return say(f"Lesson {number}") if station.is_lesson else say(f"Exercise {number}")
