"""Jobs, as the official client sees them."""

import base64
import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai.types import FileObject, Model
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from service_helpers import chat, method, tickets, upload, wait, wait_for_step

from ftkit.service.rows import tools_problem

RECORDED_JOB = {  # the keys of api.openai.com's answer to jobs.create, 2024-10-15
    "object", "id", "model", "created_at", "finished_at", "fine_tuned_model", "organization_id", "result_files",
    "status", "validation_file", "training_file", "hyperparameters", "trained_tokens", "error",
    "user_provided_suffix", "seed", "estimated_finish", "integrations",
}  # fmt: skip
RECORDED_FILE = {"object", "id", "purpose", "filename", "bytes", "created_at", "status", "status_details"}
SPEC_EVENT = {"object", "id", "created_at", "level", "message", "type", "data"}


def test_a_tuned_model_answers_what_it_was_taught(client, tuned):
    """The base does not know these answers; after the job the tuned model does."""
    question = [{"role": "user", "content": "My parcel 99 is late"}]
    names = {"base": "ftkit-phi-11m", "tuned": tuned.fine_tuned_model}
    said = {
        which: client.chat.completions.create(model=name, messages=question, temperature=0).choices[0].message.content
        for which, name in names.items()
    }
    assert said["tuned"] == "late parcel"
    assert said["base"] != "late parcel"


def test_a_finished_job_says_all_it_should(tuned):
    assert tuned.fine_tuned_model.startswith("ft:ftkit-phi-11m:local:ticket-desk:")
    assert tuned.hyperparameters.n_epochs == 4
    assert tuned.hyperparameters.batch_size == 4
    assert tuned.hyperparameters.learning_rate_multiplier == 1
    assert tuned.method.supervised.hyperparameters.n_epochs == 4
    assert tuned.trained_tokens > 12 * 4 * 5
    assert tuned.finished_at >= tuned.created_at
    assert tuned.seed == 1 and tuned.metadata == {"lesson": "01"} and tuned.error is None


def test_the_events_tell_the_story_newest_first_page_by_page(client, tuned):
    events = list(client.fine_tuning.jobs.list_events(tuned.id, limit=5))
    messages = [event.message for event in events[::-1]]
    assert len({event.id for event in events}) == len(events) == 3 + 2 + 12 + 4 + 2
    assert messages[:5] == [
        f"Created fine-tuning job: {tuned.id}",
        f"Validating training file: {tuned.training_file}",
        f"Validating validation file: {tuned.validation_file}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
    ]
    assert messages[5].startswith("Step 1/12: training loss=")
    assert messages[-2:] == [
        f"New fine-tuned model created: {tuned.fine_tuned_model}",
        "The job has successfully completed",
    ]
    losses = [event.data["train_loss"] for event in events[::-1] if "train_loss" in (event.data or {})]
    assert losses[-1] < losses[0] / 2


def test_the_result_file_holds_the_losses_and_accuracies_of_every_step(client, tuned):
    """OpenAI serves result files in base64; so does the service."""
    (id,) = tuned.result_files
    file = client.files.retrieve(id)
    assert (file.filename, file.purpose) == ("step_metrics.csv", "fine-tune-results")
    rows = list(csv.DictReader(base64.b64decode(client.files.content(id).text).decode().splitlines()))
    assert list(rows[0]) == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 2
    assert [row["step"] for row in rows if row["valid_loss"]] == ["3", "6", "9", "12"]
    assert all(0 <= float(row["train_accuracy"]) <= 1 for row in rows)
    assert float(rows[-1]["train_accuracy"]) == float(rows[-1]["valid_mean_token_accuracy"]) == 1 > float(rows[0]["train_accuracy"])
    assert [bool(row["valid_mean_token_accuracy"]) for row in rows] == [bool(row["valid_loss"]) for row in rows]


def test_objects_have_the_recorded_keys_and_fit_the_clients_types(client, send, tuned):
    job = send("GET", f"/fine_tuning/jobs/{tuned.id}").body
    assert set(job) == RECORDED_JOB | {"method", "metadata"}
    FineTuningJob.model_validate(job)
    file = send("GET", f"/files/{tuned.training_file}").body
    assert set(file) == RECORDED_FILE | {"expires_at"}
    FileObject.model_validate(file)
    for event in send("GET", f"/fine_tuning/jobs/{tuned.id}/events").body["data"]:
        assert set(event) == SPEC_EVENT
        FineTuningJobEvent.model_validate(event)
    for checkpoint in send("GET", f"/fine_tuning/jobs/{tuned.id}/checkpoints").body["data"]:
        assert FineTuningJobCheckpoint.model_validate(checkpoint).fine_tuning_job_id == tuned.id
    for model in send("GET", "/models").body["data"]:
        Model.model_validate(model)


