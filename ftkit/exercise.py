"""For learners: ``ft.exercise.check("q1")`` says what is not right yet; ``ft.exercise.submit()`` packs what is handed in.

Light: standard library only until something is checked. `check` never raises, needs no network and no file but the kit's.
"""

import importlib.util
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ftkit.lang import say
from ftkit.progress import record_check

_current: list[str] = []


def start(name: str) -> None:
    """Say which exercise this notebook is; `check` and `submit` are about it from now on.

    >>> start("02_lora")
    exercise 02_lora
    """
    _current[:] = [name]
    print(say("exercise {name}").format(name=name))


def need(names: Mapping, name: str, call: bool = True):
    """What the learner called ``name``; for checks.py.

    Raises:
        AssertionError: there is nothing of that name, or it cannot be called although it should be.
    """
    assert name in names, f"{name} is not there yet; run the cell that defines it, from the top if you restarted."
    value = names[name]
    if call:
        assert callable(value), f"{name} should be a function; it is a {type(value).__name__}. Run its cell again."
    return value


def check(question: str, names: Mapping | None = None) -> None:
    """Print whether the answer to ``question`` is right as far as the learner may see, and if not, why not.

    Never raises, whatever the learner's code does.

    Args:
        names: where the answers are; default: the notebook's own names.
    """
    if names is None:
        names = sys._getframe(1).f_globals
    try:
        print(_verdict(str(question), names))
    except KeyboardInterrupt:
        print(f"… {question}: {say('stopped')}")
    except BaseException as error:  # SystemExit in a learner's function too
        print(say(f"✗ {question}: the check itself failed ({type(error).__name__}: {error}); please report it"))


def _verdict(question: str, names: Mapping) -> str:
    if not _current:
        return say('✗ say first which exercise this is: run the set-up cell, ft.exercise.start("…")')
    checks = _checks(_current[0])
    if checks is None:
        return say(f"… {question}: the checks of {_current[0]} are not on this machine")
    test = getattr(checks, question, None)
    if test is None or question.startswith("_"):
        known = ", ".join(sorted(name for name in vars(checks) if name[0] == "q" and name[1:].isdigit()))
        return say(f"✗ {question}: {_current[0]} has no such question; there are {known}")
    try:
        said = test(names)
    except AssertionError as error:
        said = say(str(error)) or say("Something is not as the text asks.")
        return f"✗ {question}: {say('not yet.')} {said}"
    except NotImplementedError:
        return say(f"… {question}: not written yet; replace `raise NotImplementedError()` by your code")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return say(f"✗ {question}: your code raised {type(error).__name__}: {error}") + _line_of(error)
    record_check(_current[0], question)
    return say(f"✓ {question}: right, as far as this check sees.") + (f" {say(said)}" if said else "")


