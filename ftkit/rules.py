"""What can be wrong with training data: one table with every rule's words, and `Finding`, a rule met at a place.

`ftkit.lang` says them in Vietnamese. `ftkit.data` meets the rules about one row while it reads; `ftkit.check`
meets those about a whole set.
"""

import json
from dataclasses import dataclass

from ftkit.lang import say

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
    "same-texts": ("error", "anchor and positive are the same text", "write two, or drop the row", "there is nothing to learn"),
    "score": ("error", 'want a number from 0 to 1 in "score"; got {got}', "divide by the highest score", "a cosine is compared with it"),
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
    # ── a text
    "mojibake": (
        "warning", "letters are garbled: {got} should read {want}", "decode the source as UTF-8, not as Windows-1252",
        "the model would learn to write this",
    ),
    "replacement": (
        "warning", "holds the replacement character �, where a letter was lost", "go back to the source of the text",
        "the model would learn to write this",
    ),
    "decomposed": (
        "warning", "letters and their marks are stored apart (Unicode NFD)",
        'write unicodedata.normalize("NFC", text) when making the file', "other tokens than those that users type",
    ),
    "invisible": ("warning", "holds an invisible character ({got})", "take it out", "it costs tokens, and splits words for the model"),
    "whitespace": ("warning", "the answer begins or ends with white space", "strip it", "the model would learn to write it"),
    "missing-marks": (
        "advice", "Vietnamese without tone marks, as are {count} rows here: {got}",
        "write the marks, unless your users leave them out too", "to the model these are other words",
    ),
    "key": ("error", "holds what looks like {kind} ({got})", "take it out, and revoke it", "a model can be made to say what it learnt"),
    "personal": (
        "warning", "holds what looks like {kind} ({got})", "replace it by an invented one", "a model can be made to say what it learnt",
    ),
    "too-long": (
        "warning", "{tokens} tokens, more than {limit}", "shorten it, or split it into several rows", "what is beyond is cut off or refused",
    ),
    # ── a set
    "too-few": (
        "error", "{count} rows to train on; a job wants {least} or more", "write more rows", "the API fails such a job (invalid_n_examples)",
    ),
    "few": ("advice", "{count} rows to train on", "aim for 50 to 100 good ones first", "there is where gains usually begin to show"),
    "duplicate": ("warning", "the same row as {other}", "drop one", "a row seen twice weighs twice"),
    "contradiction": (
        "warning", "the same prompt as {other}, with another answer", "keep the right one",
        "the model learns to guess between them",
    ),
    "several-answers": (
        "advice", "the same prompt as {other}, with another answer", "fine if both are good; else keep the better one",
        "the model learns each of them half",
    ),
    "preference-reversed": (
        "error", "prefers what {other} rejects", "keep the right one", "the two rows pull against each other",
    ),
    "near-duplicate": (
        "advice", "asks nearly the same as {other}{more}", "keep those that add something; split() keeps them in one part",
        "rows that differ add more than rows that repeat",
    ),
    "leak": (
        "error", "the same prompt stands in {part}: {other}", "take it out of one of them", "a test on rows seen in training proves nothing",
    ),
    "near-leak": (
        "warning", "nearly the same prompt stands in {part}: {other}", "split with Dataset.split, which keeps such rows together",
        "the test would be easier than the world",
    ),
    "group-leak": (
        "warning", "rows of its group {group!r} stand in {part}: {other}", "keep a group in one part", "the test would be easier than the world",
    ),
    "system-prompt": (
        "warning", "{got}; {share} of the rows have {usual}, such as {other}", "use one system prompt, in training and in use",
        "a tuned model listens to the system prompt it was tuned with",
    ),
    "class-balance": (
        "advice", "{label} is the answer{field} of {count} of {total} rows; {most} is that of {most_count}",
        "add rows of the rare one, or judge with macro F1", "a rare class is learnt badly, and accuracy hides it",
    ),
    "one-answer": (
        "warning", "every answer is the same: {got}", "add rows that want another answer", "there is nothing to tell apart",
    ),
    "format": (
        "warning", "{got}, unlike {share} of the answers", "write every answer in one form", "the model learns the form first",
    ),
    "variety": (
        "advice", "{share} of the rows begin with {got}", "vary the wording as your users would",
        "a model tuned on one phrasing knows one phrasing",
    ),
    "repeats": (
        "advice", "{share} of the rows repeat others, wholly or nearly", "prefer fewer rows that differ",
        "quality comes before quantity",
    ),
    "try-prompting": (
        "advice", "fine-tuning is the last step of the ladder", "measure a prompt, then a prompt with examples, on the same test set first",
        "they cost minutes, and may be enough",
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
    what, mend = (plain(say(words).format(**values)) for words in (what, mend))
    return Finding(level, rule, plain(where), what, mend, say(why))


def short(value: object) -> str:
    """A JSON value in at most 60 characters."""
    try:
        text = say("nothing") if value is None else json.dumps(value, ensure_ascii=False, default=str)
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
