"""``ftkit compare``: runs that were measured, runs measured now, and files."""

import pytest

import ftkit as ft
from ftkit.cli import main


@pytest.fixture(scope="module")
def run(tiny_phi, tickets, tmp_path_factory):
    split = ft.Split(tickets[:16], tickets[16:20], tickets[20:26])
    recipe = ft.LoRA(base=tiny_phi, epochs=1, r=4)
    return recipe.train(split, folder=tmp_path_factory.mktemp("runs") / "lora-001"), split


def test_a_run_that_is_evaluated_keeps_its_report_and_the_command_compares_it(run, tmp_path, capsys):
    run, split = run
    metrics = [ft.chrf, ft.json_valid]
    after = ft.evaluate(run, split.test, metrics, max_tokens=8)
    assert after.model == "lora-001" and len(list((run.folder / "reports").glob("*.json"))) == 1
    base = ft.evaluate(run.recipe.base_model(), split.test, metrics, name="base", max_tokens=8)
    code = main(["compare", str(base.save(tmp_path / "base.json")), str(run.folder), "--html", str(tmp_path / "page.html")])
    shown = capsys.readouterr().out
    assert code == 0 and str(ft.compare(base, after)) in shown
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_base_and_run_are_measured_anew_on_a_file(run, tickets, tmp_path, capsys):
    run, _ = run
    ft.write_jsonl(tmp_path / "new.jsonl", tickets[30:33])
    data = ["--data", str(tmp_path / "new.jsonl"), "--metric", "chrf", "--metric", "bleu"]
    code = main(["compare", "base", str(run.folder), *data])
    shown = capsys.readouterr().out
    assert code == 0 and "3 rows of new" in shown and "chrf" in shown and "bleu" in shown


def test_what_cannot_be_compared_is_told_in_a_sentence(run, tickets, tmp_path, capsys):
    run, split = run
    other = ft.evaluate(run.model, tickets[40:43], [ft.chrf], max_tokens=4).save(tmp_path / "other.json")
    ft.evaluate(run, split.test, [ft.chrf], max_tokens=4)
    for arguments, said in (
        ((str(other), str(run.folder)), "not on the same rows with the same metric"),
        ((str(tmp_path), str(run.folder)), "no report is kept here; make one with ft.evaluate(Run.open("),
        (("nowhere.json", str(run.folder)), "nowhere.json: cannot be read"),
        ((str(other), "runs/none", "--data", "x.jsonl"), "no run here"),
    ):
        assert main(["compare", *arguments]) == 1
        assert said in capsys.readouterr().err
