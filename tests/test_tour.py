"""The tour: three tracks, measured, reported."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ftkit import RunError
from ftkit import tour as tour_room
from ftkit.tour import describe, tour


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_tour_trains_all_three_tracks_and_reports_them(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ftkit", "tour", "--out", str(tmp_path / "tour")], capture_output=True, encoding="utf-8"
    )
    logs = {path.name: path.read_text(encoding="utf-8")[-2000:] for path in (tmp_path / "tour").glob("*.log")}
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-2000:], logs)
    report = json.loads((tmp_path / "tour" / "report.json").read_text(encoding="utf-8"))
    tracks = {track["track"]: track for track in report["tracks"]}
    assert set(tracks) == {"hosted", "local", "embed"}
    for name, track in tracks.items():
        assert {"metric", "before", "after", "interval", "improved", "seconds", "peak_mib"} <= set(track)
        low, high = track["interval"]
        assert low <= track["after"] - track["before"] <= high
        assert track["improved"] == (low > 0)
        assert track["improved"], f"{name} gained nothing: {track}"
        assert 100 < track["peak_mib"] < 6000
        assert f"── {name}: " in done.stdout
    page = (tmp_path / "tour" / "report.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 3 and page.count("data:image/png;base64,") == 6 and "http" not in page.replace("https://arxiv", "")
    assert not any(log.strip() for log in logs.values()), f"a track warned: {logs}"
    assert "%|" in done.stderr, "no progress bar was drawn"


def test_a_failed_track_fails_the_tour_but_not_the_others(tmp_path, monkeypatch, capsys):
    def fake(track, folder):
        result = {"track": track, "title": track, "seconds": 1.0, "peak_mib": 1}
        good = {"trained": "x", "verdict": "It helped.", "comparisons": [], "pictures": [], "metric": "m"}
        return result | ({"error": "<no disk>"} if track == "local" else good)

    monkeypatch.setattr(tour_room, "_run", fake)
    assert tour(("local", "embed"), tmp_path / "t") == 1
    said = capsys.readouterr()
    assert "FAILED: <no disk>" in said.out and "It helped." in said.out and "FAILED: local" in said.err
    page = (tmp_path / "t" / "report.html").read_text(encoding="utf-8")
    assert "&lt;no disk&gt;" in page and "It helped." in page
    assert json.loads((tmp_path / "t" / "report.json").read_text(encoding="utf-8"))["tracks"][0]["error"] == "<no disk>"


def test_the_tour_speaks_vietnamese_to_who_asked_for_it(tmp_path, monkeypatch, capsys):
    from ftkit import lang

    def fake(track, folder):
        good = {"trained": "x", "verdict": "Có ích.", "comparisons": [], "pictures": [], "metric": "m"}
        return {"track": track, "title": track, "seconds": 1.0, "peak_mib": 1234} | ({"error": "hết đĩa"} if track == "local" else good)

    monkeypatch.setattr(tour_room, "_run", fake)
    with lang.spoken("vi"):
        assert tour(("local", "embed"), tmp_path / "t") == 1
    said = capsys.readouterr()
    assert "THẤT BẠI: hết đĩa" in said.out and "mất: 1 giây, bộ nhớ cao nhất 1,234 MiB" in said.out
    page = (tmp_path / "t" / "report.html").read_text(encoding="utf-8")
    assert "<html lang='vi'>" in page and "Tinh chỉnh đã làm được gì ở đây" in page and "đã huấn luyện: x" in page


def test_a_track_that_crashes_is_reported_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setenv("FTKIT_NO_SUCH_TRACK", "1")
    monkeypatch.setattr("ftkit.tour.tracks.TITLES", {"nonsense": "a track that does not exist"})
    result = tour_room._run("nonsense", tmp_path)
    assert result["error"] == "KeyError: 'nonsense'"
    assert "FAILED: KeyError" in describe(result)


def test_the_tour_never_writes_into_a_folder_that_exists(tmp_path):
    with pytest.raises(RunError, match="exists already"):
        tour(("local",), tmp_path)
    assert not list(Path(tmp_path).iterdir())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups that a signal reaches")
def test_ctrl_c_ends_the_tour_and_keeps_what_was_learnt(tmp_path):
    from ftkit import Run

    folder = tmp_path / "tour"
    process = subprocess.Popen(
        [sys.executable, "-m", "ftkit", "tour", "--track", "local", "--out", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background starts with it ignored
    )  # fmt: skip
    log = folder / "local" / "events.jsonl"
    while process.poll() is None and not (log.exists() and '"step": 3' in log.read_text(encoding="utf-8")):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Interrupted; what was done so far is in" in said and "Traceback" not in said
    run = Run.open(folder / "local")
    assert run.status == "cancelled" and len(run.losses) >= 3
    assert run.model.reply("Where is my order?", max_tokens=4) is not None
