"""Change one printed number in a lesson, and nbval must fail: tried on every cell that prints one, with nbval's own comparison."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
from nbval.plugin import IPyNbFile

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))
NUMBER = re.compile(r"(?<![\w.:/-])\d+\.?\d*(?![\w:/-])")
"""A number that stands alone: not a part of an id, an address or a name."""


def texts(output):
    """(holder, key) of everything in the output that is text to read."""
    if output.output_type == "stream":
        return [(output, "text")]
    return [(output.data, kind) for kind in ("text/plain", "text/html") if kind in output.get("data", {})]


def mutations(outputs):
    """Copies of the outputs, the last number of one text changed in each."""
    for i, output in enumerate(outputs):
        for j, (holder, key) in enumerate(texts(output)):
            found = list(NUMBER.finditer(holder[key]))
            if not found:
                continue
            last, digit = found[-1].end(), holder[key][found[-1].end() - 1]
            changed = deepcopy(outputs)
            holder, key = texts(changed[i])[j]
            holder[key] = holder[key][: last - 1] + ("8" if digit == "3" else "3") + holder[key][last:]
            yield changed


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_changed_number_fails_the_lesson(path, request, monkeypatch):
    monkeypatch.chdir(ROOT)  # nbval looks for its file of replacements from here
    lesson = IPyNbFile.from_parent(request.session, path=path)
    lesson.setup_sanitize_files()
    tried = 0
    for cell in lesson.collect():
        if not cell.options["check"]:
            continue
        outputs = cell.cell.outputs
        assert cell.compare_outputs(outputs, outputs), f"{path.name}: a cell differs from itself:\n{cell.cell.source}"
        for changed in mutations(outputs):
            tried += 1
            assert not cell.compare_outputs(changed, outputs), f"{path.name}: a changed number passes:\n{cell.cell.source}"
    assert tried >= 10