def test_the_base_is_listed_first_and_the_tuned_model_after_it(client, tuned):
    names = [model.id for model in client.models.list()]
    assert names[:2] == ["ftkit-phi-11m", "all-MiniLM-L6-v2"] and tuned.fine_tuned_model in names[2:]
    assert client.models.retrieve(tuned.fine_tuned_model).owned_by == "local"


def test_the_models_of_the_last_three_epochs_can_be_used(client, tuned):
    """4 epochs of 3 steps; the fourth one's is the tuned model itself."""
    kept = client.fine_tuning.jobs.checkpoints.list(tuned.id).data
    assert [one.step_number for one in kept] == [12, 9, 6]
    assert [one.fine_tuned_model_checkpoint for one in kept] == [
        tuned.fine_tuned_model, f"{tuned.fine_tuned_model}:ckpt-step-9", f"{tuned.fine_tuned_model}:ckpt-step-6",
    ]  # fmt: skip
    losses = [one.metrics.full_valid_loss for one in kept]
    assert losses[0] < losses[1] < losses[2]
    listed = [model.id for model in client.models.list()]
    logprobs = []
    for one in kept:
        assert one.fine_tuned_model_checkpoint in listed
        answer = client.chat.completions.create(
            model=one.fine_tuned_model_checkpoint, messages=[{"role": "user", "content": "My parcel 99 is late"}],
            temperature=0, max_tokens=1, logprobs=True,
        )  # fmt: skip
        logprobs.append(answer.choices[0].logprobs.content[0].logprob)
    assert len(set(logprobs)) == 3


def test_every_bad_row_is_named_by_its_line_in_an_event(client):
    rows = tickets(30)
    for line in range(10, 28):
        rows[line - 1] = {"messages": [{"role": "king", "content": "x"}]}
    rows[28] = chat("a", "b") | {"tools": [{"type": "function"}]}
    job = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=upload(client, rows, "desk.jsonl"))
    job = wait(client, job.id, "failed")
    assert job.error.message.splitlines()[-1] == "and 9 more faults"
    events = client.fine_tuning.jobs.list_events(job.id, limit=100).data[::-1]
    named = [event.message.partition(": ")[0] for event in events if event.level == "error"]
    assert named[:-1] == [f"desk.jsonl:{line}" for line in (*range(10, 28), 29)]


TOOL = {"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}


def called(name: str = "track", arguments: str = "{}", answers: str = "c1", tools=(TOOL,)) -> dict:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"tools": list(tools), "messages": [
        {"role": "user", "content": "Where is parcel 5?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": answers, "content": "late"},
        {"role": "assistant", "content": "It is late"},
    ]}  # fmt: skip


@pytest.mark.parametrize(
    "row, complaint",
    [
        (called(), None),
        (called(name="fly"), "message 2 calls 'fly', which is not among the row's tools"),
        (called(arguments="{nope"), "message 2: the arguments of 'track' are not a text of JSON"),
        (called(answers="c2"), "message 3 answers the call 'c2', which nobody made before it"),
        (called(tools=[{"type": "function"}]), "tools: entry 1 must be"),
    ],
)
def test_tools_and_their_calls_must_fit_together(row, complaint):
    assert (tools_problem(row) or "").startswith(complaint or "")
    assert (tools_problem(row) is None) == (complaint is None)


def preferences(n: int = 12) -> list[dict]:
    rows = []
    for row in tickets(n):
        better, worse = row["messages"][1], {"role": "assistant", "content": "I like trains"}
        rows.append({"input": {"messages": row["messages"][:1]}, "preferred_output": [better], "non_preferred_output": [worse]})
    return rows


