"""Search in the documentation of the libraries this kit installs: which function does what I describe?

No text is shipped: the pairs are read from the installed libraries when you ask for them, so the texts stay under
their libraries' licences and the answers are those of your own versions.
"""

import contextlib
import importlib
import inspect
import io
import pkgutil
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from types import ModuleType

from ftkit.data import Dataset, Pair
from ftkit.errors import DataError
from ftkit.split import near_duplicates

PACKAGES = ("numpy", "scipy", "sklearn", "pandas", "matplotlib")

FEWEST_WORDS = 4
"""A shorter summary ("Base class.") asks for nothing in particular."""

MOST_TWINS = 3
"""Objects of one last name that may share a summary (numpy.linalg.norm and scipy.linalg.norm); the shortest stays."""

MOST_PARAMETERS = 5
"""Parameter names kept; the longest signature of pandas has fifty, which would drown the name it belongs to."""

_LEFT_OUT = {
    *("conftest", "core", "distutils", "externals", "experimental", "setup", "testing", "tests", "version"),
    *("numpy.f2py", "numpy.lib", "pandas.compat", "pandas.io", "sklearn.utils.estimator_checks"),
    *(f"matplotlib.{name}" for name in ("backend_bases", "backend_managers", "backend_tools", "backends", "cbook")),
    *(f"matplotlib.{name}" for name in ("dviread", "ft2font", "pylab", "rcsetup", "sphinxext", "texmanager")),
    "matplotlib.textpath",
}
"""Modules that are private, deprecated or for the libraries' own authors, though their names carry no underscore."""

_CHANGED_BY_IMPORTS = {"IterativeImputer", "HalvingGridSearchCV", "HalvingRandomSearchCV"}
"""Public only once somebody has imported ``sklearn.experimental``: left out, so that the data never depends on that."""

_POINTS_ELSEWHERE = re.compile(r"(alias|deprecated|refer to|same as|scalar method|see |todo|.*\bis deprecated\b)", re.I)


def library_docs(packages: Sequence[str] = PACKAGES, limit: int | None = None) -> Dataset:
    """Pairs of a summary sentence and the public name it describes, such as

        Matrix or vector norm  →  numpy.linalg.norm(x, ord, axis, keepdims)

    sorted by name. Equal versions of the libraries give equal pairs, on every Python.

    One question, one answer: an object with several public names counts once, under the shortest; of two or three
    namesakes with one summary the shortest stays; any other shared summary ("Fit the model to the data") is left out;
    of summaries that are near-duplicates the first by name stays. The group is the module or class a name belongs to,
    so a split tests on modules and classes that training never saw.

    Nearly one summary in five contains the very name that is looked for (``norm`` above). Those stay, because people
    search like that, and every model you compare sees the same ones.

    Args:
        packages: importable names, all of them installed.
        limit: keep this many pairs, drawn evenly over everything with a fixed seed. Default: all.

    Raises:
        DataError: a package is not installed.

    Introduced in lesson 03.
    """
    named: dict[int, tuple[tuple, str, object]] = {}  # id of an object → the best of its names
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for package in sorted(packages):
            for module in _modules(package):
                for owned, name, value in _members(module):
                    key = (not owned, name.count("."), len(name), name)
                    if id(value) not in named or key < named[id(value)][0]:
                        named[id(value)] = (key, name, value)
        described = defaultdict(list)
        for _, name, value in sorted(named.values(), key=lambda entry: entry[0]):
            if (summary := _summary(value)) and len(summary.split()) >= FEWEST_WORDS:
                pair = Pair(summary, _signature(name, value), group=name.rpartition(".")[0])
                described[summary.casefold()].append(pair)
    pairs = sorted((alike[0] for alike in described.values() if _one_answer(alike)), key=lambda pair: pair.positive)
    links = near_duplicates([pair.anchor for pair in pairs])
    data = Dataset(tuple(pair for i, pair in enumerate(pairs) if links[i] == i), name="library_docs")
    return data if limit is None else data.sample(limit)


def _one_answer(alike: list[Pair]) -> bool:
    last_names = {pair.positive.partition("(")[0].rpartition(".")[2] for pair in alike}
    return len(last_names) == 1 and len(alike) <= MOST_TWINS


def _modules(package: str) -> Iterator[ModuleType]:
    """The package and its public submodules, two levels deep, in the order of their names."""
    try:
        top = importlib.import_module(package)
    except ImportError as error:
        raise DataError(
            f"library_docs: package {package!r} cannot be imported ({error}); install it, or pass packages="
        ) from None
    yield top
    levels = [top]
    for _ in range(2):
        levels = [child for module in levels for child in _children(module)]
        yield from levels


def _children(module: ModuleType) -> Iterator[ModuleType]:
    for found in sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda found: found.name):
        name = f"{module.__name__}.{found.name}"
        if found.name.startswith("_") or _LEFT_OUT & {found.name, name}:
            continue
        with contextlib.suppress(Exception):  # needs an optional library, or is gone and says so
            yield importlib.import_module(name)


