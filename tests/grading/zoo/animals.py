"""Broken, odd and hostile submissions of exercise 02, each with what it must get. Built here; nothing of it lies in git.

An animal is a function that gives {name in the bundle: content}; `expect` says its status, its points and what an
instructor must be told. One bundle holds them all, so that none may stop the others.
"""

import io
import json
import socketserver
import struct
import threading
import warnings
import zipfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from ftkit.grading import artefact

EXERCISE = Path(__file__).parents[3] / "exercises" / "02_lora"
STUDENT = json.loads((EXERCISE / "student.ipynb").read_text(encoding="utf-8"))
SOURCE = json.loads((EXERCISE / "source.ipynb").read_text(encoding="utf-8"))
TARGETS = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")


@dataclass(frozen=True)
class Animal:
    name: str
    """Of the learner, as a person reads it."""
    make: Callable[[Path], dict[str, bytes]]
    status: str
    points: dict = field(default_factory=dict)
    """{question: points}; None: blank. Questions that are not named are not looked at."""
    total: object = ...
    """The sum; None: blank; ...: not looked at."""
    flag: str = ""
    """What an instructor is told, as a pattern; "": nothing at all."""


ZOO: list[Animal] = []


def expect(status: str, *, name: str | None = None, total=..., flag: str = "", **points):
    """Register an animal. ``name``: how the learner is called, where it is not the function's name."""

    def register(make):
        ZOO.append(Animal(name or make.__name__, make, status, points, total, flag))
        return make

    return register


# what animals are made of


def answers() -> dict[str, str]:
    """{question: the right cell}."""
    cells = {c["metadata"].get("nbgrader", {}).get("grade_id"): "".join(c["source"]) for c in SOURCE["cells"]}
    return {q: cells[q] for q in ("q1", "q2", "q3", "q4", "q5", "q6")}


def page(extra: tuple[str, ...] = (), first: tuple[str, ...] = (), **cells: str) -> bytes:
    """The student's notebook with these cells filled in, and more cells before or behind the others."""
    notebook = deepcopy(STUDENT)
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id in cells:
            cell["source"] = cells[grade_id].splitlines(keepends=True)
    new = [{"cell_type": "code", "id": f"x{n}", "metadata": {}, "outputs": [], "source": s} for n, s in enumerate(first + extra)]
    notebook["cells"] = notebook["cells"][:3] + new[: len(first)] + notebook["cells"][3:] + new[len(first) :]
    return json.dumps(notebook).encode()


def solved(**more) -> bytes:
    return page(**{**answers(), **more})


