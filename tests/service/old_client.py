"""A session with the official client, whatever its version; run by test_service_clients.py in a process of its own."""

import json
import os
import sys
import time

import openai


def session() -> None:
    client = openai.OpenAI()  # OPENAI_BASE_URL and OPENAI_API_KEY
    rows = [{"messages": [{"role": "user", "content": f"Parcel {i} is late"}, {"role": "assistant", "content": "late parcel"}]}
            for i in range(12)]  # fmt: skip
    with open("rows.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

    file = client.files.create(file=open("rows.jsonl", "rb"), purpose="fine-tune")
    assert client.files.retrieve(file.id).bytes == file.bytes > 100
    assert file.id in [one.id for one in client.files.list(purpose="fine-tune", order="asc", limit=100)]
    settings = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": "auto"}
    job = client.fine_tuning.jobs.create(
        model="ftkit-phi-11m", training_file=file.id, suffix="old", seed=1, metadata={"file": file.id},
        method={"type": "supervised", "supervised": {"hyperparameters": settings}},
    )  # fmt: skip
    deprecated = client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file=file.id, hyperparameters={"n_epochs": 50})
    assert client.fine_tuning.jobs.cancel(deprecated.id).status == "cancelled"
    assert deprecated.id in [one.id for one in client.fine_tuning.jobs.list(limit=1)]
    while job.status not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.3)
        job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.status == "succeeded", job.error
    found = client.fine_tuning.jobs.list(metadata={"file": file.id})
    assert [one.id for one in found] == [job.id]
    steps = [event for event in client.fine_tuning.jobs.list_events(job.id, limit=3) if event.message.startswith("Step ")]
    assert len(steps) == 6, steps
    assert [one.step_number for one in client.fine_tuning.jobs.checkpoints.list(job.id)] == [6, 3]
    assert client.files.content(job.result_files[0]).read()
    for verb in ("pause", "resume"):
        try:
            getattr(client.fine_tuning.jobs, verb)(job.id)
            raise AssertionError("a finished job was moved")
        except openai.BadRequestError as error:
            assert error.param == "fine_tune_id" and error.code
    assert client.models.retrieve(job.fine_tuned_model).id == job.fine_tuned_model
    talk = {"model": job.fine_tuned_model, "messages": [{"role": "user", "content": "Parcel 3 is late"}], "temperature": 0}
    whole = client.chat.completions.create(**talk, max_tokens=10, n=2, logprobs=True, top_logprobs=2)
    assert len(whole.choices) == 2 and len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
    pieces = client.chat.completions.create(**talk, max_tokens=10, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == whole.choices[0].message.content
    assert len(client.embeddings.create(model="all-MiniLM-L6-v2", input=["a", "b"]).data[1].embedding) == 384
    for call, kind in [
        (lambda: client.models.retrieve("gpt-9"), openai.NotFoundError),
        (lambda: client.fine_tuning.jobs.retrieve("ftjob-9"), openai.NotFoundError),
        (lambda: client.fine_tuning.jobs.create(model="ftkit-phi-11m", training_file="file-9"), openai.BadRequestError),
        (lambda: openai.OpenAI(api_key="wrong").models.list(), openai.AuthenticationError),
    ]:
        try:
            call()
            raise AssertionError(f"no {kind.__name__}")
        except kind as error:
            assert error.request_id.startswith("req_") and error.code, error
    assert client.models.delete(job.fine_tuned_model).deleted
    assert client.files.delete(file.id).deleted
    print("all well with", openai.__version__, file=sys.stdout)


if __name__ == "__main__":
    session()