def _members(module: ModuleType) -> Iterator[tuple[bool, str, object]]:
    """(defined there, full name, object) for the functions and classes of a module, and what its classes offer."""
    listed = getattr(module, "__all__", None)
    for name in sorted(set(vars(module) if listed is None else listed)):
        if name.startswith("_") or name in _CHANGED_BY_IMPORTS:
            continue
        try:
            value = getattr(module, name)
        except Exception:  # listed, but needs an optional library
            continue
        if not _documentable(value, module):
            continue
        home = str(getattr(value, "__module__", None))
        if listed is None and home != module.__name__ and not home.startswith(module.__name__ + "._"):
            continue  # imported there for its own use
        yield True, f"{module.__name__}.{name}", value
        if inspect.isclass(value):
            yield from _attributes(value, f"{module.__name__}.{name}", module, deeper=True)


def _attributes(cls: type, prefix: str, module: ModuleType, deeper: bool) -> Iterator[tuple[bool, str, object]]:
    """Methods and properties, inherited ones too where the class they come from is of the same library."""
    seen = set()
    for base in cls.__mro__:
        if _package(base) != _package(module):
            continue  # inherited from the standard library, whose words change with the interpreter
        for name in sorted(set(vars(base)) - seen):
            seen.add(name)
            value = vars(base)[name]
            if name.startswith("_") or inspect.isclass(value) or not hasattr(type(value), "__get__"):
                continue
            accessor = getattr(cls, name, None) if deeper and not callable(value) else None
            if inspect.isclass(accessor) and _package(accessor) == _package(module):  # such as pandas.Series.str
                yield from _attributes(accessor, f"{prefix}.{name}", module, deeper=False)
            else:
                yield base is cls, f"{prefix}.{name}", inspect.unwrap(getattr(value, "__func__", value))


def _documentable(value: object, module: ModuleType) -> bool:
    if inspect.isclass(value) or inspect.isroutine(value):
        return _package(value) == _package(module)
    return type(value).__name__ == "ufunc"  # scipy.special is made of them; they carry no __module__


def _package(thing: object) -> str:
    home = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None)
    return str(home).partition(".")[0]


def _document(value: object) -> str:
    """The object's own docstring, dedented alike on every Python; a class does not borrow its parent's."""
    text = vars(value).get("__doc__") if inspect.isclass(value) else getattr(value, "__doc__", None)
    if text is type(value).__doc__:
        return ""  # the words of its type, such as a bare property's
    return inspect.cleandoc(text) if isinstance(text, str) else ""


def _summary(value: object) -> str:
    """The first sentence of the docstring as plain words; "" where it has none of its own."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", _document(value))]
    if paragraphs and re.match(r"[\w.]+ ?\(", paragraphs[0]):
        paragraphs = paragraphs[1:]  # a signature, as C functions and data classes carry it
    if not paragraphs or paragraphs[0].startswith(("..", ":", ">>>", "-", "=")):
        return ""
    text = re.sub(r"\s+(---+|===+)\s.*", "", paragraphs[0])
    text = re.sub(r":[\w:+-]+:`(?:[^`<]*<)?[~!]?([^`>]+)>?`", lambda role: role[1].rpartition(".")[2] or role[1], text)
    text = re.sub(r"`([^`<]+) <[^`>]+>`_+", r"\1", text)
    text = re.sub(r"`+\.?(?=\w)|`+|\\(?=\w)", "", text)
    text = re.sub(r"(?<![\w*])(\*\*?|\|)(?=\S)([^*|]+?)(?<=\S)\1(?![\w*])", r"\2", text)  # emphasis, substitution
    sentence = re.split(r"(?<=[^.\s]{3}[.!?])\s+(?=[A-Z(])", text, maxsplit=1)[0].strip().rstrip(".:")
    return "" if _POINTS_ELSEWHERE.match(sentence) else sentence


def _signature(name: str, value: object) -> str:
    """The name with parameter names, no defaults and no annotations, since those print differently between versions."""
    if not callable(value):
        return name  # a property
    function = value.__init__ if inspect.isclass(value) else value
    if _package(function) != _package(value):
        function = None  # a class without an __init__ of its library
    names: list[str] = []
    try:
        names = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
    except (TypeError, ValueError):
        if inside := re.match(r"[\w.]+ ?\(([^)]*)\)", _document(value)):  # a C function, described in its docstring
            parts = (part.partition("=")[0].strip(" *[]") for part in inside[1].split(","))
            names = [part for part in parts if part.isidentifier()]
    if type(value).__name__ == "ufunc" and "out" in names:
        names = names[: names.index("out")]  # after it, every one of them lists the same seven
    shown = names[:MOST_PARAMETERS] + ["…"] * (len(names) > MOST_PARAMETERS)
    return f"{name}({', '.join(shown)})"
