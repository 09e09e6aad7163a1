"""Exercise 01: the rows that were handed in are checked offline, and the job is looked up at the service.

The learner's own service cannot be reached from here. Where the course runs one (``ftkit serve``), or trains with a key of
its own at a provider, the job is asked for there; looking up a job costs nothing, and nothing else is asked. Everywhere
else the job is "unverified": its points stay blank until a person decides.
"""

import hashlib
import json
import re
from pathlib import Path

from ftkit.data import read_chats
from ftkit.errors import DataError, FtkitError
from ftkit.grading import artefact
from ftkit.grading.probes import Mark
from ftkit.split import near_duplicates

ROWS, JOB = "rows.jsonl", "job.json"
FEWEST, MOST, READ = 50, 100, 1000
PRIVATE = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.\w{2,}|(?<!\d)\+?\d[\d ().-]{8,30}\d(?!\d)|\b(?:sk|hf|ghp)[-_][A-Za-z0-9]{16}"
)
"""An e-mail address, a telephone number of ten digits or more, a key. Bounded, so that no text takes long to search."""

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


def rows_marks(rows: list[dict]) -> list[tuple[int, str]]:
    """(points, what was found) for each of the four rules of the exercise; the points add up to 6.

    >>> [points for points, why in rows_marks([])]
    [0, 0, 0, 0]
    """
    chats = [row["messages"] for row in rows[:READ] if is_good(row)]
    bad = len(rows) - len(chats)
    if not chats:
        return [(0, "There are no rows that can be read.")] + [(0, "")] * 3
    found = []
    if bad:
        found.append((0, f"{bad} of {len(rows)} rows are not good (q2 says when a row is)."))
    elif not FEWEST <= len(rows) <= MOST:
        found.append((0, f"There are {len(rows)} rows; want {FEWEST} to {MOST}."))
    else:
        found.append((2, f"{len(rows)} good rows."))
    systems = {messages[0]["content"].strip() if messages[0]["role"] == "system" else None for messages in chats}
    one = len(systems) == 1 and None not in systems
    found.append((1, "One system message.") if one else (0, f"There are {len(systems)} different system messages (or none); want one."))
    asked = ["\n".join(m["content"] for m in messages if m["role"] == "user") for messages in chats]
    links = near_duplicates(asked)
    alike = len(asked) - len({links[i] for i in range(len(asked))})
    found.append((2, "No two questions are nearly alike.") if not alike else (0, f"{alike} questions are nearly those of other rows."))
    answers = {messages[-1]["content"].strip() for messages in chats}
    private = [number for number, messages in enumerate(chats, 1) if any(PRIVATE.search(m["content"]) for m in messages)]
    if len(answers) < 3:
        found.append((0, f"There are {len(answers)} different answers; want three or more."))
    elif private:
        found.append((0, f"Row {private[0]} holds an e-mail address, a telephone number or a key."))
    else:
        found.append((1, f"{len(answers)} different answers, nothing private."))
    return found


class Service:
    """Where jobs can be looked up."""

    def __init__(self, endpoint):
        self.endpoint = endpoint

    def job(self, job_id: str) -> tuple[str, list[str]]:
        """(its status, the lines of its training file). Raises EndpointError."""
        from ftkit.hosted.jobs import refusals  # openai

        with refusals(self.endpoint), self.endpoint.client() as client:
            job = client.fine_tuning.jobs.retrieve(job_id)
            content = client.files.content(job.training_file).read()
        return job.status, content.decode("utf-8", "replace").splitlines()


def mark(exercise, one, result, service: Service | None) -> None:
    """Mark the questions about rows and about the job."""
    if result.status == "refused":
        return
    for question in exercise.of_kind("rows"):
        result.marks[question.id] = _rows(one.folder / ROWS, question.points, result)
    for question in exercise.of_kind("job"):
        result.marks[question.id] = _job(one.folder, question.points, result, service)


def _rows(path: Path, most: float, result) -> Mark:
    if not path.is_file():
        return Mark(0.0, "not answered", f"{ROWS} was not handed in.")
    try:
        chats = read_chats(path)
    except DataError as error:
        return Mark(0.0, "graded", f"{ROWS} cannot be trained on: {error.problems[0][:300]}")
    if len(chats) > READ:
        return Mark(0.0, "graded", f"{ROWS} holds {len(chats):,} rows; want {FEWEST} to {MOST}.")
    result.measured["rows"] = chats.fingerprint
    marks = rows_marks([row.to_dict() for row in chats])
    return Mark(most * sum(points for points, _ in marks) / 6, "graded", " ".join(why for _, why in marks))


def _job(folder: Path, most: float, result, service: Service | None) -> Mark:
    if not (folder / JOB).is_file():
        return Mark(0.0, "not answered", f"{JOB} was not handed in.")
    try:
        job_id = artefact.read_json(folder / JOB).get("id")
    except DataError as error:
        return Mark(None, "unverified", f"The job could not be looked up: {error}.")
    if not isinstance(job_id, str) or not JOB_ID.fullmatch(job_id):
        return Mark(None, "unverified", "The job has no id that can be looked up.")
    result.measured["job"] = job_id
    if service is None:
        return Mark(None, "unverified", f"Job {job_id} ran where the grader cannot look; a person decides.")
    try:
        status, lines = service.job(job_id)
    except FtkitError as error:
        result.flags.append(f"job {job_id} was not found at the service: {error}")
        return Mark(None, "unverified", f"Job {job_id} was not found at the course's service.")
    if status != "succeeded":
        return Mark(0.0, "graded", f"Job {job_id} has status {status}.")
    mine, trained = _digests(_lines(folder / ROWS)), _digests(lines)
    if not trained or not trained <= mine:
        result.flags.append(f"job {job_id} was trained on {len(trained - mine)} rows that were not handed in")
        return Mark(None, "unverified", f"Job {job_id} was trained on other rows than those you handed in.")
    return Mark(most, "graded", f"Job {job_id} has succeeded, on {len(trained)} of your rows.")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _digests(lines: list[str]) -> set[str]:
    """One for each row, however its JSON is spaced."""
    found = set()
    for line in lines:
        try:
            found.add(hashlib.sha256(json.dumps(json.loads(line)["messages"], sort_keys=True).encode()).hexdigest())
        except (ValueError, RecursionError, KeyError, TypeError):
            pass
    return found


def is_good(row) -> bool:
    """Whether a row is what q2 calls good."""
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        return False
    roles = [one.get("role") for one in messages]
    if any(role not in ("system", "user", "assistant") for role in roles) or "system" in roles[1:]:
        return False
    if not all(isinstance(one.get("content"), str) and one["content"].strip() for one in messages):
        return False
    return roles[-1] == "assistant" and "user" in roles[: roles.index("assistant")]
