"""The house rules of docs/ARCHITECTURE.md, read from the source by `ast`."""

import ast
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PACKAGE = ROOT / "ftkit"

LAYERS = [
    {"errors", "events", "files", "checkpoints", "lang", "prices", "ranks", "rules", "screens", "tables", "course"},
    {"split", "data", "stats", "metrics", "datasets", "advice", "tokens", "progress"},
    {"check", "pairs", "estimate", "run", "report", "prompting", "comparison", "vote", "abtest", "cost", "quiz"},
    {"hosted", "local", "embed", "judge"},  # their __init__ and recipe files: the light ones
    {"hosted/*", "local/*", "embed/*", "trainer", "bf16", "plots"},  # engines: heavy libraries at the top
    {"service", "live", "widgets", "quiz_panel", "exercise", "grading", "tour", "doctor", "cli", "__main__", "__init__"},
]
"""A module may import from its own layer and from those above it in this list, never from those below."""

LIGHT = {name for layer in LAYERS[:4] for name in layer} | {"live", "exercise", "__init__"}
"""Rooms that import nothing but the standard library when they are imported."""

LIGHT_FILES = {"hosted/endpoints", "hosted/local_process", "hosted/secrets", "embed/recipe"}
"""Files beside an engine that belong to the recipe."""

ROOMS = ("hosted", "local", "embed")


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        yield name.removesuffix("/__init__"), path


def room(name: str) -> str:
    """The entry of LAYERS a module belongs to."""
    head, _, rest = name.partition("/")
    return f"{head}/*" if head in ROOMS and rest and name not in LIGHT_FILES else head


def layer(name: str) -> int:
    found = [i for i, layer in enumerate(LAYERS) if room(name) in layer]
    assert found, f"ftkit/{name}: in no layer; add it to LAYERS in tests/test_architecture.py and to docs/ARCHITECTURE.md"
    return found[0]


def imports(path, top_only: bool):
    """(imported module, line) pairs; ``top_only`` leaves out those inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if top_only:
        inside = {id(n) for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) for n in ast.walk(f)}
    else:
        inside = set()
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module, node.lineno
            if node.module and node.module.startswith("ftkit"):
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def ours(module: str) -> str | None:
    """The module of ours that a dotted name means, as ``local/engine``."""
    if not module.startswith("ftkit."):
        return None
    name = module.removeprefix("ftkit.").replace(".", "/")
    known = {name for name, _ in modules()}
    return name if name in known else None


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_imports_point_down_the_layers(name, path):
    for module, line in imports(path, top_only=True):
        target = ours(module)
        if target is None or target == name:
            continue
        assert layer(target) <= layer(name), f"ftkit/{name}.py:{line} imports {target}, which stands above it"


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_hosted_local_and_embed_do_not_know_each_other(name, path):
    mine = name.partition("/")[0]
    for module, line in imports(path, top_only=False):
        other = (ours(module) or "").partition("/")[0]
        if mine in ROOMS and other in ROOMS:
            assert other == mine, f"ftkit/{name}.py:{line}: {mine} imports {other}; put what they share in a layer below"


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_the_light_rooms_import_only_the_standard_library(name, path):
    if room(name) not in LIGHT:
        return
    for module, line in imports(path, top_only=True):
        head = module.partition(".")[0]
        assert head == "ftkit" or head in sys.stdlib_module_names, (
            f"ftkit/{name}.py:{line} imports {head} when it is imported; move it into the function that needs it"
        )


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_engines_never_import_ipython(name, path):
    if room(name).endswith("/*"):
        assert not {m for m, _ in imports(path, top_only=False) if m.partition(".")[0] in ("IPython", "matplotlib")}


def test_importing_ftkit_loads_nothing_heavy():
    code = "import sys, ftkit; print(' '.join(m for m in sys.modules if '.' not in m))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    third_party = loaded - sys.stdlib_module_names - {"ftkit", "__main__"}
    third_party = {m for m in third_party if not m.startswith(("__editable__", "_distutils_hack", "sitecustomize", "_virtualenv"))}
    assert not third_party, f"import ftkit loads {sorted(third_party)}"


def test_every_field_of_a_recipe_is_read_by_its_engine():
    """A knob that nothing reads is a lie to whoever turns it."""
    import ftkit

    for recipe, room in ((ftkit.LoRA, "local"), (ftkit.QLoRA, "local"), (ftkit.DPO, "local"), (ftkit.Embed, "embed"), (ftkit.Hosted, "hosted")):
        read = {name for path in (PACKAGE / room).glob("*.py") for name in _fields_read(path)}
        unread = {field.name for field in fields(recipe)} - read
        assert not unread, f"{recipe.__name__}: nothing reads {sorted(unread)}"


def _fields_read(path):
    """Names x of every ``recipe.x``, ``self.x`` and ``self.recipe.x``, checks in __post_init__ aside."""
    pending = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef) and node.name == "__post_init__":
            continue
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("recipe", "self", "self.recipe"):
            yield node.attr
        pending.extend(ast.iter_child_nodes(node))


def test_the_public_names_are_these():
    import ftkit

    assert ftkit.__all__ == sorted(ftkit.__all__)
    public = {name for name, value in vars(ftkit).items() if not name.startswith("_") and not hasattr(value, "__path__")}
    public -= {name for name, _ in modules()}
    assert public <= set(ftkit.__all__), f"public by accident: {sorted(public - set(ftkit.__all__))}"
    assert set(ftkit.__all__) == {
        *("BudgetError", "Chat", "Comparison", "DPO", "DataError", "Dataset", "Embed", "EndpointError", "Estimate", "FewShot"),
        *("FtkitError", "FullFineTune", "Hosted", "LoRA", "ModelError", "Pair", "Preference", "QLoRA", "RAG", "RecipeError"),
        *("Report", "Run", "RunError", "Saved", "SearchSet", "Split", "Status", "Step", "Val", "bleu", "chrf", "compare"),
        *("dataset", "endpoint", "evaluate", "exact_match", "exercise", "f1", "json_field", "json_fields", "json_valid"),
        *("library_docs", "live", "local_service", "openai", "read_chats", "read_pairs", "read_preferences", "read_search", "rouge"),
        *("ABTest", "Advice", "Confusion", "ServingCost", "advise", "ballot", "confusion", "judge", "precision", "recall"),
        *("CheckReport", "Finding", "TokenCount", "check", "count_tokens", "serving_cost", "write_jsonl"),
        *("ScoredPair", "language", "progress", "quiz", "read_scored_pairs"),
    }


def test_remote_code_is_never_trusted_and_pickles_are_never_read():
    for name, path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert getattr(node.value, "value", True) is False, f"ftkit/{name}.py:{node.value.lineno}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None)]
                assert not {"pickle", "joblib", "dill"} & set(names), f"ftkit/{name}.py:{node.lineno}"