def packed(files: dict[str, bytes | tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip with these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that stands twice is what some animals want
        for name, content in files.items():
            archive.writestr(*content) if isinstance(content, tuple) else archive.writestr(name, content)
    return out.getvalue()


CONFIG = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "use_rslora": False, "use_dora": False, "peft_type": "LORA"}


def tensors(config: dict = CONFIG, seed: int = 0, scale: float = 0.02) -> dict[str, np.ndarray]:
    """Random numbers in the shape of a fresh adapter: whole and harmless, but good for nothing."""
    shapes = artefact.fresh_shapes(artefact.AdapterSettings(config["r"], 8, tuple(config["target_modules"]), False, False))
    rng = np.random.default_rng(seed)
    return {key: (rng.normal(size=shape) * scale).astype("<f4") for key, shape in shapes.items()}


def safetensors(values: dict[str, np.ndarray], dtype: str = "F32", change: Callable | None = None, tail: bytes = b"") -> bytes:
    """A safetensors file; ``change`` may spoil its header before it is written."""
    header, parts, at = {}, [], 0
    for key in sorted(values):
        raw = np.ascontiguousarray(values[key]).tobytes()
        header[key] = {"dtype": dtype, "shape": list(values[key].shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(change(header) or header if change else header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(parts) + tail


def adapter(weights: bytes | None = None, config: dict | bytes = CONFIG, **more: bytes) -> bytes:
    """A zip with an untouched notebook and these adapter files."""
    config = config if isinstance(config, bytes) else json.dumps(config).encode()
    weights = safetensors(tensors()) if weights is None else weights
    return packed({"notebook.ipynb": page(), "adapter_model.safetensors": weights, "adapter_config.json": config, **more})


def real(trained: Path) -> dict[str, bytes]:
    """The files of an adapter that was really trained."""
    return {name: (trained / name).read_bytes() for name in artefact.ALLOWED["adapter"]}


def real_tensors(trained: Path) -> dict[str, np.ndarray]:
    return artefact.read_adapter(trained, 64, TARGETS)[1]


@cache
def listener() -> tuple[int, list]:
    """(the port of a server that waits on this machine, those who have called)."""
    callers = []

    class Answer(socketserver.BaseRequestHandler):
        def handle(self):
            callers.append(self.client_address)
            self.request.sendall(b"0")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], callers


# learners who mean well


@expect("graded", q1=2, q2=3, q3=2, q4=8, q5=2, q6=None, total=None, flag="the same weights as")
def solution(trained):
    return {"solution.zip": packed({"notebook.ipynb": solved(), "claims.json": b'{"json_fields": 0.55}', **real(trained)})}


@expect("not answered", total=0.0)
def blank(trained):
    return {"blank.ipynb": page()}


@expect("graded", name="Nguyễn Thị Ánh", q1=2, q2=0, q5=0)
def vietnamese_name(trained):
    return {"Nguyễn Thị Ánh.ipynb": page(q1=answers()["q1"])}


@expect("graded", q1=2, q2=3)
def split_cell(trained):
    notebook = json.loads(solved())
    at = next(i for i, c in enumerate(notebook["cells"]) if c.get("id") == "q2")
    lines = "".join(notebook["cells"][at]["source"])
    halves = [deepcopy(notebook["cells"][at]), deepcopy(notebook["cells"][at])]
    halves[0]["source"], halves[1]["source"] = ["half = 0.5\n"], [lines]
    notebook["cells"][at : at + 1] = halves  # two cells with one grade_id
    return {"split_cell.ipynb": json.dumps(notebook).encode()}


@expect("graded", q1=2, q3=2)
def progress_bars_on_stderr(trained):
    bar = "import sys\nfrom tqdm import tqdm\nfor _ in tqdm(range(50)): print('·', file=sys.stderr)"
    return {"progress_bars_on_stderr.ipynb": solved(first=(bar,))}


@expect("graded", q1=2, q5=2, flag="too long")
def trains_in_a_cell_of_its_own(trained):
    return {"trains_in_a_cell_of_its_own.ipynb": solved(first=("import time\nfor epoch in range(10**6): time.sleep(1)",))}


@expect("graded", q1=2, q2=3, q5=2)
def names_that_hide_builtins(trained):
    return {"names_that_hide_builtins.ipynb": solved(first=("list = [3]\nprint(list)\nstr = repr = type = callable = 'x'",))}


@expect("graded", q1=2, q2=3)
def answers_as_numpy_and_tuples(trained):
    q1 = "def lora_parameters(shapes, r):\n    return np.int64(sum(r * (a + b) for a, b in shapes))"
    q2 = "def lora_forward(W0, A, B, x, alpha):\n    W0, A, B, x = map(np.array, (W0, A, B, x))\n    return tuple(W0 @ x + alpha / len(A) * B @ A @ x)"
    return {"answers_as_numpy_and_tuples.ipynb": page(q1=q1, q2=q2)}


@expect("graded", q1=0, q2=3)
def syntax_error(trained):
    return {"syntax_error.ipynb": solved(q1="def lora_parameters(shapes, r)\n    return 0")}


@expect("graded", q2=1.5)
def right_for_some(trained):
    """Forgets to divide by r: right where r is 1 or B is 0, for 5 of the 10 inputs that this secret draws."""
    return {"right_for_some.ipynb": page(q2=answers()["q2"].replace("alpha / r", "alpha"))}


@expect("graded", name="oanh colab", q1=2)
def newest_colab_copy(trained):
    return {"oanh colab.ipynb": page(), "oanh colab (1).ipynb": page(q1=answers()["q1"])}


@expect("graded", name="leblanclea", q1=2)
def newest_canvas_attempt(trained):
    return {
        "leblanclea_4711_88001_02_lora.ipynb": page(),
        "leblanclea_LATE_4711_88002_02_lora-1.ipynb": page(q1=answers()["q1"]),
    }


@expect("graded", name="Ánh Moodle", q1=2)
def moodle_folder(trained):
    return {"Ánh Moodle_5512_assignsubmission_file/student.ipynb": page(q1=answers()["q1"])}


@expect("no notebook", q1=None, q4=8, total=None, flag="no notebook")
def adapter_without_notebook(trained):
    return {"adapter_without_notebook.zip": packed(real(trained))}


@expect("graded", q4=8, flag="the same weights as")
def adapter_of_more_settings(trained):
    """Whatever else its config says is not read: no code, no other base, no further modules."""
    files = real(trained)
    config = json.loads(files["adapter_config.json"])
    config |= {"base_model_name_or_path": "evil/model", "auto_mapping": {"base_model_class": "os.system"}, "modules_to_save": ["lm_head"]}
    files["adapter_config.json"] = json.dumps(config).encode()
    return {"adapter_of_more_settings.zip": packed({"notebook.ipynb": solved(), **files})}


# attacks from inside the notebook


@expect("graded", q1=0)
def reads_hidden_tests_from_disk(trained):
    code = (
        "import os\nfound = []\nfor d, dirs, files in os.walk('/'):\n"
        "    dirs[:] = [one for one in dirs if one not in ('proc', 'sys', 'usr', 'site-packages', 'lib')]\n"
        "    found += [os.path.join(d, f) for f in files if f in ('hidden.py', 'tickets_en.toml') or f.endswith('.key')]\n"
        "def lora_parameters(shapes, r):\n    import importlib.util\n    spec = importlib.util.spec_from_file_location('h', found[0])\n"
        "    m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m)\n    return m.lora_parameters(shapes, r)"
    )
    return {"reads_hidden_tests_from_disk.ipynb": page(q1=code)}


@expect("graded", q1=0, q2=0)
def patches_the_checker(trained):
    code = (
        "import ftkit.grading.probes as p, ftkit.grading.spec as s\np.same = lambda *a: True\np.Mark = lambda *a: None\n"
        "s.Question.points_for = lambda *a: 20\n"
        "def lora_parameters(shapes, r): return -1\ndef lora_forward(*a): return -1"
    )
    return {"patches_the_checker.ipynb": page(q1=code)}


@expect("partly graded", q1=None, total=None, flag="too long|had not ended")
def breaks_its_own_kernel(trained):
    return {"breaks_its_own_kernel.ipynb": solved(first=("json.loads = lambda *a, **k: {'points': 20}",))}


@expect("graded", q1=0, q4=0)
def forges_the_score_in_the_file(trained):
    notebook = json.loads(page(q1="def lora_parameters(shapes, r):\n    return -1"))
    for cell in notebook["cells"]:
        about = cell["metadata"].setdefault("nbgrader", {"grade_id": "new", "locked": False})
        about |= {"points": 1000, "score": 1000, "locked": False}
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "20 of 20 points"}]
    return {"forges_the_score_in_the_file.ipynb": json.dumps(notebook).encode()}


@expect("partly graded", q1=None, q2=None, flag="the sandbox")
def forges_the_runners_answer(trained):
    """Writes an answer of its own into the runner's pipe and ends the runner: nobody knows what was asked."""
    code = (
        "import json, os, signal\n"
        "forged = json.dumps({'died': False, 'cells': {}, 'answers': {q: {'state': 'ok', 'answers': '[{\"value\": 1}]',"
        " 'points': 20} for q in ('q1', 'q2', 'q3', 'q5')}}).encode()\n"
        "for fd in os.listdir(f'/proc/{os.getppid()}/fd'):\n"
        "    try:\n        with open(f'/proc/{os.getppid()}/fd/{fd}', 'wb', buffering=0) as pipe: pipe.write(forged)\n"
        "    except OSError: pass\n"
        "os.kill(os.getppid(), signal.SIGKILL)"
    )
    return {"forges_the_runners_answer.ipynb": page(q1=code)}


@expect("graded", q1=0, q2=0)
def forges_answers_on_the_display(trained):
    code = (
        "import sys\nask = sys.modules['_ftkit_ask']\n"
        "def forged(name, calls, mime):\n    from IPython.display import display\n"
        "    display({mime: json.dumps([{'value': True, 'points': 100}] * len(calls))}, raw=True)\nask.ask = forged"
    )
    return {"forges_answers_on_the_display.ipynb": page(q1=code)}


@expect("graded", q1=2, q3=2, flag="too long")
def infinite_loop_in_a_cell(trained):
    return {"infinite_loop_in_a_cell.ipynb": solved(first=("while True: pass",))}


@expect("graded", q1=2, q2=0, q3=2, flag="q2: no answer in time")
def infinite_loop_in_an_answer(trained):
    return {"infinite_loop_in_an_answer.ipynb": solved(q2="def lora_forward(*a):\n    while True: pass")}


@expect("partly graded", q1=None, total=None, flag="too long|had not ended")
def loop_that_ignores_interrupts(trained):
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    return {"loop_that_ignores_interrupts.ipynb": solved(first=(code,))}


@expect("partly graded", q1=None, total=None, flag="more than")
def fork_bomb(trained):
    return {"fork_bomb.ipynb": solved(first=("import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(0.05)",))}


@expect("graded", q1=2)
def leaves_a_process_behind(trained):
    code = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(4242)'], start_new_session=True)"
    return {"leaves_a_process_behind.ipynb": solved(first=(code,))}


@expect("graded", q1=2, flag="too")
def output_flood(trained):
    return {"output_flood.ipynb": solved(first=("import time\nwhile True: print('x' * 10_000); time.sleep(0.001)",))}


@expect("graded", q1=2)
def flood_into_the_runners_pipe(trained):
    code = (
        "import os\nfds = []\nfor fd in os.listdir(f'/proc/{os.getppid()}/fd'):\n"
        "    try: fds.append(open(f'/proc/{os.getppid()}/fd/{fd}', 'wb', buffering=0))\n    except OSError: pass\n"
        "import threading\ndef pour(f):\n    try:\n        while True: f.write(b'x' * 65536)\n    except Exception: pass\n"
        "for f in fds: threading.Thread(target=pour, args=(f,), daemon=True).start()\nimport time; time.sleep(1)"
    )
    return {"flood_into_the_runners_pipe.ipynb": solved(first=(code,))}


@expect("partly graded", q1=None, total=None, flag="of memory")
def memory_hog(trained):
    return {"memory_hog.ipynb": solved(first=("hog = []\nwhile True: hog.append(bytearray(b'x') * 50_000_000)",))}


@expect("graded", q1=2)
def disk_hog(trained):
    return {"disk_hog.ipynb": solved(first=("with open('/tmp/big', 'wb') as f:\n    while True: f.write(b'x' * 1_000_000)", "import os; os.remove('/tmp/big')"))}


@expect("graded", q1=0)
def tells_hidden_inputs_by_its_exceptions(trained):
    """A name and a message of its own: neither may reach the feedback."""
    code = "def lora_parameters(shapes, r): raise type('told' + repr(shapes), (Exception,), {})('told' + repr(shapes))"
    return {"tells_hidden_inputs_by_its_exceptions.ipynb": page(q1=code)}


@expect("graded", q1=0)
def tells_hidden_inputs_by_the_state_of_the_cell(trained):
    code = (
        "import sys\nask = sys.modules['_ftkit_ask']\ndef ask_told(name, calls, mime): raise ValueError('told' + repr(calls))\n"
        "ask.ask = ask_told\ndef lora_parameters(shapes, r): return 0"
    )
    return {"tells_hidden_inputs_by_the_state_of_the_cell.ipynb": page(q1=code)}


@expect("graded", q1=2, q6=None)
def half_a_character(trained):
    """JSON may hold a lone surrogate; no file in UTF-8 can."""
    notebook = json.loads(solved(first=("print('\\ud800')",)))
    for cell in notebook["cells"]:
        if cell.get("id") == "q6":
            cell["source"] = ["half \ud800 a character"]
    notebook["cells"].append({"cell_type": "code", "id": "x", "metadata": {"nbgrader": {"grade_id": "\udfff"}}, "source": ["print('\udc00')"]})
    return {"half_a_character.ipynb": json.dumps(notebook).encode()}


@expect("graded", q1=0)
def asks_the_network(trained):
    code = (
        "import socket\ndef lora_parameters(shapes, r):\n    with socket.create_connection(('127.0.0.1', PORT), timeout=2) as s:\n"
        "        s.sendall(json.dumps(shapes).encode()); return json.loads(s.recv(100))"
    )
    return {"asks_the_network.ipynb": page(q1=code.replace("PORT", str(listener()[0])))}


@expect("partly graded", q1=None, total=None, flag="kernel died")
def kernel_that_dies(trained):
    return {"kernel_that_dies.ipynb": solved(first=("import os; os._exit(1)",))}


@expect("partly graded", q1=None, total=None, flag="ended with code")
def kills_everything_in_sight(trained):
    return {"kills_everything_in_sight.ipynb": solved(first=("import os, signal\nos.kill(-1, signal.SIGKILL)\nos.kill(os.getppid(), 9)",))}


@expect("graded", q1=0, q2=0, q3=0, q5=0)
def answers_that_are_no_numbers(trained):
    code = (
        "class Always(str):\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
        "def lora_parameters(shapes, r): return 10 ** 5000\ndef lora_forward(*a): return [float('nan')] * 3\n"
        "def merge(*a):\n    deep = []\n    for _ in range(5000): deep = [deep]\n    return deep\ndef to_record(reply): return Always('x')"
    )
    return {"answers_that_are_no_numbers.ipynb": page(q1=code)}


@expect("graded", q1=0)
def answers_with_true(trained):
    return {"answers_with_true.ipynb": page(q1="def lora_parameters(shapes, r): return True")}


@expect("graded", q1=0)
def raises_system_exit(trained):
    return {"raises_system_exit.ipynb": page(q1="def lora_parameters(shapes, r): raise SystemExit(0)")}


@expect("graded", name="<img src=x onerror=alert(1)>", q1=2)
def html_and_script(trained):
    code = (
        "from IPython.display import HTML, display\nprint('<script>alert(2)</script><img src=x onerror=alert(3)>')\n"
        "display(HTML('<iframe src=https://evil.example></iframe>'))\nraise ValueError('<b onclick=alert(4)>')"
    )
    return {"<img src=x onerror=alert(1)>.ipynb": solved(first=(code,))}


# files that are not what they should be


@expect("unreadable notebook", total=None, flag="unreadable notebook", q1=None)
def corrupt_json(trained):
    return {"corrupt_json.ipynb": solved()[:-200]}


@expect("unreadable notebook", total=None, flag="unreadable notebook")
def notebook_of_another_kind(trained):
    return {"notebook_of_another_kind.ipynb": b'{"cells": {"a": 1}}'}


@expect("graded", q1=2)
def notebook_with_odd_cells(trained):
    notebook = json.loads(solved())
    notebook["cells"][:0] = [None, 7, [], {}, {"cell_type": "code"}, {"cell_type": "code", "source": 5, "metadata": []}]
    notebook["metadata"], notebook["nbformat"] = [], "x"
    return {"notebook_with_odd_cells.ipynb": json.dumps(notebook).encode()}


@expect("unreadable notebook", total=None, flag="unreadable notebook")
def nested_too_deep(trained):
    return {"nested_too_deep.ipynb": b'{"cells":' + b"[" * 200_000 + b"]" * 200_000 + b"}"}


@expect("refused", total=None, flag="larger than 8 MiB")
def enormous_notebook(trained):
    return {"enormous_notebook.ipynb": page(extra=("x = '" + "y" * 9_000_000 + "'",))}


@expect("refused", total=None, flag="not a whole zip")
def no_zip_at_all(trained):
    return {"no_zip_at_all.zip": b"I am a text"}


@expect("refused", total=None, flag="refused")
def half_a_zip(trained):
    whole = packed({"notebook.ipynb": solved()})
    return {"half_a_zip.zip": whole[: len(whole) // 2]}


@expect("no notebook", total=None, flag="no notebook")
def empty_zip(trained):
    return {"empty_zip.zip": packed({})}


@expect("refused", total=None, flag="leads out")
def zip_that_climbs(trained):
    return {"zip_that_climbs.zip": packed({"notebook.ipynb": solved(), "../../../grades.csv": b"mine"})}


@expect("refused", total=None, flag="leads out")
def zip_with_absolute_name(trained):
    return {"zip_with_absolute_name.zip": packed({"notebook.ipynb": solved(), "/etc/cron.d/x": b"x"})}


@expect("refused", total=None, flag="leads out")
def zip_with_a_drive(trained):
    return {"zip_with_a_drive.zip": packed({"notebook.ipynb": solved(), "C:\\grades.csv": b"x"})}


@expect("refused", total=None, flag="a link")
def zip_with_symlink(trained):
    link = zipfile.ZipInfo("adapter_config.json")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    return {"zip_with_symlink.zip": packed({"notebook.ipynb": solved(), "link": (link, b"/etc/passwd")})}


@expect("refused", total=None, flag="larger than what is allowed")
def zip_bomb(trained):
    return {"zip_bomb.zip": packed({"notebook.ipynb": solved(), "adapter_model.safetensors": bytes(200_000_000)})}


@expect("refused", total=None, flag="refused")
def zip_that_lies_about_sizes(trained):
    raw = bytearray(packed({"notebook.ipynb": solved(), "adapter_model.safetensors": bytes(60_000_000)}))
    size = struct.pack("<I", 60_000_000)
    while (at := raw.find(size)) >= 0:
        raw[at : at + 4] = struct.pack("<I", 100)
    return {"zip_that_lies_about_sizes.zip": bytes(raw)}


@expect("refused", total=None, flag="entries")
def zip_of_many_files(trained):
    return {"zip_of_many_files.zip": packed({"notebook.ipynb": solved(), **{f"{n}": b"" for n in range(5000)}})}


@expect("refused", total=None, flag="entries")
def zip_with_a_second_list_of_entries(trained):
    """The usual end says one file; a zip64 record in front of it, which Python reads instead, says 100,000."""
    whole = packed({f"{n}": b"" for n in range(100_000)})  # more than 65,535: Python writes the record by itself
    end = whole.rfind(b"PK\x05\x06")
    return {"zip_with_a_second_list_of_entries.zip": whole[:end] + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 60, 0, 0)}


@expect("refused", total=None, flag="two files for adapter_model.safetensors")
def zip_with_two_adapters(trained):
    files = {f"runs/lora-{n}/adapter/adapter_model.safetensors": safetensors(tensors(seed=n)) for n in range(2)}
    return {"zip_with_two_adapters.zip": packed({"notebook.ipynb": solved(), **files})}


@expect("refused", total=None, flag="password")
def zip_with_password(trained):
    raw = bytearray(packed({"notebook.ipynb": solved()}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.find(mark) + offset] |= 1
    return {"zip_with_password.zip": bytes(raw)}


@expect("graded", name="same name", q1=2)
def one_of_two_with_one_name(trained):
    return {"same name_11_901_a.ipynb": page(q1=answers()["q1"])}


@expect("not answered", name="Same-Name", total=0.0)
def the_other_with_that_name(trained):
    return {"Same-Name_12_902_a.ipynb": page()}


@expect("graded", name="=1+1", q1=2)
def formula_for_a_name(trained):
    return {"=1+1.ipynb": page(q1=answers()["q1"])}


@expect("graded", name="anna fdp.exe", q1=2)
def right_to_left_name(trained):
    return {"anna \u202efdp.exe.ipynb": page(q1=answers()["q1"])}


# adapters


@expect("partly graded", q4=None, total=None, flag="do not belong here")
def smuggled_lm_head(trained):
    extra = {**tensors(), "base_model.model.lm_head.weight": np.zeros((8, 8), "<f4")}
    return {"smuggled_lm_head.zip": adapter(safetensors(extra))}


@expect("partly graded", q4=None, flag="adapter_model.safetensors: missing")
def pickle_file(trained):
    evil = b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94."
    return {"pickle_file.zip": packed({"notebook.ipynb": page(), "adapter_model.bin": evil, "adapter_config.json": json.dumps(CONFIG).encode()})}


@expect("partly graded", q4=None, flag="not a whole safetensors file")
def pickle_under_another_name(trained):
    return {"pickle_under_another_name.zip": adapter(b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.")}


@expect("partly graded", q4=None, flag="not finite")
def nan_weights(trained):
    spoilt = tensors()
    next(iter(spoilt.values()))[0, 0] = np.nan
    return {"nan_weights.zip": adapter(safetensors(spoilt))}


@expect("partly graded", q4=None, flag="every number is zero")
def zero_weights(trained):
    return {"zero_weights.zip": adapter(safetensors({k: 0 * v for k, v in tensors().items()}))}


@expect("partly graded", q4=None, flag="B is zero")
def untrained_adapter(trained):
    return {"untrained_adapter.zip": adapter(safetensors({k: v * ("lora_A" in k) for k, v in tensors().items()}))}


@expect("partly graded", q4=None, flag="has shape")
def wrong_rank(trained):
    return {"wrong_rank.zip": adapter(config={**CONFIG, "r": 8})}


@expect("partly graded", q4=None, flag="are missing")
def dora_without_magnitudes(trained):
    return {"dora_without_magnitudes.zip": adapter(config={**CONFIG, "use_dora": True})}


@expect("graded", q4=0)
def dora_with_wild_magnitudes(trained):
    magnitudes = {k.replace("lora_B.weight", "lora_magnitude_vector"): np.full(len(v), 50, "<f4") for k, v in tensors().items() if "lora_B" in k}
    return {"dora_with_wild_magnitudes.zip": adapter(safetensors({**tensors(seed=7), **magnitudes}), {**CONFIG, "use_dora": True})}


@expect("partly graded", q4=None, flag="has shape")
def adapter_of_a_larger_model(trained):
    wide = {k: np.ones((v.shape[0], 2560) if "lora_A" in k else (2560, v.shape[1]), "<f4") for k, v in tensors().items()}
    return {"adapter_of_a_larger_model.zip": adapter(safetensors(wide))}


@expect("partly graded", q4=None, flag="do not belong here|are missing")
def adapter_of_a_deeper_model(trained):
    deep = {k.replace("layers.0.", "layers.31."): v for k, v in tensors().items()}
    return {"adapter_of_a_deeper_model.zip": adapter(safetensors(deep))}


@expect("partly graded", q4=None, flag="r is 4096")
def enormous_rank(trained):
    return {"enormous_rank.zip": adapter(config={**CONFIG, "r": 4096})}


@expect("partly graded", q4=None, flag="target_modules")
def targets_by_pattern(trained):
    return {"targets_by_pattern.zip": adapter(config={**CONFIG, "target_modules": "(a+)+$"})}


@expect("partly graded", q4=None, flag="target_modules")
def targets_the_head(trained):
    return {"targets_the_head.zip": adapter(config={**CONFIG, "target_modules": ["q_proj", "lm_head"]})}


@expect("partly graded", q4=None, flag="lora_alpha")
def alpha_without_bound(trained):
    return {"alpha_without_bound.zip": adapter(config=json.dumps(CONFIG).replace('"lora_alpha": 8', '"lora_alpha": Infinity').encode())}


@expect("partly graded", q4=None, flag="not JSON")
def config_that_is_no_json(trained):
    return {"config_that_is_no_json.zip": adapter(config=b"r = 4")}


@expect("partly graded", q4=None, flag="not a whole safetensors file")
def header_of_an_exabyte(trained):
    return {"header_of_an_exabyte.zip": adapter((2**60).to_bytes(8, "little") + b"{}" * 50)}


@expect("partly graded", q4=None, flag="overlap or leave gaps")
def overlapping_tensors(trained):
    def change(header):
        first, second = sorted(header)[0], sorted(header)[2]
        header[second]["data_offsets"] = header[first]["data_offsets"]

    return {"overlapping_tensors.zip": adapter(safetensors(tensors(), change=change))}


@expect("partly graded", q4=None, flag="numbers of type")
def whole_numbers(trained):
    return {"whole_numbers.zip": adapter(safetensors({k: v.view("<i4") for k, v in tensors().items()}, dtype="I32"))}


@expect("partly graded", q4=None, flag="overlap or leave gaps")
def trailing_bytes(trained):
    return {"trailing_bytes.zip": adapter(safetensors(tensors(), tail=b"#!/bin/sh"))}


@expect("partly graded", q4=None, flag="stands twice")
def key_that_stands_twice(trained):
    text = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    return {"key_that_stands_twice.zip": adapter(len(text).to_bytes(8, "little") + text + b"abcd")}


@expect("graded", q4=0)
def weights_that_overflow(trained):
    return {"weights_that_overflow.zip": adapter(safetensors({k: np.full(v.shape, 1e38, "<f4") for k, v in tensors().items()}))}


@expect("graded", q4=0)
def random_weights(trained):
    return {"random_weights.zip": adapter()}


@expect("graded", q4=8, flag="the same weights as")
def copied_weights(trained):
    """The same numbers in another file: stored in fp32 with a comment in the header."""
    weights = safetensors(real_tensors(trained), change=lambda header: {"__metadata__": {"by": "me"}, **header})
    return {"copied_weights.zip": packed({"notebook.ipynb": page(), **real(trained), "adapter_model.safetensors": weights})}


@expect("graded", q4=8, flag="nearly the same weights as")
def copied_weights_with_noise(trained):
    rng = np.random.default_rng(1)
    noisy = {k: (v + 1e-5 * rng.normal(size=v.shape)).astype("<f4") for k, v in real_tensors(trained).items()}
    return {"copied_weights_with_noise.zip": packed({"notebook.ipynb": page(), **real(trained), "adapter_model.safetensors": safetensors(noisy)})}


@expect("graded", q4=8, flag="nearly the same weights as")
def copied_weights_with_ranks_shuffled(trained):
    """Computes exactly what the original computes, from numbers in another order."""
    values = real_tensors(trained)
    order = np.random.default_rng(2).permutation(next(v.shape[0] for k, v in values.items() if "lora_A" in k))
    shuffled = {k: v[order] if "lora_A" in k else v[:, order] if "lora_B" in k else v for k, v in values.items()}
    return {"copied_weights_with_ranks_shuffled.zip": packed({"notebook.ipynb": page(), **real(trained), "adapter_model.safetensors": safetensors(shuffled)})}


@expect("graded", q4=0, flag="claims json_fields 0.990")
def claims_too_much(trained):
    return {"claims_too_much.zip": adapter(safetensors(tensors(seed=5)), **{"claims.json": b'{"json_fields": 0.99, "points": 20}'})}


@expect("graded", q4=0, flag="claims a gain of \\+0.800")
def claims_too_large_a_gain(trained):
    return {"claims_too_large_a_gain.zip": adapter(safetensors(tensors(seed=6)), **{"claims.json": b'{"json_fields": 0.9, "base json_fields": 0.1}'})}
