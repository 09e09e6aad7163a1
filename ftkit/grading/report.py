"""What an instructor gets: tables for people and platforms, a page for each learner, a page of what to look at.

A grade that could not be found out is blank, never zero. Everything that came from a learner is escaped; cells that a
spreadsheet would take for a formula are made text.
"""

import csv
import hashlib
import html
import io
from dataclasses import dataclass
from pathlib import Path

from ftkit.errors import DataError
from ftkit.files import write_atomic
from ftkit.grading.run import OF_OTHERS, Graded, Result
from ftkit.grading.sandbox import LEVELS
from ftkit.grading.spec import Exercise
from ftkit.tables import PAGE_STYLE

MANUAL = "manual.csv"
MANUAL_HEADS = ("key", "student", "question", "most", "points", "comment", "answer", "answer_id")


@dataclass(frozen=True)
class Given:
    """What a person gave for one free-text answer."""

    points: float | None
    comment: str
    row: dict
    """The line it stood in."""


def write(graded: Graded, out: str | Path, assignment: str | None = None) -> dict[str, Path]:
    """{name: path} of all that is written into ``out``.

    Free text that a person has marked in ``out/manual.csv`` is counted, as long as the answer is still the same one.

    Args:
        assignment: the column's name in the platform's gradebook; default: the exercise's title.
    """
    out, exercise = Path(out), graded.exercise
    given = read_manual(out / MANUAL)
    tables = {
        "grades.csv": (_grades(graded, given), True),
        MANUAL: (_manual(graded, given), True),
        "canvas.csv": (_canvas(graded, given, assignment or exercise.title), False),
        "moodle.csv": (_moodle(graded, given), False),
    }
    written = {}
    for name, (rows, mark) in tables.items():
        written[name] = write_atomic(out / name, ("\ufeff" if mark else "") + _csv(rows))  # the mark: spreadsheets read UTF-8
    written["attention.html"] = write_atomic(out / "attention.html", _attention(graded, given))
    for result in graded.results:
        path = out / "feedback" / f"{result.key}.html"
        written[f"feedback/{result.key}"] = write_atomic(path, _feedback(exercise, result, given))
    for stale in set((out / "feedback").glob("*.html")) - set(written.values()):
        stale.unlink()
    return written


def points_of(result: Result, question: str, given: dict) -> float | None:
    """The points of one question, those that a person gave among them; None: not known."""
    mark = result.marks[question]
    by_hand = given.get((result.key, question, _answer_id(result, question)))
    if by_hand is not None and by_hand.points is not None:
        return by_hand.points
    return mark.points


def total_of(exercise: Exercise, result: Result, given: dict) -> float | None:
    """The sum; None as long as one question has no points."""
    found = [points_of(result, q.id, given) for q in exercise.questions]
    return None if None in found else round(sum(found), 2)


def status_of(exercise: Exercise, result: Result, given: dict) -> str:
    """The status; "graded by hand" where a person has given every point that was missing."""
    by_hand = result.status not in ("graded", "not answered") and total_of(exercise, result, given) is not None
    return "graded by hand" if by_hand else result.status


def read_manual(path: Path) -> dict[tuple[str, str, str], Given]:
    """{(key, question, id of the answer): what a person gave}, with commas or semicolons between the cells.

    Raises:
        DataError: it cannot be read, or holds points that are no points. Nothing may be lost that a person wrote.
    """
    found = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except ValueError:
        raise DataError(f"{path}: not in UTF-8; save it as “CSV UTF-8”") from None
    head = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    if missing := {"key", "question", "points", "comment", "answer_id"} - set(rows.fieldnames or ()):
        raise DataError(f"{path}: has no column {', '.join(sorted(missing))}; put it back, or move the file away to begin anew")
    for row in rows:
        key = (row["key"] or "", row["question"] or "", row["answer_id"] or "")
        where = f"{path}: {key[0]}, {key[1]}"
        if key in found:
            raise DataError(f"{where}: stands there twice; keep one of the two lines")
        found[key] = Given(_points(row["points"], row.get("most"), where), (row["comment"] or "").strip().removeprefix("'"), row)
    return found