def submit(run=None, report=None, before=None, *, notebook: str | os.PathLike | None = None, extra: Mapping | None = None) -> Path | None:
    """The zip to hand in, written into this folder; None where something must be mended first, and what is printed.

    What was trained goes through the checks that the grader makes of it.

    Args:
        run: the run whose adapter or model is handed in; None: only the notebook.
        report: the Report of that model; its scores are handed in as what you claim.
        before: the Report of the untouched base on the same rows, so that what you claim is a gain.
        notebook: the notebook's file; found by itself in JupyterLab and Colab.
        extra: {file name: path} of more files that the exercise asks for.
    """
    from ftkit.errors import FtkitError

    if not _current:
        print(say("✗ run the set-up cell first"))
        return None
    try:
        files, said = _artefact(run, extra or {})
    except (FtkitError, OSError) as error:
        print(f"{say('✗ not handed in:')} {error}")
        return None
    if report is not None:
        claims = {name: round(score.value, 4) for name, score in report.scores.items()}
        claims |= {f"base {name}": round(score.value, 4) for name, score in (before.scores if before else {}).items()}
        files["claims.json"] = json.dumps(claims, indent=1).encode()
    page = _notebook(notebook)
    if page:
        files["notebook.ipynb"] = page
    target = Path(f"{_current[0]}-submission.zip")
    temporary = target.with_name(target.name + ".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    os.replace(temporary, target)
    for line in said:
        print(f"· {say(line)}")
    print(f"✓ {target}: {', '.join(sorted(files))} · {target.stat().st_size / 1e6:.1f} MB")
    if not page:
        print(say("! the notebook was not found: save it and hand it in beside the zip, or pass notebook="))
    return target


def _artefact(run, extra: Mapping) -> tuple[dict[str, bytes], list[str]]:
    """({name: content} of what was trained, what the grader's own checks said of it)."""
    from ftkit.errors import DataError
    from ftkit.grading import artefact
    from ftkit.grading.spec import read_exercise

    exercise = read_exercise(_current[0])
    files = {}
    for name, path in extra.items():
        if name not in artefact.ALLOWED[exercise.artefact]:
            raise DataError(f"{name}: the exercise asks for no such file")
        files[name] = Path(path).read_bytes()
    if run is None:
        return files, []
    if exercise.artefact == "adapter":
        folder = run.folder / "adapter"
        settings, tensors = artefact.read_adapter(folder, exercise.adapter.max_r, exercise.adapter.targets)
        files |= {name: (folder / name).read_bytes() for name in artefact.ALLOWED["adapter"]}
        numbers = sum(tensor.size for tensor in tensors.values())
        return files, [say(f"the adapter is whole: r = {settings.r}, {numbers:,} numbers, all finite")]
    if exercise.artefact == "embedding":
        folder = run.folder / "model"
        files["model.safetensors"] = halved((folder / "model.safetensors").read_bytes())
        return files, [say("the model's weights are packed in 16 bits, which is what will be measured")]
    from ftkit.data import read_chats
    from ftkit.grading.dataset import rows_marks

    files["job.json"] = (run.folder / "job.json").read_bytes()
    rows = Path("rows.jsonl")
    if not rows.is_file():
        raise DataError("rows.jsonl is not in this folder; run the cell that writes it")
    files["rows.jsonl"] = rows.read_bytes()
    return files, [why for _, why in rows_marks([row.to_dict() for row in read_chats(rows)])]


def halved(data: bytes) -> bytes:
    """A safetensors file with every fp32 number in fp16: half the size, and vectors that differ in the fourth digit."""
    import numpy as np

    from ftkit.grading.artefact import read_header

    header, start = read_header(data, "model.safetensors")
    described, parts, at = {}, [], 0
    for key, (dtype, shape, begin, end) in sorted(header.items()):
        raw = data[start + begin : start + end]
        if dtype == "F32":
            raw, dtype = np.frombuffer(raw, "<f4").astype("<f2").tobytes(), "F16"
        described[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def _checks(name: str):
    """The module checks.py of the exercise; None where it is not installed."""
    from ftkit.grading.spec import exercises_folder, load_module

    path = exercises_folder() / name / "checks.py"
    return load_module(path, f"ftkit_checks_{name}") if path.is_file() else None


def _line_of(error: BaseException) -> str:
    """Where in the learner's own cell it was raised, as far as that can be told."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "ipykernel" in name or name.startswith("<"):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return say(f" (line {lines[-1]} of your cell)") if lines else ""


def _notebook(given: str | os.PathLike | None) -> bytes | None:
    """The notebook as it is saved: from the path, from JupyterLab, from Colab, or the one here that names this exercise."""
    if given is not None:
        return Path(given).read_bytes()
    candidates = [os.environ.get("JPY_SESSION_NAME"), _shell_name()]
    for path in filter(None, candidates):
        if Path(path).is_file():
            return Path(path).read_bytes()
        if Path(Path(path).name).is_file():
            return Path(Path(path).name).read_bytes()
    if importlib.util.find_spec("google") and "google.colab" in sys.modules:
        try:
            from google.colab import _message

            return json.dumps(_message.blocking_request("get_ipynb", timeout_sec=20)["ipynb"]).encode()
        except Exception:  # an interface that Colab does not promise
            return None
    mark = f'ft.exercise.start(\\"{_current[0]}\\")'
    here = [p for p in Path(".").glob("*.ipynb") if p.name != "source.ipynb" and mark in p.read_text("utf-8", errors="replace")]
    return max(here, key=lambda p: p.stat().st_mtime).read_bytes() if here else None


def _shell_name() -> str | None:
    """VS Code tells its notebook's path in this way."""
    main = sys.modules.get("__main__")
    return getattr(main, "__vsc_ipynb_file__", None)
