"""The Hosted recipe against a real local service."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import ftkit
from ftkit.data import Chat, Dataset, Pair, Split
from ftkit.errors import BudgetError, DataError, EndpointError, RecipeError, RunError
from ftkit.events import Saved, Status, Step, Val
from ftkit.hosted import Hosted, endpoint, local_process, local_service, openai
from ftkit.hosted.jobs import HostedModel
from ftkit.report import evaluate
from ftkit.run import Recipe, Run

REPLIES = {"My parcel {} is late": "shipping", "Refund invoice {} please": "refund"}


def chats(n: int) -> Dataset:
    pairs = list(REPLIES.items())
    rows = [
        Chat(
            (
                {"role": "user", "content": pairs[i % 2][0].format(i)},
                {"role": "assistant", "content": pairs[i % 2][1]},
            )
        )
        for i in range(n)
    ]
    return Dataset(tuple(rows), "tickets")


SPLIT = Split(chats(12), chats(4), chats(2))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")  # for so small a model threads only get into each other's way
        service = local_service(tmp_path_factory.mktemp("service"))
        yield service
        service.close()


@pytest.fixture(scope="module")
def run(service, tmp_path_factory):
    recipe = Hosted(endpoint=service, epochs=4, suffix="desk", seed=1)
    return recipe.train(SPLIT, folder=tmp_path_factory.mktemp("runs") / "desk")


def test_a_run_carries_every_step_and_validation_loss(run):
    assert run.status == "succeeded"
    assert [event.step for event in run.history if isinstance(event, Step)] == list(range(1, 13))
    assert {event.steps for event in run.history if isinstance(event, Step)} == {12}
    assert run.losses[-1] < run.losses[0] / 2
    assert len(run.val_losses) == 4
    assert [event for event in run.history if isinstance(event, Saved)] == []
    said = [event.message for event in run.history if isinstance(event, Status)]
    assert said[1].startswith("Estimate: ") and "free" in said[1]
    assert "Fine-tuning job started" in said


def test_the_tuned_model_answers_and_the_base_does_not(run):
    prompts = [row.prompt for row in chats(6)]
    wanted = [row.answer for row in chats(6)]
    assert run.model.replies(prompts) == wanted
    base = run.recipe.base_model()
    assert base.name == "ftkit-phi-11m"
    assert base.replies(prompts, max_tokens=8) != wanted


def test_the_test_rows_are_never_uploaded(service, run):
    with service.client() as client:
        files = client.files.list(purpose="fine-tune")
        uploaded = {file.filename: client.files.content(file.id).text for file in files}
    assert set(uploaded) == {"train.jsonl", "val.jsonl"}
    assert len(uploaded["train.jsonl"].splitlines()) == 12 and len(uploaded["val.jsonl"].splitlines()) == 4


def test_the_key_is_nowhere_in_the_run_folder_nor_in_any_text_form(service, run):
    key = service.key
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"recipe.json", "job.json", "events.jsonl", "data.json"}
    assert [path for path in files if key in path.read_text()] == []
    for thing in (service, run.recipe, run, run.model, local_process.service(service.data_dir)):
        assert key not in repr(thing)


def test_a_cancelled_run_cancels_the_job_and_says_it_has_no_model(service, tmp_path):
    """A watcher that returns True is what Ctrl-C does."""
    recipe = Hosted(endpoint=service, epochs=50, batch_size=1)
    run = recipe.train(SPLIT, folder=tmp_path / "run", watch=lambda event: isinstance(event, Step))
    assert run.status == "cancelled"
    job = json.loads((run.folder / "job.json").read_text())
    assert job["status"] == "cancelled"
    with service.client() as client:
        assert client.fine_tuning.jobs.retrieve(job["id"]).status == "cancelled"
    with pytest.raises(RunError, match="is cancelled and left no model"):
        run.model


def test_a_failed_job_is_an_error_with_the_services_words_and_code(service, tmp_path):
    long = Chat(({"role": "user", "content": "word " * 3000}, {"role": "assistant", "content": "x"}))
    split = Split(Dataset((*SPLIT.train.rows, long), "tickets"), SPLIT.val, SPLIT.test)
    with pytest.raises(EndpointError, match=r"train.jsonl:13: .*\(invalid_training_file, training_file\)"):
        Hosted(endpoint=service, epochs=1).train(split, folder=tmp_path / "run")
    assert Run.open(tmp_path / "run").status == "failed"


def test_an_unknown_base_is_the_services_404(service, tmp_path):
    with pytest.raises(EndpointError, match=r"'gpt-9' does not exist \(model_not_found, model\)"):
        Hosted(endpoint=service, base="gpt-9").train(SPLIT, folder=tmp_path / "run")


DYING = """
import os, sys
from ftkit import Hosted, Step, local_service
sys.path.insert(0, sys.argv[2])
from test_hosted import SPLIT
recipe = Hosted(endpoint=local_service(sys.argv[1]), epochs=6, batch_size=1, seed=1)
recipe.train(SPLIT, folder="dead", watch=lambda event: isinstance(event, Step) and event.step == 9 and os._exit(9))
"""


def test_a_run_whose_kernel_died_is_reattached_and_carries_every_step_once(tmp_path):
    """The kernel took its service with it; both come back, and the job goes on from its checkpoint."""
    environment = {**os.environ, "PYTHONPATH": str(Path(ftkit.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DYING, str(tmp_path / "service"), str(Path(__file__).parent)]
    assert subprocess.run(command, env=environment).returncode == 9
    run = Run.open("dead")
    assert run.status == "running" and 9 in [event.step for event in run.history if isinstance(event, Step)]
    run.resume(SPLIT)
    assert run.status == "succeeded"
    assert [event.step for event in run.history if isinstance(event, Step)] == list(range(1, 73))
    assert [event.step for event in run.history if isinstance(event, Val)] == list(range(12, 73, 12))
    said = [event.message for event in run.history if isinstance(event, Status) and event.message]
    assert len(said) == len(set(said))
    with run.recipe.endpoint.client() as client:
        assert len(client.fine_tuning.jobs.list().data) == 1
    assert run.model.replies([chats(2)[1].prompt]) == ["refund"]
    run.recipe.endpoint.close()


def test_a_job_whose_kernel_died_before_it_was_noted_is_found_by_its_file(service, run, tmp_path):
    """No second job is started, nor paid for."""
    folder = tmp_path / "again"
    shutil.copytree(run.folder, folder)
    noted = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({"training_file": noted["training_file"]}))
    log = folder / "events.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(True) if "succeeded" not in line))
    again = Run.open(folder).resume(SPLIT)
    assert again.model.name == run.model.name and again.losses == run.losses
    with service.client() as client:
        ids = [job.id for job in client.fine_tuning.jobs.list(limit=100) if job.training_file == noted["training_file"]]
    assert ids == [noted["id"]]


def test_a_report_says_who_answered(service, run):
    report = evaluate(run.model, SPLIT.test, max_tokens=8)
    assert report.endpoint == "local service" and "answered by local service" in str(report)


def test_a_reopened_run_starts_its_service_again_and_the_model_answers(service, run):
    """As in a new kernel: the service is gone, only the folders are left. Last, since it stops the service."""
    service.close()
    reopened = Run.open(run.folder)
    assert reopened.recipe == run.recipe and reopened.status == "succeeded"
    assert reopened.model.replies([chats(2)[1].prompt]) == ["refund"]
    assert reopened.model.name == run.model.name
    noted = json.loads((run.folder / "job.json").read_text())
    with service.client() as client:
        kept = client.fine_tuning.jobs.checkpoints.list(noted["id"]).data
    names = [one.fine_tuned_model_checkpoint for one in kept]
    assert [one.step_number for one in kept] == [12, 9, 6] and names[0] == run.model.name
    replies = [HostedModel(service, name).replies([chats(2)[1].prompt]) for name in names[1:]]
    assert replies[0] == ["refund"] and replies[1][0], "the models on the way are back as well"


def test_a_job_that_ended_after_its_notebook_is_found_when_the_run_is_reopened(run):
    """As if the notebook had died while the service went on: job.json still says running."""
    noted = run.folder / "job.json"
    job = json.loads(noted.read_text())
    noted.write_text(json.dumps(job | {"status": "running", "fine_tuned_model": None}))
    assert Run.open(run.folder).model.name == job["fine_tuned_model"]
    assert json.loads(noted.read_text()) == job


def test_too_few_rows_or_rows_of_another_kind_are_refused_before_anything_is_made(tmp_path):
    recipe = Hosted(endpoint=endpoint("http://127.0.0.1:9/v1"))
    with pytest.raises(DataError, match="9 training rows"):
        recipe.train(Split(chats(9), chats(2), chats(2)), folder=tmp_path / "run")
    pairs = Dataset((Pair("a", "b"),) * 12)
    with pytest.raises(DataError, match="learns from chats; got Pair"):
        recipe.train(Split(pairs, pairs, pairs), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "field",
    [
        {"epochs": 0}, {"epochs": 51}, {"epochs": 1.5}, {"batch_size": 257}, {"learning_rate_multiplier": 0},
        {"suffix": ""}, {"suffix": "x" * 65}, {"seed": 2**31}, {"seed": -1}, {"endpoint": "http://x"},
        {"endpoint": {"url": "http://x", "password": "p"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_at_once(field):
    with pytest.raises(RecipeError):
        Hosted(**{"endpoint": openai()} | field)


def test_a_recipe_comes_back_from_its_json():
    recipe = Hosted(endpoint=openai(key_env="MY_KEY"), base="gpt-4o-mini-2024-07-18", epochs=2)
    assert Recipe.from_dict(json.loads(json.dumps({"kind": "Hosted", **asdict(recipe)}))) == recipe


PAID = Hosted(endpoint=openai(), base="gpt-4o-mini-2024-07-18", epochs=3)


def test_where_money_may_be_spent_a_limit_is_required_and_kept(tmp_path, monkeypatch):
    """Nothing is sent, nothing made: there is not even a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    high = PAID.estimate(SPLIT).usd_high
    with pytest.raises(BudgetError, match=r"pass max_usd=.*\$3.00 per million tokens"):
        PAID.train(SPLIT, folder=tmp_path / "run")
    with pytest.raises(BudgetError, match="more than max_usd"):
        PAID.train(SPLIT, folder=tmp_path / "run", max_usd=high * 0.99)
    with pytest.raises(BudgetError, match="usd_per_million"):
        replace(PAID, base="new-model").train(SPLIT, folder=tmp_path / "run", max_usd=100)
    with pytest.raises(RecipeError, match="name the base="):
        replace(PAID, base=None).train(SPLIT, folder=tmp_path / "run", max_usd=100)
    assert not (tmp_path / "run").exists()
    with pytest.raises(EndpointError, match="OPENAI_API_KEY is empty"):
        PAID.train(SPLIT, folder=tmp_path / "run", max_usd=high)


def test_a_service_elsewhere_may_spend_and_one_on_this_machine_does_not():
    assert endpoint("https://llm.example/v1").spends and openai().spends
    assert not endpoint("http://127.0.0.1:8000/v1").spends
    assert endpoint("http://localhost:8000/v1", spends=True).spends


@pytest.mark.parametrize("url", ["llm.example/v1", "ftp://x/v1", "https://me:secret@llm.example/v1"])
def test_a_url_that_cannot_work_or_holds_a_password_is_refused(url):
    with pytest.raises(EndpointError) as error:
        endpoint(url)
    assert "secret" not in str(error.value)


def test_the_key_comes_from_the_environment_when_it_is_needed(monkeypatch):
    one = endpoint("http://127.0.0.1:9/v1", key_env="MY_KEY")
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    assert one.key == "sk-very-secret" and "very" not in repr(one)


def test_loopback_goes_past_any_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "intranet")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("K", "k")
    endpoint("http://127.0.0.1:9/v1", key_env="K").client().close()
    assert os.environ["NO_PROXY"] == "intranet,127.0.0.1,localhost"
    assert os.environ["no_proxy"] == "127.0.0.1,localhost"
