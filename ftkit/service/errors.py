"""What goes wrong, in OpenAI's envelope: ``{"error": {"message", "type", "param", "code"}}``.

Never 409 (the official client would retry it) and never FastAPI's own 422 (the client could not read it).
"""

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse


class ApiError(Exception):
    """An answer other than 200. ``param`` names the field at fault, ``code`` is for programs."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def response(self) -> JSONResponse:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        body = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return JSONResponse({"error": body}, status_code=self.status)


def unknown_file(id: str) -> ApiError:
    return ApiError(404, f"No such File object: {id}", param="id")


def unknown_job(id: str) -> ApiError:
    return ApiError(404, f"Could not find fine tune: {id}", param="fine_tune_id", code="fine_tune_not_found")


def unknown_model(id: str) -> ApiError:
    return ApiError(404, f"The model '{id}' does not exist", param="model", code="model_not_found")


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
    return ApiError(400, f"Invalid '{param}': {message}; got {_short(first['input'])}.", param=param, code=code)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
