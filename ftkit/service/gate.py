"""Stands before the application: no key, no entry; no body that could hurt; every answer carries ``x-request-id``."""

import base64
import uuid

from starlette.responses import PlainTextResponse, Response

from ftkit.service import body
from ftkit.service.errors import ApiError, TooLarge, refusal_of, too_large
from ftkit.service.keys import OWNER, Keys

STATUS_PAGE = "/status"


class Gate:
    """An ASGI application around another one; leaves the name of the key's owner in ``request.state.owner``."""

    def __init__(self, app, keys: Keys):
        self.app, self.keys = app, keys

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{uuid.uuid4().hex}".encode()

        async def send_with_id(message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        incoming = body.Incoming(receive)
        try:
            await self.admit(scope, incoming, send_with_id)
        except (ApiError, TooLarge) as error:
            await incoming.drain(2 * body.LARGEST_UPLOAD if "owner" in scope.get("state", {}) else body.LARGEST_JSON)
            await refusal_of(error).response()(scope, receive, send_with_id)

    async def admit(self, scope, receive: body.Incoming, send) -> None:
        """Pass the request on; or raise the ApiError, or TooLarge, that refuses it."""
        headers = dict(scope["headers"])
        if scope["path"] == STATUS_PAGE and (owner := self.keys.owner(password(headers))) != OWNER:
            await for_the_instructor(known=owner is not None)(scope, receive, send)
            return
        owner = OWNER if scope["path"] == STATUS_PAGE else self.bearer(headers)
        scope["state"] = {**scope.get("state", {}), "owner": owner}
        uploads = headers.get(b"content-type", b"").startswith(b"multipart/form-data")
        largest = body.LARGEST_UPLOAD if uploads else body.LARGEST_JSON
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > largest:
            raise too_large(uploads)
        receive.most = largest
        if not uploads and scope["method"] == "POST":
            data, receive = await body.whole(receive)
            if body.too_deep(data):
                raise ApiError(400, f"The JSON body is nested deeper than {body.DEEPEST} levels.", code="invalid_json")
        await self.app(scope, receive, send)

    def bearer(self, headers: dict[bytes, bytes]) -> str:
        """The owner of the request's key.

        Raises:
            ApiError: 401.
        """
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if not given:
            message = "You didn't provide an API key. Send it in an Authorization header: Bearer YOUR_KEY."
            raise ApiError(401, message, code="invalid_api_key")
        owner = self.keys.owner(given.strip()) if scheme.lower() == b"bearer" else None
        if owner is None:
            message = "Incorrect API key provided. This service wants a key it was started with."
            raise ApiError(401, message, code="invalid_api_key")
        return owner


def password(headers: dict[bytes, bytes]) -> bytes:
    """The password a browser sends (HTTP Basic), or the key a program does."""
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip()
    try:
        return base64.b64decode(given).partition(b":")[2]
    except ValueError:
        return b""


def for_the_instructor(known: bool) -> Response:
    """Ask the browser for the password; a learner's own key does not open the page."""
    if known:
        return PlainTextResponse("This page is for whoever started the service.", 403)
    headers = {"WWW-Authenticate": 'Basic realm="ftkit: any user name; the password is the service key"'}
    return PlainTextResponse("The password is the key of whoever started the service.", 401, headers)
