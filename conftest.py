"""Settings that every test and every lesson run shares, set before torch is imported anywhere."""

import os

import pytest

SAME_BITS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "2"}
"""The same instructions and threads on every x86 machine, so that the numbers stored in the lessons come out again."""

os.environ.update(SAME_BITS)
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test that asks the hub is a test that fails on a train
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("PYTHONUTF8", "1")


def pytest_collection_modifyitems(items):
    """The cells of the lessons count as slow tests."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.slow)
