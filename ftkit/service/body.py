"""What a request's body may be, settled before anything reads it: its size, and how deep its JSON is nested."""

import re
from contextlib import suppress

from ftkit.service.errors import TooLarge

LARGEST_UPLOAD = 513 * 1024 * 1024
"""Bytes. A file may have 512 MB; the rest is the form around it."""

LARGEST_JSON = 4 * 1024 * 1024
"""Bytes."""

DEEPEST = 64
"""Brackets within brackets. No request of the protocol comes near; a few thousand would break a parser."""

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


def too_deep(body: bytes) -> bool:
    """Whether brackets are nested deeper than `DEEPEST`; those inside strings do not count.

    >>> too_deep(b"[" * 100), too_deep(b'"' + b"[" * 100 + b'"')
    (True, False)
    """
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEEPEST:
            return True
    return False


class Incoming:
    """A request's ``receive``, counted: a length need not be announced, or true."""

    def __init__(self, receive):
        self._receive = receive
        self.most = LARGEST_JSON
        """Bytes; one more, and TooLarge is raised."""
        self.count, self.ended = 0, False

    async def __call__(self):
        message = await self._receive()
        self.count += len(message.get("body", b""))
        self.ended = message["type"] != "http.request" or not message.get("more_body")
        if self.count > self.most:
            raise TooLarge
        return message

    async def drain(self, most: int) -> None:
        """Read what still comes, up to ``most`` bytes in all: a client that is still sending would not see our answer."""
        self.most = max(most, self.count)
        with suppress(TooLarge):
            while not self.ended:
                await self()


async def whole(receive) -> tuple[bytes, object]:
    """The body, and a ``receive`` that tells it again; a client that left early is heard of in the second way only."""
    pieces, messages = [], []
    while True:
        message = await receive()
        messages.append(message)
        pieces.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            break

    async def again():
        return messages.pop(0) if messages else await receive()

    return b"".join(pieces), again