def _points(text: str | None, most: str | None, where: str) -> float | None:
    if not (text or "").strip():
        return None
    try:
        points, most = float(text.replace(",", ".")), float((most or "inf").replace(",", "."))
    except ValueError:
        raise DataError(f"{where}: points are {text!r}; want a number, or nothing") from None
    if not 0 <= points <= most:
        raise DataError(f"{where}: points are {text}; want 0 to {most:g}")
    return points


def _grades(graded: Graded, given: dict) -> list[list]:
    questions = [q.id for q in graded.exercise.questions]
    rows = [["key", "student", "id", "status", *questions, "total", "of", "late", "look_at", "notes"]]
    for r in graded.results:
        points = [points_of(r, q, given) for q in questions]
        total = total_of(graded.exercise, r, given)
        status = status_of(graded.exercise, r, given)
        rows.append([r.key, r.student, r.id, status, *points, total, graded.exercise.points, "late" if r.late else "",
                     "; ".join(r.flags), "; ".join(r.notes)])  # fmt: skip
    return rows


def _manual(graded: Graded, given: dict) -> list[list]:
    """What a person must read; below it what a person wrote of answers that are not in this bundle, or were replaced."""
    rows, kept = [list(MANUAL_HEADS)], dict(given)
    for r in graded.results:
        for q in graded.exercise.questions:
            if r.marks[q.id].status not in ("to be read", "unverified", "not graded"):
                continue
            answer = _answer_id(r, q.id)
            was = kept.pop((r.key, q.id, answer), Given(None, "", {}))
            text = r.texts.get(q.id) or f"[{r.marks[q.id].note}]"
            rows.append([r.key, r.student, q.id, q.points, was.points, was.comment, text, answer])
    old = [one.row for one in kept.values() if one.points is not None or one.comment]
    return rows + [[row.get(name) for name in MANUAL_HEADS] for row in old]


def _answer_id(result: Result, question: str) -> str:
    """Of the answer a person read; if the learner hands in another one, it must be read again."""
    text = result.texts.get(question)
    return hashlib.sha256((result.sha256 if text is None else text).encode()).hexdigest()[:12]


def _canvas(graded: Graded, given: dict, assignment: str) -> list[list]:
    rows = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment]]
    rows.append(["    Points Possible", "", "", "", "", graded.exercise.points])
    found = [r for r in graded.results if r.platform != "moodle"]
    return rows + [[r.student, r.id, "", "", "", total_of(graded.exercise, r, given)] for r in found]


def _moodle(graded: Graded, given: dict) -> list[list]:
    rows = [["Identifier", "Full name", "Grade", "Maximum Grade", "Feedback comments"]]
    found = [r for r in graded.results if r.platform != "canvas"]
    exercise = graded.exercise
    return rows + [
        [f"Participant {r.id}" if r.id else "", r.student, total_of(exercise, r, given), exercise.points, status_of(exercise, r, given)]
        for r in found
    ]


