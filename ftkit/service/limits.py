"""How much one key may have at a time."""

from dataclasses import dataclass

from ftkit.service.errors import ApiError
from ftkit.service.jobs import ACTIVE
from ftkit.service.store import Store

GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """For each key of the service."""

    jobs: int = 100
    """That have not ended."""
    gib: float = 20
    """Of files and tuned models together."""
    chats: int = 16
    """Answers in the making at the same time."""

    def check_jobs(self, store: Store, owner: str) -> None:
        """Raise ApiError if the owner may not start one more job."""
        with store.connection() as db:
            marks = ", ".join("?" * len(ACTIVE))
            query = f"SELECT count(*) FROM jobs WHERE owner = ? AND status IN ({marks})"
            (count,) = db.execute(query, (owner, *ACTIVE)).fetchone()
        if count >= self.jobs:
            message = f"You have {count} jobs that have not ended, and may have {self.jobs}; wait, or cancel one."
            raise ApiError(429, message, code="job_limit_exceeded")

    def room(self, store: Store, owner: str) -> int:
        """Bytes the owner may still add; 0 or less: none."""
        with store.connection() as db:
            query = "SELECT (SELECT total(bytes) FROM files WHERE owner = :o) + (SELECT total(bytes) FROM models WHERE owner = :o)"
            (used,) = db.execute(query, {"o": owner}).fetchone()
        return int(self.gib * GIB - used)

    def check_room(self, store: Store, owner: str, size: int = 1) -> None:
        """Raise ApiError if ``size`` more bytes are more than the owner may keep."""
        if self.room(store, owner) < size:
            message = f"Your files and models would take more than the {self.gib:g} GiB you may have; delete some."
            raise ApiError(403, message, param="file", code="storage_limit_exceeded")
