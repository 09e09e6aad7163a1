"""The colours of the figures: told apart by everybody, and seen on their white ground, which they bring along in every theme."""

import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from ftkit import Step, Val, plots, serving_cost
from ftkit.abtest import simulate

COLOURS = {"grey": plots.GREY, "blue": plots.ACCENT, "ink": plots.INK}
TOLD_APART = 10
"""CIE76 distance; 2.3 can just be seen side by side (Sharma 2003)."""

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # IEC 61966-2-1


def linear(rgb) -> np.ndarray:
    rgb = np.asarray(rgb, dtype=float)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb) -> np.ndarray:
    """CIE L*a*b* of an sRGB colour from 0 to 1."""
    xyz = TO_XYZ @ linear(rgb) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one, other) -> float:
    """WCAG 2.2's ratio of two colours, 1 to 21."""
    low, high = sorted(float(TO_XYZ[1] @ linear(to_rgb(colour))) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_the_sums_are_right():
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)  # the example every WCAG text gives
    assert lab(to_rgb("red")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


@pytest.mark.parametrize("sight", ["none", "protanopia", "deuteranopia", "tritanopia", "achromatopsia"])
def test_colour_blind_readers_tell_the_colours_apart(context, sight):
    """The browser shows them as such eyes see them."""
    page = context.new_page()
    page.set_content("".join(f"<div style='background:{c};width:50px;height:50px'></div>" for c in COLOURS.values()))
    context.new_cdp_session(page).send("Emulation.setEmulatedVisionDeficiency", {"type": sight})
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")) / 255
    page.close()
    seen = {name: lab(picture[33 + 50 * i, 33]) for i, name in enumerate(COLOURS)}
    if sight == "none":
        for name, colour in COLOURS.items():
            assert np.allclose(seen[name], lab(to_rgb(colour)), atol=1)
    for one, other in combinations(COLOURS, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > TOLD_APART, f"{sight}: {one} and {other} look alike"


def test_lines_and_words_stand_out_from_the_white_they_are_drawn_on():
    assert plots.STYLE["figure.facecolor"] == plots.STYLE["savefig.facecolor"] == "white"
    for colour in COLOURS.values():
        assert contrast(colour, "white") >= 3  # WCAG 2.2, 1.4.11
    for name in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
        assert contrast(plots.STYLE[name], "white") >= 4.5  # 1.4.3


def one_cost():
    return serving_cost(model="gpt-4o-mini-2024-07-18", input_tokens=500, output_tokens=100, requests_per_second=5)


FIGURES = {
    "loss curve": lambda: plots.loss_curve([Step(1, 2, 1.0), Step(2, 2, 0.5), Val(2, 0.6)]),
    "curves": lambda: plots.curves({"base": {32: 0.5, 64: 0.6}, "tuned": {32: 0.7, 64: 0.8}}, "numbers", "ndcg@10"),
    "break-even": lambda: plots.break_even(one_cost()),
    "peeking": lambda: plots.peeking(simulate(base=0.5, tuned=0.5, users=100, looks=4, tests=50)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_word_in_a_figure_can_be_read(name):
    words = [text for text in FIGURES[name]().figure.findobj(Text) if text.get_text().strip()]
    assert len(words) >= 4
    for text in words:
        assert contrast(text.get_color(), "white") >= 4.5, text.get_text()
