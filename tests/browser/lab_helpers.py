"""A JupyterLab server of our own, and a notebook open in a browser."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import psutil

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "runs" / "screens"
"""Where pictures are kept for a person to look at."""

STARTUP_SECONDS = 180
PATIENCE = 240_000
"""Milliseconds until a state that must come is given up: many times what it takes, for machines with much else to do."""

SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},  # every cell is laid out, so every cell can be measured
}
NOT_A_LEARNERS = {"@jupyter/nbgrader": True}
"""What instructors install draws no buttons here."""


class Lab:
    """JupyterLab as a learner starts it, but with settings of its own, so that those of whoever runs the tests do not matter."""

    def __init__(self, folder: Path):
        self.root = folder / "work"
        self.root.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        config, data = folder / "config", folder / "data"
        (config / "labconfig").mkdir(parents=True)
        (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        (config / "labconfig" / "page_config.json").write_text(json.dumps({"disabledExtensions": NOT_A_LEARNERS}), encoding="utf-8")
        own = {
            "JUPYTER_CONFIG_DIR": str(config), "JUPYTER_DATA_DIR": str(data), "JUPYTER_RUNTIME_DIR": str(data / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_NO_CONFIG": "", "JUPYTER_PLATFORM_DIRS": "1",
            "OMP_NUM_THREADS": "2",  # as the stored outputs were made
            "NO_PROXY": "127.0.0.1,localhost", "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        self.log = folder / "jupyterlab.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root",
                    f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.root}", "--expose-app-in-browser",
                    "--ServerApp.shutdown_no_activity_timeout=1800",  # should whoever started it be killed
                ],
                cwd=self.root, env={**os.environ, **own}, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            self.url = self._wait_for_url(data / "runtime")
        except BaseException:
            self.close()
            raise

    def _wait_for_url(self, runtime: Path) -> str:
        deadline = time.monotonic() + STARTUP_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"JupyterLab ended:\n{self.said}"
            for path in runtime.glob("jpserver-*.json"):
                try:
                    url = json.loads(path.read_text(encoding="utf-8"))["url"]
                    self._ask(url + "api/status")
                    return url
                except (OSError, ValueError):
                    pass  # half written, or not listening yet
            time.sleep(0.1)
        raise AssertionError(f"JupyterLab did not start in {STARTUP_SECONDS} s:\n{self.said}")

    def _ask(self, url: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(url, method=method, headers={"Authorization": f"token {self.token}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
            return response.read()

    @property
    def said(self) -> str:
        """What the server wrote to its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def kernels(self) -> list[dict]:
        return json.loads(self._ask(self.url + "api/kernels"))

    def stop_kernels(self) -> None:
        for kernel in self.kernels:
            self._ask(f"{self.url}api/kernels/{kernel['id']}", "DELETE")

    def close(self) -> None:
        """End the server and every process it began."""
        try:
            family = [self.process, *psutil.Process(self.process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        try:
            self._ask(self.url + "api/shutdown", "POST")
            self.process.wait(30)
        except (OSError, AttributeError, subprocess.TimeoutExpired):
            pass
        for process in family:
            try:
                process.kill()
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass
        self.process.wait(30)

    def write(self, name: str, *cells: str) -> Path:
        """A notebook of these code cells, never run, under the server's root."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        path = self.root / name
        nbformat.write(notebook, path)
        return path


class Notebook:
    """A notebook open in JupyterLab: what the learner sees, and what the learner does."""

    def __init__(self, page, lab: Lab):
        self.page, self.lab = page, lab
        page.set_default_timeout(PATIENCE)
        page.goto(f"{lab.url}lab/workspaces/{secrets.token_hex(4)}?reset&token={lab.token}")
        page.wait_for_function("window.jupyterapp && window.jupyterapp.restored")
        page.evaluate("() => jupyterapp.restored")
        if page.locator("#jp-left-stack").is_visible():
            self.run("application:toggle-left-area")
        self.panel = page.locator(".jp-NotebookPanel")

    def open(self, path: Path, kernel: bool) -> "Notebook":
        """The only document, over the whole width of the page, all cells laid out. Without a kernel there is just the file."""
        self.path = path
        self.page.evaluate(
            """async ([path, kernel]) => {
                const how = kernel ? undefined : {shouldStart: false, canStart: true, autoStartDefault: false};
                const args = {path, factory: 'Notebook', kernelPreference: how};
                const panel = await jupyterapp.commands.execute('docmanager:open', args);
                await panel.context.ready;
                await panel.revealed;
                for (const other of [...jupyterapp.shell.widgets('main')]) if (!other.contains(panel)) other.dispose();
                if (kernel) {
                    await panel.sessionContext.ready;
                    await panel.sessionContext.session.kernel.info;
                }
            }""",
            [path.relative_to(self.lab.root).as_posix(), kernel],
        )
        self.page.wait_for_function(
            "n => document.querySelectorAll('.jp-Notebook .jp-Cell:not(.jp-mod-placeholder)').length == n", arg=len(self.cells)
        )
        return self

    def run(self, command: str, **args) -> None:
        """One of JupyterLab's own commands, to its end."""
        self.page.evaluate("([id, args]) => jupyterapp.commands.execute(id, args).then(() => null)", [command, args])

    @property
    def cells(self) -> list:
        """Those in the file."""
        return nbformat.read(self.path, as_version=4).cells

    def theme(self, name: str) -> None:
        """``Light`` or ``Dark``."""
        self.run("apputils:change-theme", theme=f"JupyterLab {name}")
        self.page.wait_for_selector(f"body[data-jp-theme-light={'true' if name == 'Light' else 'false'}]", state="attached")

    def run_all(self) -> None:
        """Run → Run All Cells, and wait for the last."""
        self.run("notebook:run-all-cells")

    def run_cell(self, number: int) -> None:
        """The numbered cell of the notebook, counted from 0, to its end."""
        self.page.evaluate("number => { jupyterapp.shell.currentWidget.content.activeCellIndex = number }", number)
        self.run("notebook:run-cell")

    def save(self) -> None:
        self.run("docmanager:save")

    def output(self, number: int):
        """What the numbered code cell shows."""
        return self.panel.locator(".jp-CodeCell").nth(number).locator(".jp-OutputArea")

    def photograph(self, name: str, folder: Path, height: int = 3000) -> None:
        """The whole notebook as pictures of this height, one below the other: ``name-1.jpg``, ``name-2.jpg``."""
        folder.mkdir(parents=True, exist_ok=True)
        size = self.page.viewport_size
        self.page.set_viewport_size({"width": size["width"], "height": height})
        scroll = "y => { const box = document.querySelector('.jp-WindowedPanel-outer'); box.scrollTop = y; return box.scrollTop }"
        seen = self.page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').clientHeight")
        whole = self.page.evaluate("() => document.querySelector('.jp-WindowedPanel-inner').scrollHeight")
        for i, top in enumerate(range(0, whole, seen), 1):
            self.page.evaluate(scroll, top)
            self.page.screenshot(path=folder / f"{name}-{i}.jpg", type="jpeg", quality=80)  # PNG takes twice as long
        self.page.set_viewport_size(size)