def test_a_dpo_job_makes_the_better_answers_likelier(client):
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m",
        training_file=upload(client, preferences()),
        validation_file=upload(client, preferences(4)),
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.2}}},
    )
    job = wait(client, job.id, "succeeded")
    assert job.method.type == "dpo" and job.method.dpo.hyperparameters.beta == 0.2
    assert job.method.dpo.hyperparameters.batch_size == 4
    events = client.fine_tuning.jobs.list_events(job.id, limit=100).data[::-1]
    losses = [event.data["train_loss"] for event in events if "train_loss" in (event.data or {})]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)  # log 2: the adapter starts as the base
    assert losses[-1] < 0.6



def test_a_dpo_job_on_conversations_fails_and_says_which_rows_it_wants(client):
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=upload(client, tickets(), "desk.jsonl"), method={"type": "dpo"}
    )
    job = wait(client, job.id, "failed")
    assert job.error.message.startswith('desk.jsonl:1: want "input": {"messages": […]}')


def test_a_paused_job_stands_still_and_ends_as_if_it_never_had(client, service, tuned):
    """The same file, settings and seed as the fixture's job: the same adapter, bit for bit, and every step told once."""
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m",
        training_file=tuned.training_file,
        validation_file=tuned.validation_file,
        method=method(n_epochs=4),
        seed=1,
    )
    wait_for_step(client, job.id)
    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    other = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=tuned.training_file, method=method(n_epochs=1)
    )
    wait(client, other.id, "succeeded")  # the worker is free for others
    assert client.fine_tuning.jobs.retrieve(job.id).status == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    job = wait(client, job.id, "succeeded")
    events = client.fine_tuning.jobs.list_events(job.id, limit=100).data[::-1]
    assert [event.data["step"] for event in events if "train_loss" in (event.data or {})] == list(range(1, 13))
    assert [event.data["step"] for event in events if "valid_loss" in (event.data or {})] == [3, 6, 9, 12]
    adapters = [Path(service.data_dir, "runs", id, "adapter", "adapter_model.safetensors") for id in (tuned.id, job.id)]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def test_what_cannot_be_paused_or_resumed_says_so(send, tuned):
    for verb in ("pause", "resume"):
        answer = send("POST", f"/fine_tuning/jobs/{tuned.id}/{verb}")
        assert answer.status == 400 and "is succeeded" in answer.body["error"]["message"]


def test_jobs_are_found_by_their_metadata(client, send, tuned):
    assert [job.id for job in client.fine_tuning.jobs.list(metadata={"lesson": "01"})] == [tuned.id]
    assert client.fine_tuning.jobs.list(metadata={"lesson": "02"}).data == []
    assert client.fine_tuning.jobs.list(metadata={"lesson": "01", "x": "y"}).data == []


def test_a_file_stays_while_a_job_needs_it(client, send, tuned):
    file = upload(client, tickets())
    job = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=file, method=method(n_epochs=50, batch_size=1))
    answer = send("DELETE", f"/files/{file}")
    assert (answer.status, answer.body["error"]["code"]) == (400, "file_in_use")
    client.fine_tuning.jobs.cancel(job.id)
    assert send("DELETE", f"/files/{file}").status == 200


def test_a_bad_row_fails_the_job_and_is_named_by_its_line(client):
    rows = tickets()
    rows[6] = {"messages": [{"role": "user", "content": "and the answer?"}]}
    job = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=upload(client, rows, "desk.jsonl"))
    job = wait(client, job.id, "failed")
    assert (job.error.code, job.error.param) == ("invalid_training_file", "training_file")
    assert job.error.message.startswith("desk.jsonl:7: the last message is from 'user'")
    assert job.fine_tuned_model is None


@pytest.mark.parametrize("param", ["training_file", "validation_file"])
def test_a_row_longer_than_the_model_reads_fails_the_job_and_is_named_by_its_line(client, param):
    """Only the tokenizer can tell, so this comes out once the job runs."""
    files = {name: upload(client, tickets()) for name in ("training_file", "validation_file")}
    files[param] = upload(client, tickets(11) + [chat("word " * 3000, "shipping")], "desk.jsonl")
    job = client.fine_tuning.jobs.create(model="ftkit-phi-11m", **files)
    job = wait(client, job.id, "failed")
    assert (job.error.code, job.error.param) == (f"invalid_{param}", param)
    assert job.error.message.startswith("desk.jsonl:12: ")


def test_fewer_than_ten_rows_fail_the_job(client):
    job = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=upload(client, tickets(9)))
    job = wait(client, job.id, "failed")
    assert (job.error.code, job.error.param) == ("invalid_n_examples", "training_file")


