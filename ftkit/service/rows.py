"""The rows of an uploaded file, every one checked: conversations for supervised jobs, preferences for DPO."""

import json

from ftkit.data import PARSERS, Dataset, objects
from ftkit.errors import DataError
from ftkit.rules import Finding
from ftkit.service.store import Store

KINDS = {"supervised": "chat", "dpo": "preference"}


def read(store: Store, file_id: str, method: str) -> Dataset:
    """The rows; complaints name the file as its owner does.

    Raises:
        DataError: with every faulty row named by its line.
    """
    file = store.one("files", file_id)
    if file is None:
        raise DataError(f"{file_id}: the file was deleted before the job could read it; upload it again")
    rows, problems = [], []
    try:
        for where, value in objects(store.blob(file_id)):
            row = value if isinstance(value, Finding) else PARSERS[KINDS[method]](value, where)
            if isinstance(row, Finding):
                problems.append(str(row))
            elif problem := tools_problem(value.get("input", value)):  # the tools of a preference stand in its input
                problems.append(f"{where}: {problem}")
            else:
                rows.append(row)
    except RecursionError:
        problems.append(f"{file_id}: a row is nested too deep to be read")
    if problems:
        raise DataError(*(problem.replace(file_id, file["filename"]) for problem in problems))
    return Dataset(tuple(rows), file_id)


def in_owners_words(store: Store, file_id: str, complaint: str) -> str:
    """The complaint with the file's own name in place of the id we keep it under."""
    file = store.one("files", file_id)
    return complaint.replace(file_id, file["filename"]) if file else complaint


def tools_problem(row: dict) -> str | None:
    """What is wrong with the row's ``tools`` and with the calls of its assistant, or None.

    >>> tools_problem({"messages": [], "tools": [{"type": "function"}]})
    'tools: entry 1 must be {"type": "function", "function": {"name": …}}'
    """
    tools = row.get("tools")
    if tools is not None and not isinstance(tools, list):
        return "tools: want a list"
    names = set()
    for i, tool in enumerate(tools or (), start=1):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function" or not isinstance(function.get("name"), str):
            return f'tools: entry {i} must be {{"type": "function", "function": {{"name": …}}}}'
        names.add(function["name"])
    called = set()
    for i, message in enumerate(row.get("messages", ()), start=1):
        if message.get("role") == "tool" and message.get("tool_call_id") not in called:
            return f"message {i} answers the call {message.get('tool_call_id')!r}, which nobody made before it"
        calls = message.get("tool_calls") or ()
        if not isinstance(calls, list | tuple):
            return f"message {i}: tool_calls must be a list"
        for call in calls:
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict) or not isinstance(call.get("id"), str):
                return f'message {i}: each tool call wants "id" and "function"'
            if function.get("name") not in names:
                return f"message {i} calls {function.get('name')!r}, which is not among the row's tools"
            try:
                json.loads(function.get("arguments", ""))
            except (ValueError, TypeError):
                return f"message {i}: the arguments of {function['name']!r} are not a text of JSON"
            called.add(call["id"])
    return None
