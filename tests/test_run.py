"""The run folder: made, recorded, reopened, interrupted."""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass, replace

import pytest

from ftkit import FtkitError, RecipeError, Run, RunError, Split, Status, Step
from ftkit.local import LoRA
from ftkit.run import Recipe


@dataclass(frozen=True, kw_only=True)
class Counting(Recipe):
    """A recipe whose engine only counts: the smallest one that is whole."""

    steps: int = 5
    sabotage: str = ""

    def load(self, folder):
        return (folder / "model.txt").read_text(encoding="utf-8")

    def _train(self, train, val, run):
        for step in range(1, self.steps + 1):
            if self.sabotage == "crash" and step == 3:
                raise ValueError("out of luck")
            if self.sabotage == "refuse" and step == 3:
                raise RecipeError("LoRA: epochs must be above 0; got -1")
            if self.sabotage == "ctrl-c" and step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            run.emit(Step(step, self.steps, loss=1 / step))
            if run.stopping:
                break
        (run.folder / "model.txt").write_text(f"counted to {step}", encoding="utf-8")


def test_a_run_is_a_folder_that_can_be_reopened(small_split):
    run = Counting().train(small_split)
    again = Run.open(run.folder)
    assert again.recipe == run.recipe and again.history == run.history
    assert again.status == "succeeded" and again.model == "counted to 5"
    about = json.loads((run.folder / "data.json").read_text(encoding="utf-8"))
    assert about["rows"] == {"train": 24, "val": 8, "test": 8} and about["sha256"] == small_split.fingerprints


def test_runs_number_themselves(small_split):
    assert [Counting().train(small_split).folder.name for _ in range(2)] == ["counting-001", "counting-002"]


def test_an_existing_folder_is_refused_and_left_alone(small_split, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(RunError, match="this run folder exists already"):
        Counting().train(small_split, folder=tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_the_engine_never_sees_the_test_set(small_split):
    seen = []

    @dataclass(frozen=True, kw_only=True)
    class Spy(Recipe):
        def _train(self, train, val, run):
            seen.extend([train, val])
            assert not any(isinstance(value, Split) for value in vars(run).values())

    Spy().train(small_split)
    assert seen == [small_split.train, small_split.val]


def test_ctrl_c_ends_the_run_after_its_step_and_keeps_what_was_done(small_split):
    before = signal.getsignal(signal.SIGINT)
    run = Counting(sabotage="ctrl-c").train(small_split)
    assert run.status == "cancelled" and run.model == "counted to 3" and len(run.losses) == 3
    assert Run.open(run.folder).status == "cancelled"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_watcher_that_returns_true_stops_the_run(small_split):
    run = Counting().train(small_split, watch=lambda event: isinstance(event, Step) and event.step == 2)
    assert run.status == "cancelled" and len(run.losses) == 2


def test_a_failed_run_keeps_its_log_and_says_why(small_split):
    with pytest.raises(ValueError, match="out of luck"):
        Counting(sabotage="crash").train(small_split, folder="runs/bad")
    run = Run.open("runs/bad")
    assert run.status == "failed" and len(run.losses) == 2 and "out of luck" in run.history[-1].message


def test_the_log_of_a_run_is_english_whatever_the_learner_hears(small_split, monkeypatch):
    monkeypatch.setenv("FTKIT_LANG", "vi")
    with pytest.raises(RecipeError, match="phải lớn hơn 0"):
        Counting(sabotage="refuse").train(small_split, folder="runs/refused")
    assert Run.open("runs/refused").history[-1].message == "RecipeError: LoRA: epochs must be above 0; got -1"


def test_a_log_cut_off_in_the_middle_of_a_line_is_read_up_to_there(small_split):
    run = Counting().train(small_split)
    log = run.folder / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert Run.open(run.folder).history == run.history[:-1]


def test_opening_what_is_no_run_says_so(tmp_path):
    with pytest.raises(RunError, match="no run here"):
        Run.open(tmp_path)
    (tmp_path / "recipe.json").write_text('{"kind": "Magic"}', encoding="utf-8")
    with pytest.raises(RunError, match="unknown recipe kind"):
        Run.open(tmp_path)


def test_a_recipe_survives_its_json_and_replace_makes_variants():
    recipe = LoRA(r=4, target_modules=("q_proj", "v_proj"))
    from dataclasses import asdict

    stored = json.loads(json.dumps({"kind": recipe.kind, **asdict(recipe)}))
    assert Recipe.from_dict(stored) == recipe
    assert replace(recipe, r=8).r == 8 and recipe.r == 4
    with pytest.raises(RecipeError, match="LoRA has no field rank"):
        Recipe.from_dict({"kind": "LoRA", "rank": 4})


def test_training_on_something_else_than_a_split_is_refused(tickets):
    with pytest.raises(FtkitError, match="wants a Split; got Dataset"):
        Counting().train(tickets)


def test_in_the_background_a_run_is_there_at_once_and_its_model_waits_for_the_end(small_split):
    held = threading.Event()
    run = Counting().train(small_split, background=True, watch=lambda event: isinstance(event, Step) and held.wait(30) is None)
    assert run.status in ("queued", "running") and not (run.folder / "model.txt").exists()
    held.set()
    assert run.model == "counted to 5" and run.status == "succeeded" and run.wait() is run
    assert [event.state for event in run.history if isinstance(event, Status)] == ["queued", "running", "succeeded"]


def test_cancelling_a_run_in_the_background_keeps_what_it_has(small_split):
    here, go_on = threading.Event(), threading.Event()

    def hold(event):
        if isinstance(event, Step) and event.step == 2:
            here.set()
            go_on.wait(30)

    run = Counting().train(small_split, background=True, watch=hold)
    assert here.wait(30)
    run.cancel()
    go_on.set()
    assert run.wait().status == "cancelled" and run.model == "counted to 2"


def test_what_goes_wrong_in_the_background_is_raised_where_it_is_waited_for(small_split):
    run = Counting(sabotage="crash").train(small_split, background=True)
    with pytest.raises(ValueError, match="out of luck"):
        run.wait()
    assert run.status == "failed" and run.wait() is run


def test_ctrl_c_while_waiting_stops_the_run_after_its_step(small_split):
    def press(event):
        if isinstance(event, Step) and event.step == 2:
            signal.raise_signal(signal.SIGINT)  # reaches the main thread, which waits
            while not run.stopping:
                time.sleep(0.01)

    ready = threading.Event()
    run = Counting().train(small_split, background=True, watch=[lambda event: ready.wait(30) is None, press])
    threading.Timer(0.2, ready.set).start()
    assert run.wait().status == "cancelled" and run.model == "counted to 2"


def test_of_several_processes_only_the_first_writes(small_split, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    said = []
    run = Run.create(Counting(), small_split, "runs/two", said.append)
    run.emit(Status("running"))
    run.rewind(0)
    assert run.history and not said and not list(tmp_path.iterdir())
    with pytest.raises(RunError, match="name its folder"):
        Run.create(Counting(), small_split)
