"""The tour: all three tracks on the embedded defaults, each in a process of its own, with one report at the end.

A process per track makes peak memory honest, and one track's failure leaves the others alone.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from tqdm import tqdm

from ftkit.errors import RunError
from ftkit.files import write_atomic
from ftkit.lang import say
from ftkit.run import next_folder
from ftkit.tour.page import page

TRACKS = ("local", "embed", "hosted")


def tour(tracks=TRACKS, folder: str | os.PathLike | None = None) -> int:
    """The exit code: 0 if every track ran to its end, 1 if one failed, 130 if interrupted.

    Leaves ``report.html``, ``report.json`` and one run folder per track in ``folder`` (default ``runs/tour-NNN``).

    Raises:
        RunError: ``folder`` exists already.
    """
    if folder is None:
        folder = next_folder(Path("runs"), "tour")
    else:
        folder = Path(folder)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise RunError(f"{folder}: exists already and is left as it is; choose another --out") from None
    started = time.monotonic()
    results = []
    try:
        for track in tracks:
            results.append(_run(track, folder))
            print(describe(results[-1]), flush=True)
    except KeyboardInterrupt:
        print("\n" + say(f"Interrupted; what was done so far is in {folder}"), file=sys.stderr)
        return 130
    seconds = round(time.monotonic() - started, 1)
    report = {"tracks": results, "seconds": seconds}
    write_atomic(folder / "report.json", json.dumps(_public(report), indent=2) + "\n")
    write_atomic(folder / "report.html", page(report))
    print("\n" + say(f"{len(results)} tracks in {seconds:.0f} s. Read more, with pictures: {folder / 'report.html'}"))
    failed = [result["track"] for result in results if "error" in result]
    if failed:
        print(say(f"FAILED: {', '.join(failed)}; see the words above and {folder}/<track>.log"), file=sys.stderr)
    return 1 if failed else 0


def describe(result: dict) -> str:
    """What a track did, for the terminal."""
    head = f"\n── {result['track']}: {result['title']} "
    if "error" in result:
        return f"{head}\n" + say(f"FAILED: {result['error']}")
    took = say(f"took: {result['seconds']:.0f} s, peak memory {result['peak_mib']:,} MiB")
    parts = [f"{head}{'─' * max(0, 80 - len(head))}", say(f"trained: {result['trained']}"), took]
    parts += ["", *(part for comparison in result["comparisons"] for part in (comparison["text"], ""))]
    return "\n".join([*parts, result["verdict"]])


def _run(track: str, folder: Path) -> dict:
    """The track's result, measured from outside."""
    from ftkit.tour.tracks import TITLES

    started = time.monotonic()
    with open(folder / f"{track}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ftkit.tour.tracks", track, str(folder / track)],
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
        )
        memory = Peak(process.pid)
        result = {}
        try:
            with tqdm(total=100, desc=track, bar_format=BAR) as bar:
                for line in process.stdout:
                    message = json.loads(line)
                    result = message.get("result", result)
                    if "share" in message:
                        bar.update(message["share"] - bar.n)
                        bar.set_description_str(f"{track}: {message['says']}")
            process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            process.stdout.close()
            memory.stop()
    if not result:
        last = (folder / f"{track}.log").read_text(encoding="utf-8").strip().splitlines()
        result = {"error": last[-1] if last else say(f"the process ended with code {process.returncode}")}
    seconds = round(time.monotonic() - started, 1)
    return {"track": track, "title": say(TITLES[track]), **result, "seconds": seconds, "peak_mib": memory.mib}


BAR = "{percentage:3.0f}%|{bar:25}| {elapsed} {desc}"


class Peak:
    """The highest sum of resident memory of a process and its children, looked at ten times a second."""

    def __init__(self, pid: int):
        self.mib = 0
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            total = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    try:
                        total += process.memory_info().rss
                    except psutil.NoSuchProcess:
                        continue
            except psutil.NoSuchProcess:
                return
            self.mib = max(self.mib, round(total / 2**20))


def _end(process: subprocess.Popen) -> None:
    """Give the track, which got the Ctrl-C too, time to keep what it has, and hear it out; then end it."""
    try:
        process.communicate(timeout=20)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def _public(report: dict) -> dict:
    """The report without the pictures."""
    hidden = ("pictures", "comparisons")
    return {
        **report,
        "tracks": [{name: value for name, value in track.items() if name not in hidden} for track in report["tracks"]],
    }
