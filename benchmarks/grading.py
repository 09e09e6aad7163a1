"""What grading costs: ``python benchmarks/grading.py [--submissions 30] [--adapter FOLDER]`` grades a class of exercise 02.

Every learner hands in a solved notebook and an adapter of their own: that of one real training, with a little noise so
that each is measured. Prints the time, the most memory of all processes together, and what 500 would take.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from ftkit.exercise import halved  # noqa: E402
from ftkit.grading import artefact, report, run, sandbox  # noqa: E402

EXERCISE = ROOT / "exercises" / "02_lora"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--adapter", type=Path, help="a trained adapter; default: one is trained first")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:  # as little in this process as `ftkit grade` has
            adapter = given.adapter or elsewhere.submit(train, folder).result()
        bundle = a_class(folder, adapter, given.submissions)
        (folder / "course.key").write_text("a benchmark's secret is not one", encoding="utf-8")
        peak, stop = [0], threading.Event()
        watcher = threading.Thread(target=watch, args=(peak, stop))
        watcher.start()
        wall = time.perf_counter()
        graded = run.grade(EXERCISE, bundle, folder / "out", folder / "course.key", workers=given.workers)
        report.write(graded, folder / "out")
        wall = time.perf_counter() - wall
        stop.set()
        watcher.join()
    n = len(graded.results)
    assert all(result.status == "graded" for result in graded.results), {result.status for result in graded.results}
    found = {
        "submissions": n, "workers": given.workers, "isolation": sandbox.level(), "seconds": round(wall, 1),
        "seconds_each": round(wall / n, 2), "peak_gib": round(peak[0] / 2**30, 2), "minutes_for_500": round(wall / n * 500 / 60, 1),
    }  # fmt: skip
    print(json.dumps(found, indent=1))


def a_class(folder: Path, adapter: Path, n: int) -> Path:
    """A zip with ``n`` submissions."""
    notebook = (EXERCISE / "source.ipynb").read_bytes()
    config = (adapter / "adapter_config.json").read_bytes()
    weights = halved((adapter / "adapter_model.safetensors").read_bytes())
    header, start = artefact.read_header(weights, "adapter")
    key, (_, _, begin, _) = next((k, v) for k, v in header.items() if k.endswith("lora_B.weight"))
    bundle = folder / "submissions.zip"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        for number in range(n):
            mine = bytearray(weights)
            mine[start + begin : start + begin + 2] = np.float16(1e-4 * (number + 1)).tobytes()
            inner = folder / "one.zip"
            with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as one:
                one.writestr("notebook.ipynb", notebook)
                one.writestr("adapter_config.json", config)
                one.writestr("adapter_model.safetensors", bytes(mine))
            archive.write(inner, f"learner{number:03d}_{1000 + number}_{5000 + number}_02_lora-submission.zip")
    return bundle


def train(folder: Path) -> Path:
    """The adapter of the exercise's own solution."""
    import ftkit as ft

    page = json.loads((EXERCISE / "source.ipynb").read_text(encoding="utf-8"))
    space = {"ft": ft}
    exec("".join(next(cell["source"] for cell in page["cells"] if cell["id"] == "q4")), space)
    tickets = ft.read_chats(ft.dataset("tickets")).split(seed=0, stratify="queue")
    split = ft.Split(tickets.train.sample(space["train_rows"]), tickets.val[:0], tickets.test[:0])
    return space["recipe"].train(split, folder=folder / "run").folder / "adapter"


def watch(peak: list, stop: threading.Event) -> None:
    """[the most bytes this process and all below it use together].

    Shared pages count once (PSS) where the system tells.
    """
    me = psutil.Process()
    while not stop.wait(1):
        total = 0
        for one in [me, *me.children(recursive=True)]:
            try:
                memory = one.memory_full_info()
                total += getattr(memory, "pss", None) or memory.rss
            except psutil.Error:
                pass
        peak[0] = max(peak[0], total)


if __name__ == "__main__":
    main()
