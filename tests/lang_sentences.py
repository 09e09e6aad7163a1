"""Every sentence that can reach a learner, read from the source by `ast`.

What errors of the tree are raised with, what `say` is called with, the words of the rules, the tables that widgets and advice
are drawn from, what the self-checks of the exercises assert. Left out, as only instructors and programs read them:
ftkit/grading but for what a learner's own submission is checked with, and ftkit/service, whose errors are the protocol's.
"""

import ast
import json
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ftkit"

FOR_LEARNERS_TOO = ("grading/artefact.py", "grading/dataset.py")
"""Of grading: what `ftkit.exercise` shows."""

ERRORS = {"FtkitError", "DataError", "RecipeError", "ModelError", "RunError", "EndpointError", "BudgetError"}

SPEAKERS = {"say": 0, "require": 1, "within_budget": 3, "_from_hub": 1}
"""Functions whose argument at this place is a sentence."""

LATER = {
    "check/personal.py": ["an e-mail address", "an identity card number", "a card number", "a telephone number"],
    "hosted/__init__.py": ["use fewer rows or epochs"],
    "judge.py": ["ask fewer rows="],
    "events.py": ["queued", "running", "succeeded", "cancelled", "failed"],
    "run.py": ["interrupted", "stopped on request"],
    "abtest/result.py": ["better", "worse", "not enough evidence"],
    "comparison.py": ["unchanged"],
    "tour/tracks.py": [
        "LoRA on a language model, on this machine", "an embedding model, for search",
        "fine-tuning over the OpenAI API, served by this machine",
    ],
    "../exercises/02_lora/checks.py": ["not there"],
}
"""Sentences that stand in one place and are said in another, where `say` gets a name."""

JSON_SAYS = [
    "Expecting value", "Expecting property name enclosed in double quotes", "Expecting ':' delimiter",
    "Expecting ',' delimiter", "Unterminated string starting at", "Extra data", "Invalid control character at",
    "Invalid \\escape", "Invalid \\uXXXX escape", "Illegal trailing comma before end of object",
    "Illegal trailing comma before end of array",
]  # fmt: skip
"""What Python's json module calls a fault: the reason in the rule not-json."""


def template(node: ast.expr, values: list | None = None) -> str | None:
    """The sentence of a string, an f-string or a sum of them, with {0}, {1}, … for its values; None for anything else.

    >>> template(ast.parse("f'{name}: {n:,} rows' + end", mode="eval").body)
    '{0}: {1} rows{2}'
    """
    values = [] if values is None else values
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}")
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, values) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        values.append(node)
        return f"{{{len(values) - 1}}}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "".join(template(side, values) or template(ast.FormattedValue(side), values) for side in (node.left, node.right))
    return None


def branches(node: ast.expr):
    """The expressions that a conditional one may come to."""
    both = (node.body, node.orelse) if isinstance(node, ast.IfExp) else node.values if isinstance(node, ast.BoolOp) else ()
    if both:
        for one in both:
            yield from branches(one)
    else:
        yield node


def sentences_of(path: Path):
    """(sentence, line) of everything that the file says."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    methods = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    to_be_filled = {id(method.value) for method in methods if method.attr == "format"}
    for node in ast.walk(tree):
        said, name = [], ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if name in ERRORS:
            said = node.args
        elif name in SPEAKERS and len(node.args) > SPEAKERS[name]:
            said = [node.args[SPEAKERS[name]]]
        elif name == "map" and ast.unparse(node.args[0]) == "say" and isinstance(node.args[1], ast.Tuple):
            said = node.args[1].elts
        elif name in ("problems.append", "because.append") and path.name in ("data.py", "advice.py"):
            said = node.args
        elif name == "_advice":
            said = node.args[1:]
        elif isinstance(node, ast.Assert) and node.msg and path.name in ("checks.py", "exercise.py"):
            said = [node.msg]
        elif isinstance(node, ast.Return) and node.value and path.name == "checks.py":
            said = [node.value]
        elif isinstance(node, ast.Tuple) and path.name == "dataset.py" and ast.unparse(node.elts[0]).isdigit():
            said = node.elts[1:2]  # (points, what was found)
        for one in (branch for argument in said for branch in branches(argument)):
            one = constants.get(one.id, one) if isinstance(one, ast.Name) else one
            if id(node) in to_be_filled and isinstance(one, ast.Constant):  # say("{n} rows").format(n=…)
                yield one.value, node.lineno
            elif (words := template(one)) is not None:
                yield words, node.lineno


def said_later():
    """(sentence, where) of those in tables."""
    from ftkit import advice, rules, widgets
    from ftkit.check.personal import KEYS
    from ftkit.check.report import PLURAL

    for level, *words in rules.RULES.values():
        yield from ((one, "ftkit/rules.py") for one in words)
    yield from ((one, "ftkit/check/report.py") for one in (*PLURAL, *PLURAL.values()))
    yield from ((one, "ftkit/check/personal.py") for one in KEYS)
    for leaf in advice.LEAVES.values():
        yield from ((one, "ftkit/advice.py") for one in (leaf.title, *leaf.reasons, leaf.next_step))
    for table in (widgets.QUESTIONS, widgets.VOTES):
        yield from ((one, "ftkit/widgets.py") for one in table.values())
    yield from ((one, "ftkit/widgets.py") for one in widgets.GPUS)
    for file, listed in LATER.items():
        yield from ((one, (PACKAGE / file).resolve().relative_to(ROOT).as_posix()) for one in listed)
    yield from ((one, "json") for one in JSON_SAYS)


def rooms():
    """Every file that speaks to learners."""
    for path in (*sorted(PACKAGE.rglob("*.py")), *sorted(ROOT.glob("exercises/*/checks.py"))):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(("ftkit/grading/", "ftkit/service/")) or name.removeprefix("ftkit/") in FOR_LEARNERS_TOO:
            yield name, path


@cache
def spoken_in_english() -> dict[str, list[str]]:
    """sentence → where it stands, in the order of the files."""
    found: dict[str, list[str]] = {}
    for name, path in rooms():
        for words, line in sentences_of(path):
            found.setdefault(words, []).append(f"{name}:{line}")
    for words, name in said_later():
        found.setdefault(words, []).append(name)
    return {words: where for words, where in found.items() if re.search("[^\\W\\d_]", re.sub(r"\{\w*[^}]*\}", "", words))}


WORDS = json.loads((PACKAGE / "lang" / "vi.json").read_text(encoding="utf-8"))
"""Room → {English: Vietnamese}"""

VIETNAMESE = {english: other for room in WORDS.values() for english, other in room.items()}
