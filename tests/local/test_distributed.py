"""Two processes, each with half of every batch, train what one process trains: on a CPU, by gloo."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from ftkit import DPO, Embed, LoRA, RecipeError, Run, Step, read_chats, write_jsonl
from ftkit.cli import main
from ftkit.local.chat import encode
from ftkit.local.distributed import Filled
from ftkit.local.model import load_base

LAUNCHERS = {
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                   "--mixed_precision", "no", "--dynamo_backend", "no"],  # "--cpu" would start one process
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
}  # fmt: skip
QUICK = dict(r=4, alpha=8, batch_size=8, epochs=2, learning_rate=1e-2, checkpoint_every=2)
"""On 27 training rows: 4 steps an epoch, the last with 3 rows."""


def launched(how: str, recipe, base: str, data: str, *more: str) -> subprocess.CompletedProcess:
    """``ftkit train`` by two processes into the folder "two"."""
    Path("recipe.json").write_text(json.dumps({"kind": recipe.__name__, "base": base, **QUICK}), encoding="utf-8")
    command = [sys.executable, "-m", *LAUNCHERS[how], "-m", "ftkit", "train", "recipe.json", data, "--folder", "two", *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def equal(two: Run, one: Run) -> None:
    steps = [[event for event in run.history if isinstance(event, Step)] for run in (two, one)]
    assert [event.step for event in steps[0]] == [event.step for event in steps[1]], "a step was logged twice or not at all"
    for name in ("loss", "accuracy", "learning_rate", "tokens", "steps"):
        assert [getattr(e, name) for e in steps[0]] == pytest.approx([getattr(e, name) for e in steps[1]], abs=1e-5), name
    weights = [load_file(run.folder / "adapter" / "adapter_model.safetensors") for run in (two, one)]
    assert all((weights[0][name] - weights[1][name]).abs().max() < 1e-4 for name in weights[1])


@pytest.fixture
def chats(tickets):
    write_jsonl("chats.jsonl", [row.to_dict() for row in tickets[:34]])
    return read_chats("chats.jsonl").split(seed=0)


def test_the_rows_come_in_one_processs_order_and_the_last_batch_is_filled_with_nothing():
    sampler = Filled(rows=27, batch_size=8, seed=3)
    first, second = list(sampler), list(sampler)
    assert sorted(first[:27]) == list(range(27)) and first[27:] == [27] * 5 and len(sampler) == 32
    assert first[:27] != second[:27]


@pytest.mark.slow
def test_two_processes_log_the_losses_and_leave_the_adapter_of_one(tiny_phi, chats):
    """Also when one holds other numbers of scored tokens than the other, and when the last batch is not full."""
    done = launched("accelerate", LoRA, tiny_phi, "chats.jsonl")
    assert done.returncode == 0, done.stderr
    one = LoRA(base=tiny_phi, **QUICK).train(chats, folder="one")
    equal(Run.open("two"), one)
    assert len(chats.train) % QUICK["batch_size"], "the last batch is full"
    tokenizer = load_base(tiny_phi)[1]
    scored = [sum(label >= 0 for label in encode(tokenizer, row, 512)["labels"]) for row in chats.train]
    order = list(Filled(len(scored), 8, 0))
    halves = [sum(scored[i] for i in order[at : at + 4]) for at in range(0, 16, 4)]
    assert halves[0] != halves[1] or halves[2] != halves[3], "both hold as many scored tokens"
    assert Run.open("two").val_losses == pytest.approx(one.val_losses, abs=1e-4)
    assert done.stdout.count("Run(LoRA · succeeded") == 1


@pytest.mark.slow
def test_two_processes_stopped_by_sigterm_go_on_to_where_one_ends(tiny_phi, chats):
    """Stopped in the middle by a signal that only one of them gets; both stop at the same step."""
    Path("recipe.json").write_text(json.dumps({"kind": "LoRA", "base": tiny_phi, **QUICK, "epochs": 10}), encoding="utf-8")
    command = [sys.executable, "-m", *LAUNCHERS["torchrun"], "-m", "ftkit", "train", "recipe.json", "chats.jsonl", "--folder", "two"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as launcher:
        log = Path("two/events.jsonl")
        while launcher.poll() is None and not (log.exists() and '"step": 3,' in log.read_text(encoding="utf-8")):
            time.sleep(0.05)
        last = max(psutil.Process(launcher.pid).children(), key=lambda process: process.environ().get("RANK", ""))
        os.kill(last.pid, signal.SIGINT)
        said = launcher.communicate()[0].decode()
    stopped = Run.open("two")
    assert stopped.status == "cancelled", said
    assert stopped.model.reply("Where?", max_tokens=2) is not None
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    equal(Run.open("two"), LoRA(base=tiny_phi, **QUICK | {"epochs": 10}).train(chats, folder="one"))


@pytest.mark.parametrize(("recipe", "words"), [
    (DPO(), "DPO trains in one process only, but 3 were launched"),
    (Embed(), "Embed trains in one process only"),
    (LoRA(batch_size=4), "batch_size=4 rows a step cannot be shared equally by 3 processes"),
])  # fmt: skip
def test_what_several_processes_cannot_share_is_refused_before_anything_is_written(recipe, words, small_split, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(RecipeError, match=words):
        recipe.train(small_split, folder="run")
    assert not list(tmp_path.iterdir())


def test_a_recipe_file_that_cannot_be_trained_is_refused_with_its_name(tmp_path, capsys):
    wrong = {
        "absent.toml": (None, "absent.toml: cannot be read"),
        "a.toml": ("kind = LoRA", "a.toml: "),
        "b.json": ('{"kind": "LoRA", "rank": 4}', "b.json: LoRA has no field rank"),
        "c.toml": ('kind = "LoRA"\nr = "many"', "c.toml: "),
        "d.json": ('{"kind": "Hosted"}', "d.json: Hosted may cost money"),
        "e.json": ("[1]", "e.json: want the recipe's fields by name"),
    }
    for name, (text, words) in wrong.items():
        if text is not None:
            Path(name).write_text(text, encoding="utf-8")
        assert main(["train", name, "chats.jsonl"]) == 1
        assert words in capsys.readouterr().err
    assert not Path("runs").exists()


def test_train_on_the_command_line_is_train_in_a_notebook_and_resumes(tiny_phi, chats, capsys, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *a, real=signal.signal: real(*a) if a[0] != signal.SIGTERM else None)
    Path("recipe.toml").write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in {"kind": "LoRA", "base": tiny_phi, **QUICK}.items()), encoding="utf-8")
    stopped = LoRA(base=tiny_phi, **QUICK).train(chats, folder="run", watch=lambda event: isinstance(event, Step) and event.step == 3)
    assert stopped.status == "cancelled"
    assert main(["train", "recipe.toml", "chats.jsonl", "--folder", "run", "--resume"]) == 0
    assert main(["train", "recipe.toml", "chats.jsonl", "--folder", "whole"]) == 0
    adapters = [Path(name, "adapter", "adapter_model.safetensors").read_bytes() for name in ("run", "whole")]
    assert adapters[0] == adapters[1] and "run: Run(LoRA · succeeded" in capsys.readouterr().out
    assert main(["train", "recipe.toml", "chats.jsonl", "--folder", "whole"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["train", "recipe.toml", "chats.jsonl", "--resume"]) == 1
    Path("recipe.toml").write_text('kind = "LoRA"', encoding="utf-8")
    assert main(["train", "recipe.toml", "chats.jsonl", "--folder", "run", "--resume"]) == 1
    assert "begun with another recipe" in capsys.readouterr().err
