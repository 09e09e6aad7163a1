"""The official client, in the versions people have: a whole session with each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SESSION = Path(__file__).with_name("old_client.py")


def session(service, folder: str | None) -> str:
    environment = {**os.environ, "OPENAI_BASE_URL": service.base_url, "OPENAI_API_KEY": service.key}
    environment |= {"NO_PROXY": "127.0.0.1,localhost", "PYTHONPATH": folder or ""}
    done = subprocess.run([sys.executable, SESSION], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_whole_session_with_the_installed_client(service):
    assert "all well with" in session(service, None)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.109.1", "2.54.0", "3.54.0"])
def test_a_whole_session_with_an_older_client(service, tmp_path, version):
    """Installed aside, without touching this environment; skipped where no package index can be reached."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", tmp_path / "client"]
    if subprocess.run([*pip, f"openai=={version}"], capture_output=True).returncode:
        pytest.skip(f"openai {version} cannot be installed here")
    assert session(service, str(tmp_path / "client")).split() == ["all", "well", "with", version]
