"""A class on one server: a key per learner, nobody sees another's things, a fair queue, limits, the instructor's page."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import openai
import pytest
import uvicorn
from service_helpers import jsonl, method, tickets, upload, wait

from ftkit.errors import FtkitError
from ftkit.local import EMBEDDED
from ftkit.service import jobs
from ftkit.service.app import make_app
from ftkit.service.keys import OWNER, Keys, read_class
from ftkit.service.limits import Limits
from ftkit.service.server import working
from ftkit.service.store import Store

OWN = "the-instructors-own-key"
CLASS = {"key-of-an-0123456789": "An", "key-of-binh-01234567": "Bình <b>"}


@contextmanager
def served(store: Store, learners: dict[str, str] = CLASS, limits: Limits = Limits()):
    """The base_url of an application served from this process, without a worker."""
    config = uvicorn.Config(make_app(store, Keys(OWN, learners), [EMBEDDED], limits), port=0, log_level="warning")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def as_learner(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


def test_nobody_sees_anothers_files_jobs_events_or_models(tmp_path):
    store = Store(tmp_path)
    with served(store) as url, as_learner(url, list(CLASS)[0]) as an, as_learner(url, list(CLASS)[1]) as binh:
        file = upload(an, tickets())
        job = an.fine_tuning.jobs.create(model=EMBEDDED, training_file=file)
        assert [one.id for one in an.fine_tuning.jobs.list()] == [job.id]
        assert binh.files.list().data == [] and binh.fine_tuning.jobs.list().data == []
        for forbidden in (
            lambda: binh.files.retrieve(file),
            lambda: binh.files.content(file),
            lambda: binh.files.delete(file),
            lambda: binh.fine_tuning.jobs.retrieve(job.id),
            lambda: binh.fine_tuning.jobs.cancel(job.id),
            lambda: binh.fine_tuning.jobs.list_events(job.id),
            lambda: binh.fine_tuning.jobs.checkpoints.list(job.id),
        ):
            with pytest.raises(openai.NotFoundError):
                forbidden()
        with pytest.raises(openai.BadRequestError) as error:
            binh.fine_tuning.jobs.create(model=EMBEDDED, training_file=file)
        assert error.value.code == "file_not_found"
        with pytest.raises(openai.BadRequestError):  # nor can the id be used to page from
            binh.files.list(after=file)
        assert an.files.retrieve(file).id == file


def test_the_queue_is_fair_between_keys(tmp_path):
    """An queues three jobs before Bình queues one: Bình's comes second, not fourth."""
    store = Store(tmp_path)
    with served(store) as url:
        ids = {}
        for key in (list(CLASS)[0],) * 3 + (list(CLASS)[1],):
            with as_learner(url, key) as one:
                job = one.fine_tuning.jobs.create(model=EMBEDDED, training_file=upload(one, tickets()))
                ids[job.id] = CLASS[key]
    order = []
    for id in ids:
        jobs.validate(store, store.one("jobs", id))
    while job := jobs.next_job(store):
        order.append(job["owner"])
        jobs.cancel(store, job["id"])
    assert order == ["An", "Bình <b>", "An", "An"]


def test_each_key_has_its_limits(tmp_path):
    with served(Store(tmp_path), limits=Limits(jobs=1, gib=3000 / (1 << 30))) as url:
        with as_learner(url, list(CLASS)[0]) as an, as_learner(url, list(CLASS)[1]) as binh:
            file = upload(an, tickets())
            an.fine_tuning.jobs.create(model=EMBEDDED, training_file=file)
            with pytest.raises(openai.RateLimitError) as error:
                an.fine_tuning.jobs.create(model=EMBEDDED, training_file=file)
            assert error.value.code == "job_limit_exceeded"
            with pytest.raises(openai.PermissionDeniedError) as error:
                upload(an, tickets(30))
            assert error.value.code == "storage_limit_exceeded"
            upload(binh, tickets())  # another's limits are their own


def test_the_status_page_is_the_instructors_and_says_who_is_where(tmp_path):
    with served(Store(tmp_path)) as url, as_learner(url, list(CLASS)[1]) as binh:
        job = binh.fine_tuning.jobs.create(model=EMBEDDED, training_file=upload(binh, tickets()))
        page = url.removesuffix("/v1") + "/status"
        assert httpx.get(page).status_code == 401
        assert "Basic" in httpx.get(page).headers["www-authenticate"]
        assert httpx.get(page, auth=("x", list(CLASS)[1])).status_code == 403
        text = httpx.get(page, auth=("x", OWN)).text
        assert job.id in text and "Bình &lt;b&gt;" in text and "<b>" not in text
        assert not any(key in text for key in (OWN, *CLASS))


def test_missing_keys_are_made_and_written_back(tmp_path):
    path = tmp_path / "class.csv"
    path.write_text("name,group,key\nAn,3B,\nBình,3A,a-key-of-their-own-1\n", encoding="utf-8")
    found = read_class(path)
    assert list(found.values()) == ["An", "Bình"] and "a-key-of-their-own-1" in found
    assert read_class(path) == found
    assert path.read_text(encoding="utf-8").startswith("name,group,key\nAn,3B,ftkit-")


@pytest.mark.parametrize(
    "text", ["", "key\nx", "name,key\n", "name,key\nAn,\nAn,\n", f"name,key\n{OWNER},\n", "name,key\nAn,short\n"]
)
def test_a_list_of_keys_that_cannot_work_is_refused(tmp_path, text):
    path = tmp_path / "class.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FtkitError, match="class.csv"):
        read_class(path)
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_forty_learners_at_once_each_get_their_own_model(tmp_path, monkeypatch):
    """Upload, queue a small job, poll, chat: none fails, none sees another's things."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    learners = {f"key-of-learner-number-{i:02d}": f"learner{i:02d}" for i in range(40)}
    store = Store(tmp_path)

    def take_part(key: str) -> None:
        name = learners[key]
        with as_learner(url, key).with_options(timeout=600) as one:
            file = one.files.create(file=(f"{name}.jsonl", jsonl(tickets())), purpose="fine-tune").id
            job = one.fine_tuning.jobs.create(model=EMBEDDED, training_file=file, method=method(n_epochs=1), suffix=name)
            job = wait(one, job.id, "succeeded", seconds=1500, pause=1)
            talk = [{"role": "user", "content": "My parcel 5 is late"}]
            one.chat.completions.create(model=job.fine_tuned_model, messages=talk, max_tokens=8)
            assert [each.id for each in one.fine_tuning.jobs.list()] == [job.id]
            assert {each.filename for each in one.files.list()} == {f"{name}.jsonl", "step_metrics.csv"}
            tuned = [each.id for each in one.models.list() if each.id.startswith("ft:")]
            assert tuned == [job.fine_tuned_model] and name in tuned[0]

    with served(store, learners) as url, working(store), ThreadPoolExecutor(40) as pool:
        assert list(pool.map(take_part, learners)) == [None] * 40
