"""The page /status: who of a class is queued, running, done. For the instructor, whose key is the password."""

import html
import time

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from ftkit.service.store import Store

STATES = ("validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled")

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<title>ftkit service</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2rem; }}
td, th {{ padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }}
td:first-child, th:first-child {{ text-align: left; }}
</style>
<h1>ftkit service</h1>
<p>{summary}</p>
<h2>Who</h2>
{people}
<h2>At work and waiting</h2>
{queue}
</html>"""


def routes(store: Store, names: list[str]) -> APIRouter:
    router = APIRouter()

    @router.get("/status", response_class=HTMLResponse, include_in_schema=False)
    def status() -> str:
        return page(store, names)

    return router


def page(store: Store, names: list[str]) -> str:
    """The whole page; nobody's rows and no key are on it."""
    with store.connection() as db:
        counts = {(row["owner"], row["status"]): row["n"] for row in db.execute(
            "SELECT owner, status, count(*) AS n FROM jobs GROUP BY owner, status")}  # fmt: skip
        files = dict(db.execute("SELECT owner, total(bytes) / 1048576 FROM files GROUP BY owner").fetchall())
        waiting = db.execute(
            "SELECT owner, id, status, created_at, (SELECT message FROM events WHERE job = jobs.id ORDER BY seq DESC LIMIT 1) "
            "AS last FROM jobs WHERE status IN ('running', 'queued', 'validating_files', 'paused') "
            "ORDER BY status != 'running', seq"
        ).fetchall()
    people = [
        (name, *(counts.get((name, state), "") for state in STATES), f"{files.get(name, 0):.1f}") for name in names
    ]
    now = time.time()
    queue = [(row["owner"], row["id"], row["status"], f"{(now - row['created_at']) / 60:.0f}", row["last"]) for row in waiting]
    totals = {state: sum(n for (_, one), n in counts.items() if one == state) for state in STATES}
    summary = " · ".join(f"{n} {state}" for state, n in totals.items() if n) or "No jobs yet"
    return PAGE.format(
        summary=f"{summary}. {time.strftime('%H:%M:%S')}",
        people=table(("name", *STATES, "MiB of files"), people),
        queue=table(("name", "job", "status", "minutes", "last event"), queue) if queue else "<p>Nobody.</p>",
    )


def table(heads: tuple, rows: list[tuple]) -> str:
    """
    >>> table(("a",), [("<b>",)])
    '<table><tr><th>a</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """

    def line(cell: str, values: tuple) -> str:
        return "<tr>" + "".join(f"<{cell}>{html.escape(str(value))}</{cell}>" for value in values) + "</tr>"

    return "<table>" + line("th", heads) + "".join(line("td", row) for row in rows) + "</table>"
