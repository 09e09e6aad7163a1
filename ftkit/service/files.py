"""The routes under /v1/files."""

import base64
import re
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import FileResponse, Response

from ftkit.service.errors import ApiError, unknown_file
from ftkit.service.jobs import ACTIVE
from ftkit.service.limits import Limits
from ftkit.service.paging import Owner, page
from ftkit.service.results import PURPOSE as RESULTS
from ftkit.service.store import Store, insert, new_id

LARGEST = 512 * 1024 * 1024
"""Bytes of one file, as OpenAI has it."""


def routes(store: Store, limits: Limits) -> APIRouter:
    router = APIRouter(prefix="/files")

    @router.post("")
    def create(
        owner: Owner,
        file: Annotated[UploadFile, File()],
        purpose: Annotated[Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"], Form()],
    ) -> dict:
        limits.check_room(store, owner, file.size or 1)
        id, size = new_id("file-"), 0
        blob = store.blob(id)
        try:
            with open(blob, "xb") as out:
                while piece := file.file.read(1 << 20):
                    size += len(piece)
                    if size > LARGEST:
                        raise ApiError(413, "The file is too large: 512 MB at most.", param="file", code="invalid_file")
                    out.write(piece)
            if size == 0:
                raise ApiError(400, "The file is empty.", param="file", code="invalid_file")
            with store.transaction() as db:
                about = dict(owner=owner, filename=last_component(file.filename or ""), purpose=purpose, bytes=size)
                return shown(insert(db, "files", id=id, **about))
        except BaseException:  # refused, the disk is full, or the database cannot be written
            blob.unlink(missing_ok=True)
            raise

    @router.get("")
    def list_files(
        owner: Owner,
        purpose: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        after: str | None = None,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict:
        equal = {"purpose": purpose} if purpose else {}
        return page(store, "files", shown, after=after, limit=limit, order=order, owner=owner, **equal)

    @router.get("/{id}")
    def retrieve(owner: Owner, id: str) -> dict:
        return shown(found(store, owner, id))

    @router.get("/{id}/content", response_class=Response)
    def content(owner: Owner, id: str) -> Response:
        """The bytes; result files in base64, as OpenAI serves them."""
        file = found(store, owner, id)
        if file["purpose"] == RESULTS:
            return Response(base64.b64encode(store.blob(id).read_bytes()), media_type="application/octet-stream")
        return FileResponse(store.blob(id), media_type="application/octet-stream")

    @router.delete("/{id}")
    def delete(owner: Owner, id: str) -> dict:
        found(store, owner, id)
        with store.transaction() as db:
            marks = ", ".join("?" * len(ACTIVE))
            query = f"SELECT id FROM jobs WHERE ? IN (training_file, validation_file) AND status IN ({marks})"
            if job := db.execute(query, (id, *ACTIVE)).fetchone():
                message = f"{job['id']} has not ended and needs this file; cancel it, or wait."
                raise ApiError(400, message, param="id", code="file_in_use")
            db.execute("DELETE FROM files WHERE id = ?", (id,))
        store.blob(id).unlink(missing_ok=True)
        return {"id": id, "object": "file", "deleted": True}

    return router


def found(store: Store, owner: str, id: str) -> dict:
    """The row, or 404."""
    row = store.one("files", id, owner=owner)
    if row is None:
        raise unknown_file(id)
    return row


def last_component(name: str) -> str:
    """A client's file name as a mere label: no folders, no control characters, 255 characters at most.

    >>> last_component("../../etc/passwd")
    'passwd'
    """
    return re.sub(r"[\x00-\x1f\x7f]", "", re.split(r"[\\/]", name)[-1])[:255] or "file"


def shown(row: dict) -> dict:
    """The file as OpenAI's ``file`` object."""
    return {
        "object": "file",
        "id": row["id"],
        "purpose": row["purpose"],
        "filename": row["filename"],
        "bytes": row["bytes"],
        "created_at": row["created_at"],
        "expires_at": None,
        "status": "processed",
        "status_details": None,
    }
