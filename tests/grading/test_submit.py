"""What a learner hands in is what the grader takes: from submit() to a grade, for each of the three exercises."""

import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ftkit import exercise as learner
from ftkit.grading import artefact, dataset, ingest, run, spec
from ftkit.grading.probes import Mark

CONFIG = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "use_rslora": False, "use_dora": False, "bias": "none"}


def adapter_run(folder: Path, spoil=None, **config) -> SimpleNamespace:
    """What looks like a finished run, with random weights in an adapter's shape."""
    from safetensors.numpy import save_file

    shapes = artefact.fresh_shapes(artefact.AdapterSettings(2, 4, ("q_proj",), False, False))
    values = {key: np.random.default_rng(0).normal(size=shape).astype("f4") for key, shape in shapes.items()}
    if spoil:
        spoil(values)
    (folder / "adapter").mkdir(parents=True)
    save_file(values, folder / "adapter" / "adapter_model.safetensors")
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}), encoding="utf-8")
    return SimpleNamespace(folder=folder)


def a_report(**scores) -> SimpleNamespace:
    return SimpleNamespace(scores={name: SimpleNamespace(value=value) for name, value in scores.items()})


def handed_in(tmp_path, name: str, path: Path):
    """The submission that the grader makes of the learner's zip."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    shutil.copyfile(path, bundle / "an.zip")
    (found,), _ = ingest.ingest(bundle, spec.read_exercise(name), tmp_path / "work")
    return found


def test_the_zip_of_submit_holds_what_the_grader_takes(tmp_path, capsys):
    Path("mine.ipynb").write_text(json.dumps(spec.read_exercise("02_lora").notebook), encoding="utf-8")
    learner.start("02_lora")
    path = learner.submit(adapter_run(Path("runs")), a_report(json_fields=0.51234), a_report(json_fields=0.1))
    said = capsys.readouterr().out
    assert "the adapter is whole: r = 2" in said and "notebook was not found" not in said
    found = handed_in(tmp_path, "02_lora", path)
    assert sorted(p.name for p in found.folder.iterdir()) == sorted([*artefact.ALLOWED["adapter"], "claims.json", "notebook.ipynb"])
    assert artefact.read_claims(found.folder / "claims.json") == {"json_fields": 0.5123, "base json_fields": 0.1}
    assert not found.notes and not found.refused


@pytest.mark.parametrize(("spoil", "config", "why"), [
    (lambda values: next(iter(values.values())).fill(np.nan), {}, "not finite"),
    (lambda values: [value.fill(0) for key, value in values.items() if "lora_B" in key], {}, "it was not trained"),
    (None, {"r": 3}, "has shape"),
    (lambda values: values.update({"base_model.model.lm_head.weight": np.ones((2, 2), "f4")}), {}, "do not belong here"),
])  # fmt: skip
def test_submit_says_what_the_grader_would_refuse_and_writes_nothing(spoil, config, why, capsys):
    learner.start("02_lora")
    assert learner.submit(adapter_run(Path("runs"), spoil, **config)) is None
    assert why in capsys.readouterr().out and not list(Path(".").glob("*.zip"))


def test_without_a_run_only_the_notebook_is_handed_in_and_without_a_notebook_it_says_so(capsys):
    learner.start("02_lora")
    path = learner.submit()
    assert "the notebook was not found" in capsys.readouterr().out
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == []


def rows(n: int, **change) -> list[dict]:
    """``n`` good rows that share few words."""
    found = []
    for i in range(n):
        words = " ".join(f"w{chr(97 + i % 26)}{chr(97 + (i // 26 + j) % 26)}{chr(97 + j)}" for j in range(4))
        texts = {"system": "Answer.", "user": words, "assistant": f"answer {i % 5}"} | {k: v(i) for k, v in change.items()}
        found.append({"messages": [{"role": role, "content": text} for role, text in texts.items()]})
    return found


@pytest.mark.parametrize(("given", "points"), [
    (rows(60), [2, 1, 2, 1]),
    (rows(49), [0, 1, 2, 1]),
    (rows(101), [0, 1, 2, 1]),
    (rows(60) + [{"messages": []}], [0, 1, 2, 1]),
    (rows(60, system=lambda i: f"s{i}"), [2, 0, 2, 1]),
    (rows(60, user=lambda i: f"the same words each time and nothing but number {i}"), [2, 1, 0, 1]),
    (rows(60, assistant=lambda i: "yes"), [2, 1, 2, 0]),
    (rows(60, assistant=lambda i: f"write to an{i}@example.org"), [2, 1, 2, 0]),
    (rows(60, assistant=lambda i: f"call 0912 345 6{i:02}"), [2, 1, 2, 0]),
    ([None, 3, "x", {}], [0, 0, 0, 0]),
])  # fmt: skip
def test_each_rule_about_rows_has_its_points(given, points):
    assert [got for got, _ in dataset.rows_marks(given)] == points


@pytest.mark.parametrize("text", ["a" * 300_000, "1" * 300_000, "1 " * 150_000, "a.b-" * 75_000, "@" * 300_000, "sk-" * 100_000])
def test_no_text_takes_long_to_search_for_private_things(text):
    """Would take hours if the pattern tried every start with every end; the suite's time limit would tell."""
    dataset.PRIVATE.search(text)


class Told:
    """A service that knows one job; the real one is asked in the slow test below."""

    def __init__(self, status: str, lines: list[str]):
        self.found = status, lines

    def job(self, job_id):
        return self.found


