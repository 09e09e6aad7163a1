"""What goes wrong, in OpenAI's envelope: ``{"error": {"message", "type", "param", "code"}}``.

Never 409 (the official client would retry it) and never FastAPI's own 422 (the client could not read it).
"""

import errno
import sqlite3
import traceback

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse


class ApiError(Exception):
    """An answer other than 200. ``param`` names the field at fault, ``code`` is for programs."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def body(self) -> dict:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"message": self.message, "type": kind, "param": self.param, "code": self.code}

    def response(self, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": self.body}, status_code=self.status, headers=headers)


def unknown_file(id: str) -> ApiError:
    return ApiError(404, f"No such File object: {id}", param="id")


def unknown_job(id: str) -> ApiError:
    return ApiError(404, f"Could not find fine tune: {id}", param="fine_tune_id", code="fine_tune_not_found")


def unknown_model(id: str) -> ApiError:
    return ApiError(404, f"The model '{id}' does not exist", param="model", code="model_not_found")


class TooLarge(Exception):
    """A request's body is larger than was announced and allowed."""


def too_large(uploads: bool) -> ApiError:
    message = "The file is too large: 512 MB at most." if uploads else "The request is too large: 4 MiB at most."
    return ApiError(413, message, param="file" if uploads else None, code="request_too_large")


def refusal_of(error: BaseException) -> ApiError:
    """What a client is told about an exception that nothing else has turned into an answer."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, TooLarge):
        return too_large(uploads=True)
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in str(error)
    if full:
        return ApiError(507, "The service's disk is full. Nothing was kept of this request.", code="disk_full")
    if isinstance(error, sqlite3.OperationalError):
        message = f"The service's database cannot be used just now ({error}). Nothing was changed; try again."
        return ApiError(503, message, code="database_unavailable")
    traceback.print_exception(error)  # into the service's log
    message = f"The service failed: {type(error).__name__}. Its log says more; please report it."
    return ApiError(500, message, code="server_error")


def from_validation(error: RequestValidationError) -> ApiError:
    """The first complaint of pydantic as an ApiError with status 400."""
    first = error.errors()[0]
    kind, place = first["type"], [str(part) for part in first["loc"][1:]]
    param = ".".join(place) or None
    if kind == "json_invalid":
        return ApiError(400, "We could not parse the JSON body of your request: " + str(first["ctx"]["error"]))
    if kind == "missing":
        return ApiError(400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if kind == "extra_forbidden":
        message = f"Unknown parameter: '{param}'. This service does not support it."
        return ApiError(400, message, param=param, code="unknown_parameter")
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    message = first["msg"].removeprefix("Value error, ")
    return ApiError(400, f"Invalid {repr(param) if param else 'body'}: {message}; got {_short(first['input'])}.", param=param, code=code)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