def _csv(rows: list[list]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([[_cell(value) for value in row] for row in rows])
    return text.getvalue()


def _cell(value):
    """The value as a spreadsheet may see it: text that would be a formula gets an apostrophe.

    >>> _cell("=1+1"), _cell(" @x"), _cell(-2.5), _cell(None)
    ("'=1+1", "' @x", -2.5, '')
    """
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return value
    text = "".join(c if c.isprintable() or c in "\n" else " " for c in str(value))
    return f"'{text}" if text.lstrip(" \n")[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") else text


POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = PAGE_STYLE + (
    "pre{border-left:3px solid #8888;padding-left:.8em;overflow:auto;white-space:pre-wrap;max-height:20em}td ul{margin:0;padding-left:1.2em}"
    ".warn{background:#fff3cd;color:#222;padding:.6em}a{color:inherit}"
)


def _page(title: str, body: str) -> str:
    """A page in which no script runs and nothing is loaded, whatever stands in it."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<meta name='referrer' content='no-referrer'><meta name='viewport' content='width=device-width'>"
        f"<meta name='color-scheme' content='light dark'>"
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _text(value) -> str:
    """Escaped, and without the characters that turn the direction of what follows."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "�" for c in str(value)))


def _feedback(exercise: Exercise, r: Result, given: dict) -> str:
    total = total_of(exercise, r, given)
    shown = f"{total:g}" if total is not None else "not yet complete"
    body = [f"<h1>{_text(exercise.title)}</h1><p><bdi>{_text(r.student)}</bdi> · <b>{shown}</b> of {exercise.points:g} points</p>"]
    if status_of(exercise, r, given) not in ("graded", "not answered", "graded by hand"):
        body.append(f"<p class='warn'>{_text(r.status)}: {_text('; '.join(_for_learner(r)) or 'your instructor will look at it')}</p>")
    body.append("<table><tr><th>question</th><th>points</th><th>what was found</th></tr>")
    for q in exercise.questions:
        points, hand = points_of(r, q.id, given), given.get((r.key, q.id, _answer_id(r, q.id)))
        comment = f"<br><i>{_text(hand.comment)}</i>" if hand and hand.comment else ""
        value = "–" if points is None else f"{points:g}"
        body.append(f"<tr><td>{_text(q.id)} {_text(q.title)}</td><td>{value} of {q.points:g}</td>"
                    f"<td>{_text(r.marks[q.id].note)}{comment}</td></tr>")  # fmt: skip
    body.append("</table>")
    if r.notes:
        body.append(f"<p>{_text('; '.join(r.notes))}</p>")
    noisy = {name: cell for name, cell in r.cells.items() if cell["output"] or cell["state"] != "ok"}
    if noisy:
        body.append("<h2>What your cells said when they were run</h2><p>Cells that train are not run; errors that come of that are expected.</p>")
        for name, cell in noisy.items():
            body.append(f"<p>{_text(name)}: {_text(cell['state'])}</p><pre>{_text(cell['output'])}</pre>")
    return _page(f"{exercise.title}: {r.student}", "".join(body))


def _for_learner(r: Result) -> list[str]:
    """The flags that a learner may read: those about others' work are for the instructor."""
    return [flag for flag in r.flags if not flag.startswith((*OF_OTHERS, "claims"))]


def _attention(graded: Graded, given: dict) -> str:
    counts: dict[str, int] = {}
    for r in graded.results:
        status = status_of(graded.exercise, r, given)
        counts[status] = counts.get(status, 0) + 1
    body = [f"<h1>{_text(graded.exercise.title)}: to look at</h1>"]
    warn = " class='warn'" if graded.isolation != "bubblewrap" else ""
    body.append(f"<p{warn}>Learners' code ran in: {_text(LEVELS[graded.isolation])}.</p>")
    body.append("<p>" + _text(" · ".join(f"{n} {status}" for status, n in sorted(counts.items()))) + "</p>")
    body.append("<table><tr><th>learner</th><th>status</th><th>why</th></tr>")
    for r in graded.results:
        unread = sum(r.marks[q.id].status in ("to be read", "unverified") and points_of(r, q.id, given) is None
                     for q in graded.exercise.questions)  # fmt: skip
        why = [*r.flags, *(f"{q}: unverified" for q, mark in r.marks.items() if mark.status == "unverified" and points_of(r, q, given) is None)]
        if unread:
            why.append(f"{unread} answer{'s' if unread > 1 else ''} to be read, see {MANUAL}")
        if why:
            items = "".join(f"<li>{_text(one)}</li>" for one in why)
            name = f"<a href='feedback/{r.key}.html'><bdi>{_text(r.student)}</bdi></a>"
            body.append(f"<tr><td>{name}</td><td>{_text(status_of(graded.exercise, r, given))}</td><td><ul>{items}</ul></td></tr>")
    body.append("</table>")
    if graded.unmatched:
        items = "".join(f"<li>{_text(name)}</li>" for name in graded.unmatched)
        body.append(f"<h2>Files that belong to no learner</h2><ul>{items}</ul>")
    return _page("To look at", "".join(body))


def clean_for_terminal(text: str) -> str:
    """A learner's name without anything a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)[:30]
