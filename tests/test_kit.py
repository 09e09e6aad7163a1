"""The front door, without a real installation: what it would run, and when it does nothing."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture
def kit(tmp_path, monkeypatch):
    """kit.py as a module that thinks it lives in an empty folder; the commands it runs are noted, not run."""
    spec = importlib.util.spec_from_file_location("kit", Path(__file__).parents[1] / "kit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text("a", encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("b", encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "python")
    module.commands = []
    module.broken = ""

    def run(*command):
        line = " ".join(str(part) for part in command)
        module.commands.append(line)
        if "-m venv" in line:
            module.VENV.mkdir(exist_ok=True)
            module.PYTHON.touch()
        return not (module.broken and module.broken in line)

    monkeypatch.setattr(module, "run", run)
    return module


def test_a_second_call_installs_nothing(kit, capsys):
    assert kit.main(["setup"]) == 0
    assert [("venv" in kit.commands[0], ".[lab,offline]" in kit.commands[1])] == [(True, True)]
    assert "-c constraints.txt" in kit.commands[1]
    said = capsys.readouterr().out
    assert "Making .venv" in said and "Installed" in said
    kit.commands.clear()
    assert kit.main(["setup"]) == 0 and kit.commands == [] and capsys.readouterr().out == ""


def test_tests_add_what_they_need_and_the_tour_then_needs_nothing_more(kit):
    kit.install("lab,offline")
    kit.commands.clear()
    kit.install("lab,offline,dev")
    assert len(kit.commands) == 1 and "dev" in kit.commands[0] and "venv" not in kit.commands[0].split()[1:3]
    kit.commands.clear()
    assert kit.install("lab,offline") and kit.commands == []


def test_changed_pins_make_the_environment_anew(kit):
    kit.install("lab,offline")
    (kit.ROOT / "constraints.txt").write_text("c", encoding="utf-8")
    kit.commands.clear()
    kit.install("lab,offline")
    assert "-m venv --clear" in kit.commands[0]


@pytest.mark.parametrize(("broken", "remedy"), [("-m venv", "sudo apt install python3-venv"), ("-m pip", "call this again")])
def test_a_failed_installation_says_what_to_do_and_is_tried_again(kit, capsys, broken, remedy):
    kit.broken = broken
    assert kit.main(["setup"]) == 1
    assert remedy in capsys.readouterr().err
    kit.broken = ""
    kit.commands.clear()
    assert kit.main(["setup"]) == 0 and kit.commands
