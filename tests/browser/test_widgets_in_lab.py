"""Every widget operated in JupyterLab by keyboard or mouse, its kernel really running."""

import re

import nbformat
import pytest
from .lab_helpers import PATIENCE

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)").expect
expect.set_options(timeout=PATIENCE)

REPORTS = """
from ftkit.report import Answer, Report
def report(name, texts):
    return Report(name, "t", "f" * 64, tuple(Answer(f"question {i}", "", text) for i, text in enumerate(texts)), {}, 0.0, {})
"""
CELLS = {
    "set up": "import ftkit as ft\nfrom ftkit import widgets",
    "advisor": "widgets.advisor()",
    "cost": "widgets.cost_slider(ft.serving_cost("
    "model='gpt-4o-mini-2024-07-18', input_tokens=500, output_tokens=100, requests_per_second=5))",
    "voter": REPORTS + "widgets.voter(ft.ballot(report('base', ['old'] * 4), report('tuned', ['new'] * 4), 'runs/votes.jsonl'))",
    "search": "from ftkit.embed.rankings import Rankings\n"
    "model = ft.Embed().base_model()\n"
    "pages = [pair.positive for pair in ft.read_pairs(ft.dataset('faq')).sample(40, seed=0)]\n"
    "both = {'whole': model, 'short': model.truncate(32)}\n"
    "widgets.search_box(lambda question: Rankings(question, both, pages, 3), 'Where is my parcel?')",
    "training": "rows = ft.read_chats(ft.dataset('tickets')).sample(40, seed=0)\n"
    "recipe = ft.LoRA(base={base!r}, r=4, alpha=8, batch_size=8, epochs=10_000)  # hours: only the button ends it\n"
    "run = recipe.train(ft.Split(rows, rows[:0], rows[:0]), watch=ft.live(), background=True)",
    "trained": "run.wait()\nprint(run.status, len(run.losses) > 0, type(run.model.reply('hello', max_tokens=4)).__name__)",
}
NUMBER = {name: i for i, name in enumerate(CELLS)}


@pytest.fixture(scope="module")
def notebook(desk, lab, tiny_phi):
    """A notebook with a cell for each widget, all run but the training."""
    path = lab.write("widgets.ipynb", *(text.replace("{base!r}", repr(tiny_phi)) for text in CELLS.values()))
    desk.open(path, kernel=True)
    for name in ("set up", "advisor", "cost", "voter", "search"):
        desk.run_cell(NUMBER[name])
    yield desk
    lab.stop_kernels()


@pytest.fixture
def area(notebook):
    """``area(name)``: what that cell shows. The widgets in it are drawn."""

    def of(name):
        found = notebook.output(NUMBER[name])
        found.locator(".jupyter-widgets").first.wait_for()
        return found

    return of


def told(area) -> str:
    """What a screen reader is told."""
    return area.locator("[role=status][aria-live=polite]").inner_text()


