"""JupyterLab driven in a real browser. Nothing here is imported by what a learner runs."""

import shutil
import sys

import pytest

from .lab_helpers import ROOT, Lab, Notebook

ON_A_MAC = ("Google Chrome", "Chromium", "Microsoft Edge")
HOW = "no browser: install Chromium, Chrome or Edge, or run `python -m playwright install chromium`"
FLAGS = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--force-color-profile=srgb"]


# per package, not per session: while playwright is open, this thread counts as running an event loop, and no other test could
@pytest.fixture(scope="package")
def browser(request):
    """Chromium, Chrome or Edge from this machine, or the one playwright brings."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra `dev`)")
    with playwright.sync_playwright() as started:
        try:
            opened = launch(started.chromium, request.config.browser)
        except playwright.Error as error:
            pytest.skip(f"{HOW} ({str(error).splitlines()[0]})")
        yield opened
        opened.close()


def launch(chromium, found):
    if found:
        return chromium.launch(executable_path=found, args=FLAGS, chromium_sandbox=False)
    for channel in ("chrome", "msedge") if sys.platform in ("win32", "darwin") else ():  # there they are not on the PATH
        try:
            return chromium.launch(channel=channel, args=FLAGS)
        except Exception:
            pass
    return chromium.launch(args=FLAGS, chromium_sandbox=False)


@pytest.fixture(scope="package")
def lab(browser, tmp_path_factory):
    """A JupyterLab server over a fresh clone's lessons: nobody has trusted them."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    for path in (ROOT / "lessons").rglob("*.ipynb"):
        to = lab.root / path.relative_to(ROOT / "lessons")
        to.parent.mkdir(exist_ok=True)
        shutil.copy(path, to)
    yield lab
    lab.close()


@pytest.fixture(scope="package")
def context(browser):
    """One cache for all pages."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def open_notebook(lab, context):
    """``open_notebook(path, kernel=False)``: a Notebook in a fresh page; its kernels end with the test."""
    pages = []

    def open_it(path, kernel: bool = False) -> Notebook:
        pages.append(context.new_page())
        return Notebook(pages[-1], lab).open(path, kernel)

    yield open_it
    for page in pages:
        page.close()
    lab.stop_kernels()


@pytest.fixture(scope="module")
def desk(lab, context):
    """A page to look at one notebook after the other: coming up is what takes JupyterLab long."""
    page = context.new_page()
    yield Notebook(page, lab)
    page.close()
