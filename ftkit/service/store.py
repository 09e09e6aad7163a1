"""The service's memory: one SQLite file in WAL mode, and blobs beside it.

    data_dir/
      service.sqlite3     files, jobs, events, checkpoints and models, one table each
      files/file-…        what was uploaded and what jobs report, under ids made here
      runs/ftjob-…/       one run folder a job; its adapter/ is the tuned model, epochs/step-…/ are those on the way
      key, service.json   the key made at the first start, and where the service listens: for this account's eyes only

The app and the worker both open it. Every transaction is short, and takes the write lock at once when it writes.
Every row belongs to an owner, the name of a key; what belongs to another does not exist for a request.
"""

import json
import secrets
import sqlite3
import string
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ftkit.errors import FtkitError

VERSION = 2
"""Of the tables."""

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL, owner TEXT NOT NULL,
    filename TEXT NOT NULL, purpose TEXT NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL, owner TEXT NOT NULL,
    status TEXT NOT NULL, model TEXT NOT NULL, training_file TEXT NOT NULL, validation_file TEXT,
    method TEXT NOT NULL, hyperparameters TEXT NOT NULL, suffix TEXT, seed INTEGER NOT NULL, metadata TEXT,
    name TEXT NOT NULL, started REAL, deaths INTEGER NOT NULL DEFAULT 0, furthest INTEGER NOT NULL DEFAULT 0,
    finished_at INTEGER, fine_tuned_model TEXT, trained_tokens INTEGER, result_files TEXT NOT NULL DEFAULT '[]',
    error TEXT);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, owner);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL,
    job TEXT NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL,
    metric TEXT, step INTEGER);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job, seq);
CREATE UNIQUE INDEX IF NOT EXISTS each_metric_once ON events (job, metric, step);
CREATE TABLE IF NOT EXISTS checkpoints (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL,
    job TEXT NOT NULL, model TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, UNIQUE (job, step));
CREATE TABLE IF NOT EXISTS models (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, created_at INTEGER NOT NULL, owner TEXT NOT NULL,
    base TEXT NOT NULL, job TEXT NOT NULL, folder TEXT NOT NULL, bytes INTEGER NOT NULL);
PRAGMA user_version = {VERSION};
"""

JSON_COLUMNS = {"hyperparameters", "metadata", "result_files", "error", "data", "metrics"}

ALL = 1_000_000
"""A limit that means none."""


def new_id(prefix: str, length: int = 24) -> str:
    """``prefix`` and random letters and digits, such as file-3o5px4rAPMA9vclJsNSlJQi0."""
    return prefix + "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


class Store:
    """The tables and folders under one ``data_dir``. Rows come and go as dictionaries."""

    def __init__(self, data_dir: str | Path, patience: float = 30):
        self.root = Path(data_dir).resolve()
        self.patience = patience
        """Seconds to wait while another process writes."""
        for folder in (self.root / "files", self.root / "runs"):
            folder.mkdir(parents=True, exist_ok=True)
        with self.connection() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables and version != VERSION:
                raise FtkitError(f"{self.root}: written by another version of ftkit; choose another data_dir")
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(SCHEMA)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.root / "service.sqlite3", timeout=self.patience, isolation_level=None)
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
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # a full disk has rolled it back already
                    db.execute("ROLLBACK")
                raise

    def blob(self, file_id: str) -> Path:
        return self.root / "files" / file_id

    def run_folder(self, job_id: str) -> Path:
        return self.root / "runs" / job_id

    def one(self, table: str, id: str, **equal) -> dict | None:
        """The row with this id, or None."""
        rows, _ = self.page(table, id=id, **equal)
        return rows[0] if rows else None

    def page(
        self,
        table: str,
        *,
        after: str | None = None,
        limit: int = ALL,
        order: str = "desc",
        metadata: dict[str, str] | None = None,
        **equal,
    ) -> tuple[list[dict], bool]:
        """Up to ``limit`` rows that lie beyond the row ``after``, and whether there are more.

        Raises:
            KeyError: there is no row ``after`` among those that are ``equal``.
        """
        conditions, values = [f"{name} = ?" for name in equal], list(equal.values())
        with self.connection() as db:
            if after is not None:
                same = " AND ".join(["id = ?", *conditions])
                mark = db.execute(f"SELECT seq FROM {table} WHERE {same}", [after, *values]).fetchone()
                if mark is None:
                    raise KeyError(after)
                conditions.append(f"seq {'<' if order == 'desc' else '>'} {mark['seq']}")
            for pair in (metadata or {}).items():
                conditions.append("EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND value = ?)")
                values += pair
            where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
            query = f"SELECT * FROM {table} {where} ORDER BY seq {order} LIMIT {limit + 1}"
            rows = [_decoded(row) for row in db.execute(query, values)]
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
