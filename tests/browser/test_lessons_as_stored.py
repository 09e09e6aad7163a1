"""Every lesson opened in JupyterLab and nothing run: what a reader of a fresh clone sees, who has not trusted it."""

import re
from html import unescape

import nbformat
import pytest
from .lab_helpers import ROOT, SCREENS

LESSONS = [path.relative_to(ROOT / "lessons").as_posix() for path in sorted((ROOT / "lessons").rglob("*.ipynb"))]

READABLE = 4.5
"""Contrast of text with its ground that WCAG 2.2 asks for (1.4.3, level AA)."""

SHOWN = """() => [...document.querySelectorAll('.jp-CodeCell')].map(cell => {
    const outputs = [...cell.querySelectorAll('.jp-OutputArea-output')];
    return outputs.map(output => ({
        kind: output.dataset.mimeType,
        text: output.textContent,
        seen: output.checkVisibility() && output.getBoundingClientRect().height > 10,
        pictures: [...output.querySelectorAll('img')].map(img => img.complete && img.naturalWidth > 100),
    }));
})"""

TOO_WIDE = """() => [...document.querySelectorAll('.jp-MarkdownOutput, .jp-OutputArea-output')].flatMap(box => {
    const edge = box.getBoundingClientRect().right + 1;
    return [...box.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > edge).map(e => e.outerHTML.slice(0, 200));
})"""

FAINT = """limit => {
    const screen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = colour => {  // whatever way it is written
        screen.clearRect(0, 0, 1, 1); screen.fillStyle = colour; screen.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = screen.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
    };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
    const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => {
        const v = c[i] / 255; return sum + share * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    }, 0);
    const ground = e => {
        if (!e) return [255, 255, 255];
        const own = rgba(getComputedStyle(e).backgroundColor);
        return own[3] === 1 ? own.slice(0, 3) : over(own, ground(e.parentElement));
    };
    const faint = [];
    let texts = 0;
    for (const box of document.querySelectorAll('.jp-MarkdownOutput, .jp-OutputArea-output')) {
        for (const e of [box, ...box.querySelectorAll('*')]) {
            const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
            if (!own || !e.checkVisibility()) continue;
            texts += 1;
            const below = ground(e), here = over(rgba(getComputedStyle(e).color), below);
            const [hi, lo] = [light(here), light(below)].sort((a, b) => b - a);
            const contrast = (hi + 0.05) / (lo + 0.05);
            if (contrast < limit) faint.push(`${contrast.toFixed(1)}: ${e.className} ${own.slice(0, 60)}`);
        }
    }
    return {texts, faint};
}"""


PRICES = re.compile(r"(?<![\\$])\$\d[^$\n]*(?<!\\)\$(?!\$)")


@pytest.mark.parametrize("name", LESSONS)
def test_two_prices_in_a_paragraph_are_not_set_as_a_formula(name):
    """JupyterLab takes what stands between two dollar signs for one; "3 dollars" is safe everywhere."""
    assert PRICES.search("costs $2 to $3") and not PRICES.search("costs $2") and not PRICES.search("$W_0$ and $5")
    for cell in nbformat.read(ROOT / "lessons" / name, as_version=4).cells:
        if cell.cell_type == "markdown":
            assert not PRICES.search(re.sub("`[^`]*`", "", cell.source)), cell.source


@pytest.fixture(scope="module", params=LESSONS)
def lesson(request, desk, lab):
    """The lesson open in JupyterLab without a kernel."""
    return desk.open(lab.root / request.param, kernel=False)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_what_is_stored_is_seen_without_trust_or_a_kernel(lesson, lab):
    assert lab.kernels == []
    assert not lesson.page.evaluate("() => [...jupyterapp.shell.currentWidget.content.widgets].some(cell => cell.model.trusted)")
    stored = [cell.outputs for cell in lesson.cells if cell.cell_type == "code"]
    shown = lesson.page.evaluate(SHOWN)
    assert [len(outputs) for outputs in shown] == [len(outputs) for outputs in stored]
    for wants, gots in zip(stored, shown):
        for want, got in zip(wants, gots):
            data = want.get("data", {})
            if "application/vnd.jupyter.widget-view+json" in data:  # without its kernel it is nothing: its answer comes next
                assert got["text"].strip() == "" and len(wants) > 1
                continue
            assert got["seen"] and "error" not in got["kind"] and "stderr" not in got["kind"], got
            if "image/png" in data:
                assert got["pictures"] == [True], got
            elif "text/html" in data:
                assert squeezed(unescape(re.sub("<[^>]+>", "", data["text/html"]))) == squeezed(got["text"])
            else:
                assert squeezed(want.get("text", data.get("text/plain"))) == squeezed(got["text"])


def test_nothing_is_wider_than_the_page(lesson):
    assert lesson.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert lesson.page.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_all_text_can_be_read_and_a_picture_is_kept_to_look_at(lesson, theme):
    lesson.theme(theme)
    found = lesson.page.evaluate(FAINT, READABLE)
    lesson.photograph("-".join([*lesson.path.relative_to(lesson.lab.root).with_suffix("").parts, theme.lower()]), SCREENS)
    assert found["texts"] > 100 and found["faint"] == []
