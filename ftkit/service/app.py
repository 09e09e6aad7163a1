"""The service as one ASGI application: who may come in, and how every error looks."""

import hmac
import uuid

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ftkit.service import chat, files, tuning
from ftkit.service.errors import ApiError, from_validation
from ftkit.service.store import Store

LARGEST_REQUEST = 513 * 1024 * 1024
"""Bytes. A file may have 512 MB; the rest is the form around it."""


def make_app(store: Store, key: str, bases: list[str]) -> "Gate":
    """The application for one store. ``bases``: the models that may be asked and fine-tuned, the usual one first."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    shelf = chat.Shelf(store, bases)
    app.include_router(files.routes(store), prefix="/v1")
    app.include_router(tuning.routes(store, bases), prefix="/v1")
    app.include_router(chat.routes(store, shelf), prefix="/v1")

    @app.exception_handler(ApiError)
    def refused(request, error: ApiError):
        return error.response()

    @app.exception_handler(RequestValidationError)
    def not_valid(request, error: RequestValidationError):
        return from_validation(error).response()

    @app.exception_handler(HTTPException)
    def not_there(request, error: HTTPException):
        if error.status_code == 404:
            message = f"Invalid URL ({request.method} {request.url.path})"
            return ApiError(404, message, code="unknown_url").response()
        if error.status_code == 405:
            message = f"Not allowed to {request.method} on {request.url.path}."
            return ApiError(405, message, code="method_not_supported").response()
        return ApiError(error.status_code, str(error.detail)).response()

    @app.exception_handler(Exception)
    def our_fault(request, error: Exception):  # uvicorn logs the traceback
        message = f"The service failed: {type(error).__name__}. Its log says more; please report it."
        return ApiError(500, message, code="server_error").response()

    return Gate(app, key)


class Gate:
    """Stands before the application: no key, no entry; every answer carries ``x-request-id``."""

    def __init__(self, app: FastAPI, key: str):
        self.app = app
        self.key = key.encode()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{uuid.uuid4().hex}".encode()

        async def send_with_id(message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        refusal = self.refusal(dict(scope["headers"]))
        await (refusal.response() if refusal else self.app)(scope, receive, send_with_id)

    def refusal(self, headers: dict[bytes, bytes]) -> ApiError | None:
        """Why this request may not come in, or None."""
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if not given:
            message = "You didn't provide an API key. Send it in an Authorization header: Bearer YOUR_KEY."
            return ApiError(401, message, code="invalid_api_key")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self.key):
            message = "Incorrect API key provided. This service wants the key it was started with."
            return ApiError(401, message, code="invalid_api_key")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > LARGEST_REQUEST:
            return ApiError(413, "The request is too large: a file may have 512 MB.", param="file")
        return None