@pytest.mark.parametrize(("job", "service", "points", "status"), [
    (None, None, 0.0, "not answered"),
    ({"id": "ftjob-1"}, None, None, "unverified"),
    ({"id": "../files/secret"}, Told("succeeded", []), None, "unverified"),
    ({"id": 7}, Told("succeeded", []), None, "unverified"),
    ({"id": "ftjob-1"}, Told("failed", []), 0.0, "graded"),
    ({"id": "ftjob-1"}, Told("succeeded", [json.dumps(row) for row in rows(50)]), 4, "graded"),
    ({"id": "ftjob-1"}, Told("succeeded", []), None, "unverified"),
    ({"id": "ftjob-1"}, Told("succeeded", [json.dumps(row) for row in rows(80)]), None, "unverified"),
])  # fmt: skip
def test_a_job_counts_if_the_service_knows_it_and_it_was_trained_on_these_rows(tmp_path, job, service, points, status):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row, indent=None) + "\n" for row in rows(60)), encoding="utf-8")
    if job:
        (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    result = run.Result("an", "", "plain", "an", False)
    mark = dataset._job(tmp_path, 4, result, service)
    assert (mark.points, mark.status) == (points, status)


@pytest.mark.parametrize(("found", "claims", "flags", "status"), [
    ({"score": 0.55, "baseline": 0.46}, {"ndcg@10": 0.79, "base ndcg@10": 0.71}, [], "graded"),  # easier rows, the same gain
    ({"score": 0.55, "baseline": 0.46}, {"ndcg@10": 0.79}, ["claims ndcg@10 0.790, measured 0.550"], "graded"),
    ({"score": 0.55, "baseline": 0.46}, {"ndcg@10": 0.9, "base ndcg@10": 0.5}, ["claims a gain of +0.400 in ndcg@10, measured +0.090"], "graded"),
    ({"refused": "cut off"}, {}, ["q4 could not be measured: cut off"], "partly graded"),
    ({"failed": "too long"}, {}, ["the grader failed: q4 could not be measured: too long"], "grader error"),
])  # fmt: skip
def test_a_claim_is_held_against_what_was_measured_and_our_own_failures_are_named(tmp_path, found, claims, flags, status):
    exercise = spec.read_exercise("03_embeddings")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "claims.json").write_text(json.dumps(claims), encoding="utf-8")
    result = run.Result("an", "", "plain", "an", False, marks={q.id: Mark(1.0, "graded") for q in exercise.questions})
    run._measure(exercise, ingest.Submission("an", "", "plain", "an", tmp_path), SimpleNamespace(measure=lambda folder: found), result)
    run._settle(exercise, result)
    assert (result.flags, result.status) == (flags, status)


@pytest.mark.slow
def test_exercise_01_from_the_notebook_to_the_grade_with_a_service_that_knows_the_job(tmp_path):
    import ftkit as ft

    (tmp_path / "course.key").write_text("a secret of sixteen bytes or more")
    read = spec.read_exercise("01_openai")
    page = {cell["id"]: "".join(cell["source"]) for cell in json.loads((read.folder / "source.ipynb").read_text("utf-8"))["cells"]}
    space: dict = {}
    for name in ("setup", "q1", "q2", "q3", "q4", "q5-data"):
        exec(page[name], space)
    service = space["service"]
    try:
        space["recipe"] = ft.Hosted(endpoint=service, epochs=1, seed=5)
        finished = space["recipe"].train(space["split"])
        path = learner.submit(finished, notebook=read.folder / "source.ipynb")
        bundle = tmp_path / "bundle"
        bundle.mkdir()
        for name in ("an", "bo"):
            shutil.copyfile(path, bundle / f"{name}.zip")
        found = [
            run.grade("01_openai", bundle, tmp_path / f"out{n}", tmp_path / "course.key", service=asked)
            for n, asked in enumerate((None, dataset.Service(service)))
        ]
    finally:
        service.close()
    alone, looked_up = (one.results[0] for one in found)
    assert {q: mark.points for q, mark in alone.marks.items()} == {"q1": 2, "q2": 3, "q3": 2, "q4": 6, "q5": None, "q6": None}
    assert alone.marks["q5"].status == "unverified" and alone.status == "partly graded"
    assert looked_up.marks["q5"].points == 4 and looked_up.status == "graded"
    assert {"the same rows as bo", "the same job as bo"} <= set(looked_up.flags)


@pytest.mark.slow
def test_exercise_03_measures_the_weights_in_the_graders_own_model(tmp_path):
    """The untouched base gains nothing; spoilt weights lose; weights of another shape are not measured."""
    import random

    from safetensors.numpy import load_file, save_file

    from ftkit.embed.model import load_base
    from ftkit.grading.measure import Worker

    read = spec.read_exercise("03_embeddings")
    (row,) = read.hidden.hidden_rows(random.Random(0))
    few = dict(list(row["queries"].items())[:40])
    worker = Worker(read, [{**row, "queries": few, "qrels": {q: row["qrels"][q] for q in few}}])
    load_base(None).transformer.save_pretrained(str(tmp_path / "base"), create_model_card=False)
    base = load_file(tmp_path / "base" / "model.safetensors")

    def measured(name: str, values) -> dict:
        (tmp_path / name).mkdir()
        save_file(values, tmp_path / name / "whole.safetensors")
        small = learner.halved((tmp_path / name / "whole.safetensors").read_bytes())
        (tmp_path / name / "model.safetensors").write_bytes(small)
        return worker.measure(tmp_path / name)

    try:
        same = measured("same", base)
        rng = np.random.default_rng(0)
        spoilt = measured("spoilt", {k: (v + rng.normal(size=v.shape) * v.std()).astype("f4") if v.dtype == "f4" else v for k, v in base.items()})
        other = measured("other", {**base, "pooler.extra": np.ones(3, "f4")})
    finally:
        worker.close()
    assert abs(same["score"] - same["baseline"]) < 0.02 and same["baseline"] > 0.3
    assert spoilt["score"] < same["score"] - 0.1
    assert "do not belong here" in other["refused"]