def test_a_bad_validation_file_is_told_from_a_bad_training_file(client):
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m",
        training_file=upload(client, tickets()),
        validation_file=upload(client, b"{}\n", "v.jsonl"),
    )
    job = wait(client, job.id, "failed")
    assert (job.error.code, job.error.param) == ("invalid_validation_file", "validation_file")
    assert job.error.message.startswith("v.jsonl:1: ")


def test_a_running_job_can_be_cancelled_and_the_next_one_runs(client):
    """50 epochs of single rows are 600 steps; the cancel comes after the first."""
    file = upload(client, tickets())
    long = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=file, hyperparameters={"n_epochs": 50, "batch_size": 1}
    )
    waiting = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=file, method=method(n_epochs=1))
    wait_for_step(client, long.id)
    assert client.fine_tuning.jobs.retrieve(waiting.id).status == "queued"
    assert client.fine_tuning.jobs.cancel(long.id).status == "cancelled"

    done = wait(client, waiting.id, "succeeded")
    assert done.hyperparameters.n_epochs == 1
    long = client.fine_tuning.jobs.retrieve(long.id)
    assert long.status == "cancelled" and long.fine_tuned_model is None and long.result_files == []
    steps = [event for event in client.fine_tuning.jobs.list_events(long.id, limit=1000) if event.type == "metrics"]
    assert 1 <= len(steps) < 600


def test_a_queued_job_that_is_cancelled_never_starts(client):
    file = upload(client, tickets())
    first = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=file, method=method(n_epochs=50, batch_size=1)
    )
    second = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=file)
    wait_for_step(client, first.id)
    client.fine_tuning.jobs.cancel(second.id)
    client.fine_tuning.jobs.cancel(first.id)
    third = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=file, method=method(n_epochs=1))
    wait(client, third.id, "succeeded")
    told = [event.message for event in client.fine_tuning.jobs.list_events(second.id)]
    assert told[0] == "The job was cancelled" and "Fine-tuning job started" not in told


def test_auto_is_settled_once_the_rows_are_known(client):
    job = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=upload(client, tickets(12)))
    assert job.hyperparameters.n_epochs == "auto"
    job = wait(client, job.id, "queued", "running")
    client.fine_tuning.jobs.cancel(job.id)
    assert job.hyperparameters.n_epochs == 8  # 100 // 12


@pytest.mark.parametrize("what", ["files", "jobs"])
def test_lists_come_newest_first_and_page_by_page(client, tuned, what):
    listing = client.files.list if what == "files" else client.fine_tuning.jobs.list
    upload(client, tickets(1)), upload(client, tickets(1))
    whole = [one.id for one in listing(limit=100)]
    first = listing(limit=1)
    assert first.has_more and [one.id for one in first.data] == whole[:1]
    assert [one.id for one in listing(limit=1, after=whole[0]).data] == whole[1:2]


def test_a_deleted_model_is_gone_from_the_list_and_from_the_disk(client, service, send):
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=upload(client, tickets()), method=method(n_epochs=1)
    )
    name = wait(client, job.id, "succeeded").fine_tuned_model
    adapter = Path(service.data_dir, "runs", job.id, "adapter")
    assert name in [model.id for model in client.models.list()] and adapter.is_dir()
    assert client.models.delete(name).deleted
    assert name not in [model.id for model in client.models.list()] and not adapter.exists()
    question = {"model": name, "messages": [{"role": "user", "content": "x"}]}
    assert send("POST", "/chat/completions", question).body["error"]["code"] == "model_not_found"


def test_many_clients_at_once_do_not_get_in_each_others_way(client, service):
    """While a job writes a step every few milliseconds: no request fails, no row is lost."""
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=upload(client, tickets()), method=method(n_epochs=50, batch_size=1)
    )
    wait_for_step(client, job.id)

    def use(i: int) -> list[str]:
        with service.client().with_options(max_retries=0) as mine:
            ids = [upload(mine, tickets(1)) for _ in range(5)]
            mine.fine_tuning.jobs.list_events(job.id)
            return ids

    with ThreadPoolExecutor(8) as pool:
        ids = {id for some in pool.map(use, range(8)) for id in some}
    assert client.fine_tuning.jobs.retrieve(job.id).status == "running"
    client.fine_tuning.jobs.cancel(job.id)
    assert len(ids) == 40 and ids <= {file.id for file in client.files.list()}
