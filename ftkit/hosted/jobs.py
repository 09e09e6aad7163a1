"""The engine of `Hosted`: upload the rows, start a job, follow it to its end; and the models that come of it."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import openai

from ftkit.data import Dataset, write_jsonl
from ftkit.errors import EndpointError, RunError
from ftkit.events import Event, Status, Step, Val
from ftkit.files import write_atomic
from ftkit.hosted import Endpoint, Hosted
from ftkit.lang import say
from ftkit.run import Run

ENDED = ("succeeded", "failed", "cancelled")

STARTED = "Fine-tuning job started"
"""OpenAI's words; what came before them was waiting."""

PATIENCE = 10
"""How many polls in a row may fail before we give up following; the client itself tries each three times."""

PARALLEL = 4
"""Questions asked at the same time."""


def train(recipe: Hosted, train: Dataset, val: Dataset, run: Run) -> None:
    """Leaves job.json, which names the tuned model, in the run folder. A run that has a job already goes on following it."""
    with refusals(recipe.endpoint), recipe.endpoint.client() as client:
        job = job_of(client, run) or create(client, recipe, train, val, run)
        record(job, run.folder)
        try:
            job = follow(client, job, run, seconds=0.5 if recipe.endpoint.local else 5)
        except KeyboardInterrupt:  # the second one: do not leave a job behind that nobody watches
            cancel(client, job.id)
            raise
        record(job, run.folder)
    if job.status == "failed":
        raise EndpointError(f"{recipe.endpoint.name}: job {job.id} failed: {why(job)}")
    if job.status == "cancelled":
        run.cancel()  # perhaps from elsewhere


def create(client: openai.OpenAI, recipe: Hosted, train: Dataset, val: Dataset, run: Run):
    """The new job; the estimate is shown first."""
    run.emit(Status("queued", say("Estimate: {cost}").format(cost=recipe.cost(train))))
    split = [("train", train)] + ([("val", val)] if len(val) else [])
    files = {name: upload(client, rows, run.folder / f"{name}.jsonl") for name, rows in split}
    base = recipe.base or first_model(recipe.endpoint)
    write_atomic(run.folder / "job.json", json.dumps({"training_file": files["train"]}) + "\n")  # see job_of
    return client.fine_tuning.jobs.create(**request(recipe, base, files))


