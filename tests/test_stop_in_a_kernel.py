"""Three ways to stop a training in a real kernel: the button, Kernel → Interrupt while a cell trains, and while it waits."""

import time

import pytest
from jupyter_client.manager import start_new_kernel

from ftkit import Run, write_jsonl

pytestmark = pytest.mark.slow
LONG = "recipe = ft.LoRA(base={base!r}, r=4, alpha=8, batch_size=8, epochs=10_000)"
"""Would take hours: only stopping ends it."""


class Cells:
    """A kernel that runs cells; what it publishes is kept."""

    def __init__(self, base: str):
        self.manager, self.client = start_new_kernel(kernel_name="python3")
        self.published = []
        self.run("import ftkit as ft; split = ft.read_chats('rows.jsonl').split(seed=0)")
        self.run(LONG.format(base=base))

    def send(self, code: str) -> str:
        return self.client.execute(code)

    def reply(self, sent: str) -> dict:
        while (reply := self.client.get_shell_msg(timeout=300))["parent_header"].get("msg_id") != sent:
            pass
        self.collect()
        assert reply["content"]["status"] == "ok", reply["content"]
        return reply["content"]

    def run(self, code: str) -> str:
        """What the cell printed."""
        sent = self.send(code)
        self.reply(sent)
        time.sleep(0.2)  # seconds: what it printed may come a little after its reply
        self.collect()
        return "".join(m["content"]["text"] for m in self.published if m["msg_type"] == "stream" and m["parent_header"].get("msg_id") == sent)

    def collect(self) -> None:
        while self.client.iopub_channel.msg_ready():
            self.published.append(self.client.get_iopub_msg(timeout=1))

    def until(self, happened, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)
            self.collect()


@pytest.fixture
def cells(tiny_phi, tickets):
    write_jsonl("rows.jsonl", [row.to_dict() for row in tickets[:40]])
    cells = Cells(tiny_phi)
    yield cells
    cells.client.stop_channels()
    cells.manager.shutdown_kernel(now=True)


def usable(folder: str) -> bool:
    run = Run.open(folder)
    return run.status == "cancelled" and len(run.losses) >= 2 and run.model.reply("Where?", max_tokens=2) is not None


def test_the_button_stops_a_run_that_trains_beside_the_cells(cells):
    cells.run("run = recipe.train(split, watch=ft.live(), folder='run', background=True)")
    opened = {m["content"]["comm_id"]: m["content"]["data"]["state"] for m in cells.published if m["msg_type"] == "comm_open"}
    [button] = [name for name, state in opened.items() if state["_model_name"] == "ButtonModel"]
    assert opened[button]["description"] == "Stop"
    cells.until(lambda: int(cells.run("print(len(run.losses))")) >= 2)
    click = {"comm_id": button, "data": {"method": "custom", "content": {"event": "click"}}}
    cells.client.shell_channel.send(cells.client.session.msg("comm_msg", click))
    assert cells.run("print(run.wait().status, run.model.reply('Where?', max_tokens=2) is not None)") == "cancelled True\n"
    assert usable("run")
    states = [m["content"]["data"].get("state", {}) for m in cells.published if m["msg_type"] == "comm_msg"]
    assert [state["description"] for state in states if "description" in state] == ["stopping …", "cancelled"]
    pictures = [m for m in cells.published if m["msg_type"] == "update_display_data" and "image/png" in m["content"]["data"]]
    first = next(m for m in cells.published if m["msg_type"] == "display_data" and "loading" in str(m["content"]["data"]))
    assert pictures and all(m["content"]["transient"] == first["content"]["transient"] for m in pictures)


def test_kernel_interrupt_stops_the_cell_that_trains_and_the_notebook_goes_on(cells):
    sent = cells.send("run = recipe.train(split, watch=ft.live(), folder='run')")
    cells.until(lambda: len(Run.open("run").losses) >= 2 if _begun() else False)
    cells.manager.interrupt_kernel()
    cells.reply(sent)
    assert cells.run("print(run.status, run.model.reply('Where?', max_tokens=2) is not None)") == "cancelled True\n"
    assert usable("run")


def test_kernel_interrupt_stops_a_run_that_a_cell_waits_for(cells):
    sent = cells.send("run = recipe.train(split, watch=ft.live(), folder='run', background=True).wait()")
    cells.until(lambda: len(Run.open("run").losses) >= 2 if _begun() else False)
    cells.manager.interrupt_kernel()
    cells.reply(sent)
    assert usable("run")


def _begun() -> bool:
    from pathlib import Path

    return Path("run/events.jsonl").exists()
