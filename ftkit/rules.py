"""What can be wrong with training data: one table with every rule's words, and `Finding`, a rule met at a place.

A translation is a second table with the same keys. `ftkit.data` meets the rules about one row while it reads; `ftkit.check`
meets those about a whole set.
"""

import json
from dataclasses import dataclass

LEVELS = ("error", "warning", "advice")
"""An error stops a job or makes it worthless; a warning is a likely mistake; advice is good practice."""

RULES: dict[str, tuple[str, str, str, str]] = {
    # rule: (level, what is wrong, how to mend it, why it matters)
    # ── the file
    "utf-16": ("error", "this is UTF-16, not UTF-8", "convert it: {fix}", "JSON Lines is UTF-8 everywhere"),
    "byte-order-mark": (
        "error", "starts with a byte order mark, which the API refuses", "save as plain UTF-8: {fix}",
        "the mark is three bytes that are no JSON",
    ),
    "long-line": (
        "error", "the line is longer than {mib} MiB",
        "write one example a line: is this a JSON array, or a file without line breaks?", "JSON Lines wants one example a line",
    ),
    "zero-bytes": (
        "error", "holds zero bytes", "save as UTF-8: is this UTF-16, or not text at all?", "no text in UTF-8 holds a zero byte",
    ),
    "not-utf-8": (
        "error", "byte {number} of the line is not UTF-8 (0x{byte:02x})", "save the file as UTF-8",
        "a guessed encoding turns letters into others",
    ),
    "empty-file": ("error", "the file is empty", "want one JSON object a line", "there is nothing to learn"),
    "not-json": (
        "error", "not JSON{column}: {reason}; got {got}", "write each row with json.dumps",
        "one line that cannot be read fails the whole job",
    ),
    "not-object": (
        "error", "want a JSON object {{…}}; got {got}", "write one object a line", "a row has named parts",
    ),
    "half-character": (
        "error", "holds half a character ({got})", "write it whole: something cut the text between two UTF-16 units",
        "half a surrogate pair cannot be written as UTF-8",
    ),
    "row-kind": (
        "error", "this row is a {got}, the rows before it are {kind} rows", "keep one kind of row a file",
        "a job learns from one kind of row",
    ),
    # ── a conversation
    "messages": (
        "error", 'want "messages": a list of {{"role", "content"}}; got {got}', "write the row in the chat format",
        "this is the only form the API and the recipes read",
    ),
    "message": ("error", "message {i} must be an object; got {got}", 'write {{"role": …, "content": …}}', "a message has a speaker"),
    "role": ("error", "message {i} has role {got}; want one of {roles}", "name the speaker by one of them", "templates know no other"),
    "content": (
        "error", "message {i} ({role}) must have text as content; got {got}", "write it as a string", "models read text",
    ),
    "empty": ("error", "message {i} ({role}) is empty", "write it, or drop the row", "a model taught to say nothing says nothing"),
    "system-first": (
        "error", "message {i} is from {role!r}; it may only come first", "move it to the front", "templates put it first or refuse it",
    ),
    "assistant-first": (
        "error", "message {i} is from 'assistant' before any 'user' has spoken", "put what it answers before it",
        "an answer to nothing teaches the model to ignore what is asked",
    ),
    "same-role": (
        "error", "messages {before} and {i} are both from {role!r}", "join them, or add the turn between",
        "many templates refuse two turns in a row",
    ),
    "tool-order": ("error", "message {i} is from 'tool'", "it must follow the assistant's call", "a result belongs to a call"),
    "weight": ("error", "message {i} has weight {got}", "want 0 (do not learn) or 1", "the format knows no other weight"),
    "last-role": (
        "error", "the last message is from {role!r}", "end each example with 'assistant'", "only what the assistant says is learnt",
    ),
    "no-answer": (
        "error", "the last message has no text to learn", "end each example with an answer", "only what the assistant says is learnt",
    ),
    # ── a pair, a preference
    "pair-text": ("error", 'want a text in "{name}"; got {got}', "write both sides", "a pair is two texts that belong together"),
    "group": ("error", 'want a text or a number in "group"; got {got}', "name the group, or leave it out", "groups are compared"),
    "preference-input": (
        "error", 'want "input": {{"messages": […]}}; got {got}', "write the prompt there", "both outputs answer one prompt",
    ),
    "preference-output": (
        "error", 'want "{name}": a list with one assistant message; got {got}', "write one answer there",
        "the loss compares two answers",
    ),
    "preference-chat": ("error", "{name}: {said}", "{mend}", "prompt and output together are a conversation"),
    "same-outputs": (
        "error", "both outputs are the same text", "a preference needs a better and a worse one", "equal answers have no gradient",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A rule that some data do not keep, and where.

    >>> print(finding("last-role", "chats.jsonl:12", role="user"))
    chats.jsonl:12: the last message is from 'user'; end each example with 'assistant'
    """

    level: str
    """One of `LEVELS`."""
    rule: str
    """The rule's name, a key of `RULES`."""
    where: str
    """``file:line``"""
    what: str
    """What is wrong."""
    mend: str
    """How to mend it."""
    why: str
    """Why it matters."""

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """What is wrong and how to mend it."""
        return f"{self.what}; {self.mend}"


def finding(rule: str, where: str, **values) -> Finding:
    """The Finding of ``rule`` at ``where``, its words filled with ``values``."""
    level, what, mend, why = RULES[rule]
    return Finding(level, rule, plain(where), plain(what.format(**values)), plain(mend.format(**values)), why)


def short(value: object) -> str:
    """A JSON value in at most 60 characters."""
    try:
        text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):  # nested too deep
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "…"


def plain(text: str) -> str:
    """The text with every character that cannot be printed or encoded written as an escape.

    >>> plain("a\\ud800\\x00")
    'a\\\\ud800\\\\x00'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode() for c in text)
