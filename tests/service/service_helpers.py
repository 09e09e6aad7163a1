"""Small data, and waiting for jobs: what the tests of the service share."""

import json
import time

REPLIES = {"My parcel {} is late": "late parcel", "Refund invoice {} please": "money back"}


def tickets(n: int = 12) -> list[dict]:
    """``n`` rows with two kinds of question, each with its two-word answer."""
    pairs = list(REPLIES.items())
    return [chat(pairs[i % 2][0].format(i), pairs[i % 2][1]) for i in range(n)]


def chat(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def jsonl(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(client, rows: list[dict] | bytes, name: str = "tickets.jsonl") -> str:
    data = rows if isinstance(rows, bytes) else jsonl(rows)
    return client.files.create(file=(name, data), purpose="fine-tune").id


def method(**hyperparameters) -> dict:
    return {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}


def wait(client, job_id: str, *statuses: str, seconds: float = 300, pause: float = 0.1):
    """The job, once it has one of ``statuses``; asked for every ``pause`` seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        job = client.fine_tuning.jobs.retrieve(job_id)
        if job.status in statuses:
            return job
        assert job.status not in ("failed", "cancelled"), job.error
        time.sleep(pause)
    raise AssertionError(f"job {job_id} is still {job.status}, not {statuses}")


def wait_for_step(client, job_id: str, seconds: float = 300) -> None:
    """Return once the job has reported a training step."""
    until = time.monotonic() + seconds
    while not any(event.type == "metrics" for event in client.fine_tuning.jobs.list_events(job_id).data):
        assert time.monotonic() < until, f"job {job_id} reports no step"
        time.sleep(0.1)
