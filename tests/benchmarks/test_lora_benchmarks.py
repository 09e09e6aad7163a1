"""The benchmarks run end to end in their smallest form; what they measure there means nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(tmp_path, script: str, *options: str) -> dict:
    command = [sys.executable, BENCHMARKS / script, *options, "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    name = script.removesuffix(".py")
    assert (tmp_path / f"{name}.md").read_text(encoding="utf-8").strip() == done.stdout.strip()
    return json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_on_a_cpu_every_arm_starts_from_the_same_loss_and_ours_pads_nothing(tmp_path):
    found = run(tmp_path, "lora_cpu.py", "--quick", "--models", "gemma")["models"]["gemma"]
    assert not [arm for arm, row in found.items() if "failed" in row], found
    assert found["ftkit"]["useful_share"] == 1 > found["novice"]["useful_share"] > 0.2
    same_batch = [found[arm]["first_loss"] for arm in ("novice", "trl-padded", "trl-padding-free")]
    assert found["ftkit"]["first_loss"] == pytest.approx(same_batch[0], abs=1e-3)
    assert max(same_batch) - min(same_batch) < 0.01  # the novice's dropout does nothing yet: B is zero


@pytest.mark.slow
def test_the_gpu_benchmark_lives_and_a_missing_library_is_no_crash(tmp_path):
    names = ["--models", "llama-2-7b-nf4", "--arms", "trainer", "trl", "trl-packing", "unsloth", "ftkit"]
    (part,) = run(tmp_path, "lora_gpu.py", "--tiny", *names).values()
    arms = part["arms"]
    assert arms["unsloth"].get("failed") == "not installed" or "tokens_per_second" in arms["unsloth"]
    assert arms["ftkit"]["padding"] == 0 < arms["trainer"]["padding"]
    assert abs(arms["ftkit"]["first_loss"] - arms["trainer"]["first_loss"]) < 0.05
