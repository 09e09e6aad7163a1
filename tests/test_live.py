"""Watchers that draw."""

import base64
import io

import pytest
from PIL import Image

from ftkit import Status, Step, Val
from ftkit.live import Bar, Curve, live
from ftkit.plots import loss_curve

HISTORY = [Status("running"), *(Step(i, 10, 1 / i) for i in range(1, 11)), Val(10, 0.2), Status("succeeded")]


def test_outside_a_notebook_live_is_a_bar():
    assert isinstance(live(), Bar)


def test_the_bar_is_one_line_that_ends_with_the_last_loss(capsys):
    bar = Bar("LoRA")
    for event in HISTORY:
        bar(event)
    last = capsys.readouterr().err.rstrip("\n").split("\r")[-1]
    assert "\n" not in last and last.startswith("LoRA: 100%") and "loss 0.100" in last


def test_the_curve_is_displayed_once_and_then_updated_in_place(monkeypatch):
    import IPython.display

    shown = []

    class Handle:
        def update(self, picture):
            shown.append(("update", picture))

    def display(picture, display_id):
        assert display_id is True
        shown.append(("display", picture))
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    curve = Curve()
    for event in HISTORY:
        curve(event)
    assert [how for how, _ in shown] == ["display", "update"]  # ten steps within a second: first frame, last frame
    bundle, _ = shown[-1][1]._repr_mimebundle_()
    assert bundle["text/plain"] == "loss curve" and bundle["image/png"].startswith("iVBOR")
    assert "succeeded: step 10 of 10" in shown[-1][1].figure.axes[0].get_title(loc="left")


def test_a_run_that_fails_before_its_first_step_draws_nothing():
    curve = Curve()
    curve(Status("running"))
    curve(Status("failed", "no luck"))
    assert curve.handle is None


def test_a_figure_holds_two_dots_for_each_that_it_takes():
    data, how = loss_curve(HISTORY)._repr_mimebundle_()
    width, height = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size
    assert how == {"image/png": {"width": width // 2, "height": height // 2}} and 500 < width // 2 < 600


def test_the_curve_plots_what_was_said():
    axes = loss_curve(HISTORY).figure.axes[0]
    steps, mean, vals = axes.lines
    assert list(steps.get_ydata()) == [1 / i for i in range(1, 11)]
    assert mean.get_ydata()[-1] < mean.get_ydata()[0] and list(vals.get_ydata()) == [0.2]


@pytest.mark.parametrize("watcher", [Bar, Curve])
def test_what_a_job_says_before_it_trains_is_printed(watcher, capsys):
    """The estimate first of all: nothing else tells what is about to be spent."""
    watch = watcher()
    for event in (Status("running"), Status("queued", "Estimate: $0.75"), Status("queued", "Validating"), Status("running", "go")):
        watch(event)
    assert capsys.readouterr().out == "Estimate: $0.75\nValidating\n"
