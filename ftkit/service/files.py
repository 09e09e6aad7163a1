"""The routes under /v1/files."""

import base64
import re
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi.responses import Response

from ftkit.service.errors import ApiError, unknown_file
from ftkit.service.paging import page
from ftkit.service.store import Store, insert, new_id

LARGEST = 512 * 1024 * 1024
"""Bytes of one file, as OpenAI has it."""

RESULTS = "fine-tune-results"


def routes(store: Store) -> APIRouter:
    router = APIRouter(prefix="/files")

    @router.post("")
    def create(
        file: Annotated[UploadFile, File()],
        purpose: Annotated[Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"], Form()],
    ) -> dict:
        id, size = new_id("file-"), 0
        blob = store.blob(id)
        with open(blob, "xb") as out:
            while piece := file.file.read(1 << 20):
                size += len(piece)
                if size > LARGEST:
                    break
                out.write(piece)
        if not 0 < size <= LARGEST:
            blob.unlink()
            message = "The file is empty." if size == 0 else "The file is too large: 512 MB at most."
            raise ApiError(400 if size == 0 else 413, message, param="file", code="invalid_file")
        return shown(add_file(store, id, last_component(file.filename or ""), purpose, size))

    @router.get("")
    def list_files(
        purpose: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        after: str | None = None,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict:
        equal = {"purpose": purpose} if purpose else {}
        return page(store, "files", shown, after=after, limit=limit, order=order, **equal)

    @router.get("/{id}")
    def retrieve(id: str) -> dict:
        return shown(found(store, id))

    @router.get("/{id}/content")
    def content(id: str) -> Response:
        """The bytes; result files in base64, as OpenAI serves them."""
        file = found(store, id)
        data = store.blob(id).read_bytes()
        if file["purpose"] == RESULTS:
            data = base64.b64encode(data)
        return Response(data, media_type="application/octet-stream")

    @router.delete("/{id}")
    def delete(id: str) -> dict:
        found(store, id)
        with store.transaction() as db:
            db.execute("DELETE FROM files WHERE id = ?", (id,))
        store.blob(id).unlink(missing_ok=True)
        return {"id": id, "object": "file", "deleted": True}

    return router


def add_file(store: Store, id: str, filename: str, purpose: str, size: int) -> dict:
    """The row of a file whose blob is in place."""
    with store.transaction() as db:
        return insert(db, "files", id=id, filename=filename, purpose=purpose, bytes=size)


def found(store: Store, id: str) -> dict:
    """The row, or 404."""
    row = store.one("files", id)
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
