"""Settings that every test and every lesson run shares, set before torch is imported anywhere."""

import os
import shutil
import tempfile

import pytest

SAME_BITS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "2"}
"""The same instructions and threads on every x86 machine, so that the numbers stored in the lessons come out again."""

os.environ.update(SAME_BITS)
THREADS = "1" if "PYTEST_XDIST_WORKER" in os.environ else "2"  # two files at a time on two cores
os.environ["OMP_NUM_THREADS"] = THREADS
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that asks the hub is a test that fails on a train
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("PYTHONUTF8", "1")
os.environ["FTKIT_HOME"] = os.path.join(tempfile.gettempdir(), "ftkit-tests")  # the progress of whoever runs the tests stays his
os.environ.pop("FTKIT_LANG", None)  # the lessons' stored outputs are English


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge")

LONGEST_FIRST = ("test_lessons_run", "02_lora", "test_tour", "01_openai", "03_embeddings", "test_zoo", "00_should", "04_eval", "test_service_kills")  # fmt: skip
"""Beginnings of the names of the files that take minutes: two workers that begin with them end at the same time."""


def pytest_configure(config):
    config.browser = next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Lessons have the threads that their stored outputs were made with, beside another worker too."""
    os.environ["OMP_NUM_THREADS"] = SAME_BITS["OMP_NUM_THREADS"] if item.path.suffix == ".ipynb" else THREADS


def pytest_collection_modifyitems(config, items):
    """The cells of the lessons count as slow tests, and what takes longest goes first.

    Where there is a browser, tests/browser runs the lessons in it and compares what they print as nbval does: then nbval
    need not run them again. `pytest lessons` lets it.
    """
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(2000))  # beside other tests a training may take a quarter of an hour
    run_all = [item for item in items if item.path.name == "test_lessons_run.py"]
    seen = {item.callspec.params["path"] for item in run_all if hasattr(item, "callspec")} if config.browser else set()
    again = {item for item in items if item.path in seen}
    if again:
        config.hook.pytest_deselected(items=list(again))
        items[:] = [item for item in items if item not in again]
    place = {name: i for i, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: next((place[name] for name in place if item.path.name.startswith(name)), len(place)))
