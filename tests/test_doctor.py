"""The check-up of a machine, and of lesson code against the installed libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ftkit.cli import main
from ftkit.doctor import doctor, drift, notebook_drift
from ftkit.errors import DataError

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))
EXERCISES = sorted((ROOT / "exercises").glob("*/source.ipynb"))


def marks() -> dict[str, tuple[str, str]]:
    return {name: (mark, what) for mark, name, what in doctor().rows}


def test_a_machine_that_runs_the_tests_is_healthy():
    found = doctor()
    assert found.healthy, str(found)
    assert "torch" in marks()["libraries"][1]


def test_a_missing_or_too_old_library_is_named_with_the_command_that_mends_it(monkeypatch):
    from importlib import metadata

    real = metadata.version

    def version(name):
        if name == "peft":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "tqdm" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    assert not doctor().healthy
    assert marks()["peft"] == ("x", "is missing; want >=0.19: pip install 'peft>=0.19'")
    assert marks()["tqdm"] == ("x", "0.1, but the kit wants >=4.66: pip install 'tqdm>=4.66'")


def test_the_value_of_an_api_key_is_never_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert "very-secret" not in str(doctor())
    assert "there is one" in str(doctor())


def test_it_speaks_vietnamese_and_its_marks_and_names_of_libraries_stay(monkeypatch):
    monkeypatch.setenv("FTKIT_LANG", "vi")
    marked = [(mark, what) for mark, _, what in doctor().rows]
    assert {mark for mark, _ in marked} <= {"ok", "!", "x"} and "torch" in str(doctor())
    assert "thiết bị" in marks() and "device" not in marks() and "GiB" in marks()["bộ nhớ"][1]


def test_it_needs_torch_and_no_heavier_library_to_say_what_is_wrong():
    code = "import sys; from ftkit.doctor import doctor; doctor(); print({'transformers', 'peft'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


def test_on_a_cpu_it_says_whether_bf16_is_used(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for there in (True, False):
        monkeypatch.setattr("ftkit.bf16.cpu_has_bf16", lambda there=there: there)
        assert ("bf16" in marks()["device"][1]) is there


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("from transformers import TrainingArguments\nTrainingArguments(evaluation_strategy='no')", "evaluation_strategy"),
        ("import transformers as t\nt.TrainingArguments(output_dir='x', logging_dir='y')", "logging_dir"),
        ("from peft import LoraConfigs", "there is no peft.LoraConfigs"),
        ("import ftkit as ft\nft.LoRA(rank=3)", "ftkit.LoRA takes no argument rank"),
        ("import ftkit as ft\nft.fine_tune()", "there is no ftkit.fine_tune"),
    ],
)
def test_what_the_libraries_no_longer_take_is_named(code, problem):
    (words,) = drift(code, "cell 1")
    assert problem in words


def test_code_that_fits_has_no_drift():
    code = "%matplotlib inline\nimport ftkit as ft\nfrom peft import LoraConfig\nLoraConfig(r=4)\nrun = ft.LoRA(r=4)\nawait run"
    assert drift(code, "cell 1") == []


def test_imports_of_earlier_cells_count_in_later_ones(tmp_path):
    cells = [{"cell_type": "code", "source": ["import ftkit as ft"]}, {"cell_type": "code", "source": ["ft.LoRA(rank=1)"]}]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert notebook_drift(tmp_path / "a.ipynb") == ["a.ipynb, cell 1, line 1: ftkit.LoRA takes no argument rank"]


@pytest.mark.parametrize("path", LESSONS + EXERCISES, ids=lambda path: path.relative_to(ROOT).with_suffix("").as_posix())
def test_lessons_and_exercises_fit_the_installed_libraries(path):
    assert notebook_drift(path) == []


def test_what_is_no_notebook_is_refused_in_words(tmp_path, capsys):
    (tmp_path / "a.ipynb").write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read as a notebook"):
        notebook_drift(tmp_path / "a.ipynb")
    assert main(["doctor", str(tmp_path / "missing.ipynb")]) == 1
    assert "missing.ipynb" in capsys.readouterr().err


def test_the_command_says_what_it_found_and_whether_all_is_well(capsys):
    assert main(["doctor", str(LESSONS[0])]) == 0
    assert "QLoRA" in capsys.readouterr().out
