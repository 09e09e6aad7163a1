"""What routes share: whose request it is, and one page of a list in OpenAI's list object."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from ftkit.service.errors import ApiError
from ftkit.service.store import Store


def _owner(request: Request) -> str:
    return request.state.owner  # left there by the gate


Owner = Annotated[str, Depends(_owner)]
"""The name of the key's owner."""


def page(store: Store, table: str, shown: Callable[[dict], dict], *, after: str | None, limit: int, **rest) -> dict:
    """``{"object": "list", "data": […], "has_more": …}``; the next page starts ``after`` the last id of this one."""
    try:
        rows, more = store.page(table, after=after, limit=limit, **rest)
    except KeyError:
        raise ApiError(400, f"Invalid 'after': there is no {after!r} in this list.", param="after") from None
    data = [shown(row) for row in rows]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, **ends, "has_more": more}
