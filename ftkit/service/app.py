"""The service as one ASGI application, and how every error looks."""

import sqlite3

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ftkit.service import chat, embeddings, files, models, status, tuning
from ftkit.service.errors import ApiError, TooLarge, from_validation, refusal_of
from ftkit.service.gate import Gate
from ftkit.service.keys import Keys
from ftkit.service.limits import Limits
from ftkit.service.store import Store


def make_app(store: Store, keys: Keys, bases: list[str], limits: Limits = Limits()) -> Gate:
    """The application for one store. ``bases``: the models that may be asked and fine-tuned, the usual one first."""
    app = FastAPI(title="ftkit", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    shelf = models.Shelf(store, bases)
    for router in (
        files.routes(store, limits),
        tuning.routes(store, bases, limits),
        models.routes(store, shelf),
        chat.routes(shelf, limits),
        embeddings.routes(),
    ):
        app.include_router(router, prefix="/v1")
    app.include_router(status.routes(store, keys.names))

    def refused(request, error: Exception):
        return refusal_of(error).response()

    for kind in (ApiError, TooLarge, sqlite3.OperationalError, OSError, Exception):
        app.add_exception_handler(kind, refused)

    @app.exception_handler(RequestValidationError)
    def not_valid(request, error: RequestValidationError):
        return from_validation(error).response()

    @app.exception_handler(HTTPException)
    def not_there(request, error: HTTPException):
        if isinstance(error.__cause__, (TooLarge, OSError)):  # met while the body was read
            return refusal_of(error.__cause__).response()
        if error.status_code == 404:
            message = f"Invalid URL ({request.method} {request.url.path})"
            return ApiError(404, message, code="unknown_url").response()
        if error.status_code == 405:
            message = f"Not allowed to {request.method} on {request.url.path}."
            return ApiError(405, message, code="method_not_supported").response(error.headers)
        return ApiError(error.status_code, str(error.detail)).response()

    return Gate(app, keys)
