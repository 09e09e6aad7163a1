"""The service's memory: one SQLite file in WAL mode, and blobs beside it.

    data_dir/
      service.sqlite3     files, jobs, events, checkpoints and models, one table each
      files/file-…        what was uploaded and what jobs report, under ids made here
      runs/ftjob-…/       one run folder a job; its adapter/ is the tuned model

The app and the worker both open it. Every transaction is short, and takes the write lock at once when it writes.
"""

import json
import secrets
import sqlite3
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL,
    filename TEXT NOT NULL, purpose TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL,
    status TEXT NOT NULL, model TEXT NOT NULL, training_file TEXT NOT NULL, validation_file TEXT,
    hyperparameters TEXT NOT NULL, suffix TEXT, seed INTEGER NOT NULL, metadata TEXT,
    finished_at INTEGER, fine_tuned_model TEXT, trained_tokens INTEGER, result_files TEXT NOT NULL DEFAULT '[]',
    error TEXT);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL,
    job TEXT NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job, seq);
CREATE TABLE IF NOT EXISTS checkpoints (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL,
    job TEXT NOT NULL, model TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS models (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL,
    base TEXT NOT NULL, job TEXT NOT NULL);
"""

JSON_COLUMNS = {"hyperparameters", "metadata", "result_files", "error", "data", "metrics"}


def new_id(prefix: str, length: int = 24) -> str:
    """``prefix`` and random letters and digits, such as file-3o5px4rAPMA9vclJsNSlJQi0."""
    return prefix + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


class Store:
    """The tables and folders under one ``data_dir``. Rows come and go as dictionaries."""

    def __init__(self, data_dir: str | Path):
        self.root = Path(data_dir).resolve()
        for folder in (self.root / "files", self.root / "runs"):
            folder.mkdir(parents=True, exist_ok=True)
        with self.connection() as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(SCHEMA)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.root / "service.sqlite3", timeout=30, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            yield db
        finally:
            db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside happens, or nothing does."""
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def blob(self, file_id: str) -> Path:
        return self.root / "files" / file_id

    def run_folder(self, job_id: str) -> Path:
        return self.root / "runs" / job_id

    def one(self, table: str, id: str) -> dict | None:
        """The row with this id, or None."""
        with self.connection() as db:
            return _decoded(db.execute(f"SELECT * FROM {table} WHERE id = ?", (id,)).fetchone())

    def page(
        self, table: str, *, after: str | None, limit: int, order: str = "desc", **equal
    ) -> tuple[list[dict], bool]:
        """Up to ``limit`` rows that lie beyond the row ``after``, and whether there are more.

        Raises:
            KeyError: there is no row ``after``.
        """
        conditions = [f"{name} = :{name}" for name in equal]
        with self.connection() as db:
            if after is not None:
                mark = db.execute(f"SELECT seq FROM {table} WHERE id = ?", (after,)).fetchone()
                if mark is None:
                    raise KeyError(after)
                conditions.append(f"seq {'<' if order == 'desc' else '>'} {mark['seq']}")
            where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
            query = f"SELECT * FROM {table} {where} ORDER BY seq {order} LIMIT {limit + 1}"
            rows = [_decoded(row) for row in db.execute(query, equal)]
        return rows[:limit], len(rows) > limit


def insert(db: sqlite3.Connection, table: str, **values) -> dict:
    """The row as stored, its ``created_at`` filled in."""
    values = {"created_at": int(time.time()), **_encoded(values)}
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    row = db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING *", values).fetchone()
    return _decoded(row)


def update(db: sqlite3.Connection, table: str, id: str, *, only_if: tuple[str, ...] = (), **values) -> bool:
    """Whether the row changed. With ``only_if``: it changes only while its status is one of these."""
    values = _encoded(values)
    condition = f"AND status IN ({', '.join(repr(status) for status in only_if)})" if only_if else ""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    done = db.execute(f"UPDATE {table} SET {assignments} WHERE id = :id {condition}", {**values, "id": id})
    return done.rowcount == 1


def _encoded(values: dict) -> dict:
    return {k: json.dumps(v) if k in JSON_COLUMNS and v is not None else v for k, v in values.items()}


def _decoded(row: sqlite3.Row | None) -> dict | None:
    if row is None:
        return None
    return {k: json.loads(row[k]) if k in JSON_COLUMNS and row[k] is not None else row[k] for k in row.keys()}