def tab_to(page, target) -> None:
    """Tab until the target has the focus."""
    for _ in range(30):
        if target.evaluate("e => e === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("Tab does not lead there")


def test_the_advisor_is_answered_by_keyboard_alone(notebook, area):
    advisor, page = area("advisor"), notebook.page
    status = advisor.locator("[role=status]")
    expect(status).to_contain_text("Write a good prompt first")
    notebook.panel.locator(".jp-CodeCell").nth(NUMBER["advisor"]).focus()
    for name in ("Must the model behave differently", "Has a careful prompt been tried", "Have examples in the prompt"):
        tab_to(page, advisor.get_by_label(name))
        page.keyboard.press("Space")
        expect(advisor.get_by_label(name)).to_be_checked()
    tab_to(page, advisor.get_by_label("How many good examples?"))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("80")
    page.keyboard.press("Tab")
    expect(status).to_contain_text("Fine-tune over an API")
    tab_to(page, advisor.get_by_role("button", name="16 GiB"))
    page.keyboard.press("Space")
    expect(status).to_contain_text("Fine-tune an open model with QLoRA")
    expect(status).to_contain_text("You have 80 examples")
    tab_to(page, advisor.get_by_role("button", name="80 GiB"))
    page.keyboard.press("Enter")
    expect(status).to_contain_text("80 GiB")


def test_the_cost_slider_moves_by_arrow_keys_and_says_in_words_where_it_stands(notebook, area):
    cost, page = area("cost"), notebook.page
    volume = lambda: int(re.match(r"([\d,]+) requests a month", told(cost))[1].replace(",", ""))  # noqa: E731
    status = cost.locator("[role=status]")
    expect(status).to_contain_text("100,000 requests a month")
    handle = cost.get_by_role("slider")
    notebook.panel.locator(".jp-CodeCell").nth(NUMBER["cost"]).focus()
    tab_to(page, handle)
    for key, more in (("ArrowRight", True), ("ArrowRight", True), ("ArrowLeft", False)):
        before, words = volume(), told(cost)
        page.keyboard.press(key)
        expect(status).not_to_have_text(words, use_inner_text=True)
        assert (volume() > before) is more
    expect(status).to_contain_text("self-hosted")


def test_voting_blind_goes_on_to_its_end_and_only_then_tells_the_names(notebook, area):
    voter, page = area("voter"), notebook.page
    status = voter.locator("[role=status]")
    for i in range(4):
        expect(status).to_contain_text(f"{i} of 4 rows voted")
        assert "tuned" not in told(voter) and "base" not in told(voter)
        left, right = status.locator("td").all_inner_texts()
        button = voter.get_by_role("button", name="Left is better" if left == "new" else "Right is better")
        if i % 2:
            button.click()
        else:  # by keyboard
            button.focus()
            page.keyboard.press("Enter")
    expect(status).to_contain_text("4 for tuned, 0 for base, 0 ties")
    for button in voter.get_by_role("button").all():
        expect(button).to_be_disabled()
    assert len((notebook.lab.root / "runs" / "votes.jsonl").read_text(encoding="utf-8").splitlines()) == 4


def test_a_question_typed_into_the_search_box_is_searched_by_both_models(notebook, area):
    search, page = area("search"), notebook.page
    status = search.locator("[role=status]")
    expect(status).to_contain_text("Where is my parcel?")
    before = told(search)
    search.get_by_label("Search for").fill("How do I change my <password>?")
    assert told(search) == before, "Enter searches, not every letter"
    page.keyboard.press("Enter")
    expect(status).to_contain_text("How do I change my <password>?")
    expect(status.locator("th")).to_have_text(["whole", "short"])
    assert "password" in status.locator("td").first.inner_text()
    assert len(status.locator("td").all()) == 6


def test_training_in_the_background_is_stopped_by_its_button_and_leaves_a_model(notebook, area):
    notebook.run_cell(NUMBER["training"])
    training = area("training")
    stop = training.get_by_role("button", name="Stop")
    training.locator("img").wait_for()  # the curve: it trains
    first = training.locator("img").get_attribute("src")
    notebook.page.wait_for_function(
        "([number, first]) => document.querySelectorAll('.jp-CodeCell')[number].querySelector('img')?.src !== first",
        arg=[NUMBER["training"], first],
    )
    notebook.run_cell(NUMBER["set up"])  # other cells run meanwhile
    stop.click()
    button = training.get_by_role("button")
    expect(button).to_have_text("cancelled")
    expect(button).to_be_disabled()
    notebook.run_cell(NUMBER["trained"])
    assert notebook.output(NUMBER["trained"]).inner_text().strip() == "cancelled True str"
    assert training.locator("img").count() == 1


def test_the_curve_of_a_training_is_seen_by_whoever_opens_it(notebook, open_notebook):
    if not (notebook.panel.locator("img").count()):
        pytest.skip("the training was not run: its test was not chosen")
    notebook.save()
    again = open_notebook(notebook.path)
    expect(again.output(NUMBER["training"]).locator("img")).to_be_visible()


BEGINS = {
    "advisor": "Fine-tune an open model with QLoRA",
    "cost": "100,000 requests a month for 12 months",
    "voter": "0 of 4 rows voted",
    "search": "Where is my parcel?",
    "quiz": "Quiz of lesson 00",
}
"""What each says when nobody has touched it, but for the advisor, which is asked something here."""


@pytest.fixture(scope="module")
def left_behind(desk, lab, tiny_phi):
    """A notebook with an answer in each widget, saved, its kernel ended."""
    cells = [CELLS[name].replace("votes.jsonl", "other.jsonl") for name in ("set up", "advisor", "cost", "voter", "search")]
    path = lab.write("left.ipynb", *cells, "ft.quiz('00')")
    desk.open(path, kernel=True)
    desk.run_all()
    kept = desk.panel.locator(".ftkit-kept")
    expect(desk.panel.locator(".ftkit-drawn")).to_have_count(5)
    expect(kept).to_have_count(5)
    for one in kept.all():
        assert not one.is_visible(), "while the widget is drawn, its answer is in it"
    questions = desk.output(1)
    for name in ("Must the model behave differently", "Has a careful prompt been tried", "Have examples in the prompt"):
        questions.get_by_label(name).check()
    questions.get_by_label("How many good examples?").fill("80")
    questions.get_by_role("button", name="16 GiB").click()
    expect(questions.locator("[role=status]")).to_contain_text(BEGINS["advisor"])
    expect(kept.first).to_contain_text(BEGINS["advisor"])
    desk.save()
    lab.stop_kernels()
    return path


@pytest.mark.parametrize("whose", ["my own", "a stranger's"])
def test_opened_again_without_a_kernel_every_widgets_last_answer_is_seen(left_behind, open_notebook, whose):
    path = left_behind
    if whose == "a stranger's":
        saved = nbformat.read(path, as_version=4)
        saved.metadata["copied"] = True  # no longer what was signed, so not trusted
        path = path.with_name("copy.ipynb")
        nbformat.write(saved, path)
    again = open_notebook(path)
    assert again.panel.locator(".ftkit-drawn").count() == 0
    for i, (name, words) in enumerate(BEGINS.items(), 1):
        shown = again.output(i).locator(".ftkit-kept")
        expect(shown).to_be_visible()
        expect(shown).to_contain_text(words)
    if whose == "a stranger's":
        assert again.output(2).inner_text().count(BEGINS["cost"]) == 1, "told once"