def job_of(client: openai.OpenAI, run: Run):
    """The job that an earlier process started for this run, or None; its events will be told anew from the first one.

    Where that process died while it asked for the job, the job is known by its training file: none is paid for twice.
    A paused job is resumed.
    """
    try:
        noted = json.loads((run.folder / "job.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    if "id" in noted:
        job = client.fine_tuning.jobs.retrieve(noted["id"])
    else:
        recent = client.fine_tuning.jobs.list(limit=100).data
        job = next((job for job in recent if job.training_file == noted["training_file"]), None)
    if job is None:
        return None
    if job.status == "paused":
        client.fine_tuning.jobs.resume(job.id)
    run.rewind(0)
    return job


def upload(client: openai.OpenAI, rows: Dataset, path: Path) -> str:
    """The id of the uploaded file; a copy stays at ``path``."""
    write_jsonl(path, rows)
    with open(path, "rb") as file:
        return client.files.create(file=(path.name, file), purpose="fine-tune").id


def request(recipe: Hosted, base: str, files: dict[str, str]) -> dict:
    """The arguments of ``fine_tuning.jobs.create``."""
    settings = {
        "n_epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "learning_rate_multiplier": recipe.learning_rate_multiplier,
    }
    optional = {"validation_file": files.get("val"), "suffix": recipe.suffix, "seed": recipe.seed}
    return {
        "model": base,
        "training_file": files["train"],
        "method": {"type": "supervised", "supervised": {"hyperparameters": settings}},
        **{name: value for name, value in optional.items() if value is not None},
    }


def follow(client: openai.OpenAI, job, run: Run, seconds: float):
    """The job as it ended. Its events go to the run as they come; a run asked to stop cancels the job."""
    last_seen, asked_to_stop, failures = None, False, 0
    told = {event.message for event in run.history if isinstance(event, Status)}
    while True:
        try:
            if run.stopping and not asked_to_stop:
                asked_to_stop = True
                cancel(client, job.id)
            job = client.fine_tuning.jobs.retrieve(job.id)  # first the job, then its events: none is missed
            for event in new_events(client, job.id, last_seen):
                last_seen = event.id
                for mine in translated(event, run.status):
                    if not (isinstance(mine, Status) and mine.message in told):  # before the kernel died
                        run.emit(mine)
            failures = 0
        except openai.APIConnectionError:
            failures += 1
            if failures == PATIENCE:
                raise
        if job.status in ENDED:
            return job
        until = time.monotonic() + seconds
        while time.monotonic() < until and (asked_to_stop or not run.stopping):
            time.sleep(0.1)


def cancel(client: openai.OpenAI, job_id: str) -> None:
    """Ask for the job to be cancelled; one that ended meanwhile is left as it is."""
    try:
        client.fine_tuning.jobs.cancel(job_id)
    except openai.BadRequestError:
        pass


def new_events(client: openai.OpenAI, job_id: str, last_seen: str | None) -> list:
    """The job's events after the one with id ``last_seen``, oldest first; the service lists the newest first."""
    found = []
    for event in client.fine_tuning.jobs.list_events(job_id, limit=100):
        if event.id == last_seen:
            break
        found.append(event)
    return found[::-1]


def translated(event, state: str) -> Iterator[Event]:
    """What the service said, as our events; ``state`` is the run's so far."""
    data = event.data if isinstance(event.data, dict) else {}
    step = data.get("step")
    if step is None:
        yield Status("running" if event.message == STARTED else state, event.message)
        return
    if state == "queued":
        yield Status("running")
    if data.get("train_loss") is not None:
        named = re.match(r"Step \d+/(\d+)", event.message)
        steps = data.get("total_steps") or (int(named[1]) if named else 0)
        rate, tokens, accuracy = data.get("learning_rate", 0.0), data.get("tokens", 0), data.get("train_mean_token_accuracy")
        yield Step(step, steps, data["train_loss"], rate, tokens, accuracy)
    loss = data.get("full_valid_loss", data.get("valid_loss"))
    if loss is not None:
        yield Val(step, loss, data.get("full_valid_mean_token_accuracy", data.get("valid_mean_token_accuracy")))


def record(job, folder: Path) -> dict:
    """What job.json now says: enough to find the job and its model again."""
    names = ("id", "status", "model", "fine_tuned_model", "trained_tokens", "training_file", "validation_file")
    noted = {name: getattr(job, name) for name in names}
    write_atomic(folder / "job.json", json.dumps(noted, indent=2) + "\n")
    return noted


def tuned_model(endpoint: Endpoint, folder: Path) -> "HostedModel":
    """The model that the run's job made; a job that had not ended when the run did is asked after.

    Raises:
        RunError: the run has no job, or the job no model.
    """
    try:
        job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder}: the run has no job (job.json is missing); it ended before one was made") from None
    if job["status"] not in ENDED:
        with refusals(endpoint), endpoint.client() as client:
            now = client.fine_tuning.jobs.retrieve(job["id"])
        job = record(now, folder)
    if job["status"] not in ENDED:
        raise RunError(f"{folder}: job {job['id']} is {job['status']}; its model can be used once it has succeeded")
    if not job["fine_tuned_model"]:
        raise RunError(f"{folder}: job {job['id']} is {job['status']} and left no model; train again")
    return HostedModel(endpoint, job["fine_tuned_model"])


def why(job) -> str:
    """The reason a job failed, in the service's words. A fresh job's error may be an empty object."""
    if job.error is None or not job.error.code:
        return say("no reason given")
    about = f", {job.error.param}" if job.error.param else ""
    return f"{job.error.message} ({job.error.code}{about})"


def first_model(endpoint: Endpoint) -> str:
    """The id of the first model the endpoint lists: for the local service, the embedded one."""
    with refusals(endpoint), endpoint.client() as client:
        models = client.models.list().data
    if not models:
        raise EndpointError(f"{endpoint.name}: lists no models; name one with base=")
    return models[0].id


@contextmanager
def refusals(endpoint: Endpoint) -> Iterator[None]:
    """The client's errors as EndpointError. They are told apart by code: the texts differ between versions."""
    where = endpoint.name
    try:
        yield
    except openai.AuthenticationError as error:  # its text may repeat a part of the key
        code, variable = error.code, endpoint.key_env or say("it")
        raise EndpointError(f"{where}: the API key was not accepted ({code}); check {variable}") from None
    except openai.APIConnectionError as error:
        why = error.__cause__ or error
        raise EndpointError(f"{where}: out of reach: {why}; check the URL and the network") from error
    except openai.APIError as error:
        if isinstance(error, openai.PermissionDeniedError) and error.code == "training_not_available":
            raise EndpointError(
                f"{where}: this account may not fine-tune (training_not_available): OpenAI has closed fine-tuning for "
                "it; train for free with endpoint=ftkit.local_service(), or with another provider's endpoint(base_url)"
            ) from error
        message = error.body.get("message") if isinstance(error.body, dict) else None
        about = ", ".join(str(one) for one in (error.code, error.param) if one)
        raise EndpointError(f"{where}: {message or error}" + (f" ({about})" if about else "")) from error


class HostedModel:
    """A model behind an endpoint, base or tuned, that can be asked and evaluated."""

    def __init__(self, endpoint: Endpoint, name: str):
        self.endpoint = endpoint
        self.name = name

    def __repr__(self) -> str:
        return f"HostedModel({self.name} at {self.endpoint.name})"

    def replies(self, batch: Sequence[list[dict]], max_tokens: int = 256) -> list[str]:
        """The likeliest answer to each list of messages, a few asked at a time.

        Raises:
            EndpointError: the endpoint refused, or is out of reach.
        """

        def ask(messages: list[dict]) -> str:
            answer = client.chat.completions.create(
                model=self.name, messages=messages, temperature=0, max_completion_tokens=max_tokens
            )
            return answer.choices[0].message.content or ""

        with refusals(self.endpoint), self.endpoint.client() as client, ThreadPoolExecutor(PARALLEL) as pool:
            return list(pool.map(ask, batch))

    def reply(self, prompt: str | list[dict], max_tokens: int = 256) -> str:
        """The likeliest answer to one user text or list of messages."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return self.replies([messages], max_tokens)[0]
