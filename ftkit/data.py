"""Rows, data sets and splits; reading and writing them as JSON Lines.

A row keeps the file and line it came from, so that every later complaint can name them. Standard library only.
"""

import hashlib
import json
import os
import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ftkit.errors import DataError
from ftkit.files import write_atomic
from ftkit.lang import say
from ftkit.rules import Finding, finding, short
from ftkit.split import assign

LONGEST_LINE = 4 * 1024 * 1024
"""Bytes. A longer line is refused: it is a file without line breaks far more often than a training example."""

SHOWN_PROBLEMS = 10
"""How many faults of one file an error lists before it only counts the rest."""

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True)
class Chat:
    """One conversation that ends with the answer to learn, in the OpenAI chat format."""

    messages: tuple[dict, ...]
    """``{"role": …, "content": …}``, the last one from the assistant."""
    where: str = field(default="", compare=False)
    """``file:line`` the row was read from."""

    @property
    def prompt(self) -> list[dict]:
        """Every message before the answer."""
        return [dict(message) for message in self.messages[:-1]]

    @property
    def answer(self) -> str:
        """What the assistant should say."""
        return self.messages[-1]["content"]

    @property
    def text(self) -> str:
        """What the user says: the part that near-duplicates are judged by."""
        return "\n".join(message["content"] for message in self.messages if message["role"] == "user")

    def to_dict(self) -> dict:
        return {"messages": [dict(message) for message in self.messages]}


@dataclass(frozen=True)
class Pair:
    """Two texts that belong together, such as a question and the passage that answers it."""

    anchor: str
    positive: str
    group: str | None = None
    """Rows of one group (a document, an intent) never land in two parts of a split."""
    where: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        return self.anchor

    def to_dict(self) -> dict:
        return {"anchor": self.anchor, "positive": self.positive} | ({"group": self.group} if self.group else {})


@dataclass(frozen=True)
class ScoredPair:
    """Two texts and how alike they are, from 0 (nothing in common) to 1 (the same), as people or a rule judged them."""

    sentence1: str
    sentence2: str
    score: float
    group: str | None = None
    """Rows of one group never land in two parts of a split."""
    where: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        return self.sentence1

    def to_dict(self) -> dict:
        row = {"sentence1": self.sentence1, "sentence2": self.sentence2, "score": self.score}
        return row | ({"group": self.group} if self.group else {})


@dataclass(frozen=True)
class Preference:
    """A prompt with a better and a worse answer, as people or a rule judged them; the OpenAI format for DPO."""

    messages: tuple[dict, ...]
    """The prompt, ``{"role": …, "content": …}``; the last one from the user."""
    chosen: str
    """The better answer."""
    rejected: str
    """The worse answer."""
    where: str = field(default="", compare=False)

    @property
    def prompt(self) -> list[dict]:
        return [dict(message) for message in self.messages]

    @property
    def text(self) -> str:
        return "\n".join(message["content"] for message in self.messages if message["role"] == "user")

    @property
    def answers(self) -> tuple[Chat, Chat]:
        """The prompt with the better answer, and with the worse one."""
        ends = ({"role": "assistant", "content": text} for text in (self.chosen, self.rejected))
        return tuple(Chat((*self.messages, end), self.where) for end in ends)

    def to_dict(self) -> dict:
        better, worse = ([{"role": "assistant", "content": text}] for text in (self.chosen, self.rejected))
        return {"input": {"messages": self.prompt}, "preferred_output": better, "non_preferred_output": worse}


@dataclass(frozen=True)
class SearchSet:
    """A search task: queries, a corpus, and which documents answer which query."""

    corpus: dict[str, str]
    """document id → text"""
    queries: dict[str, str]
    """query id → text"""
    qrels: dict[str, dict[str, int]]
    """query id → {document id: relevance, 1 or more}; "query relevances" in the words of TREC."""
    name: str = field(default="search", compare=False)

    def __post_init__(self):
        for query, documents in self.qrels.items():
            if query not in self.queries:
                raise DataError(f"SearchSet: qrels judge query {query!r}, which does not exist")
            if strangers := [one for one in documents if one not in self.corpus]:
                raise DataError(f"SearchSet: qrels judge document {strangers[0]!r} for {query!r}, which does not exist")

    @classmethod
    def from_pairs(cls, pairs: "Iterable[Pair]") -> "SearchSet":
        """Each distinct anchor is a query, each distinct positive a document.

        Raises:
            DataError: rows of another kind.

        >>> task = SearchSet.from_pairs([Pair("mean of x", "numpy.mean"), Pair("average of x", "numpy.mean")])
        >>> len(task.queries), len(task.corpus), task.qrels
        (2, 1, {'q0': {'d0': 1}, 'q1': {'d0': 1}})
        """
        documents: dict[str, str] = {}
        queries: dict[str, str] = {}
        qrels: dict[str, dict[str, int]] = {}
        for pair in pairs:
            if not isinstance(pair, Pair):
                raise DataError(f"SearchSet: search is measured on pairs; got a {type(pair).__name__}: use read_pairs")
            query = queries.setdefault(pair.anchor, f"q{len(queries)}")
            document = documents.setdefault(pair.positive, f"d{len(documents)}")
            qrels.setdefault(query, {})[document] = 1
        return cls({i: text for text, i in documents.items()}, {i: text for text, i in queries.items()}, qrels)

    def to_dict(self) -> dict:
        return {"corpus": self.corpus, "queries": self.queries, "qrels": self.qrels}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical JSON of the whole task."""
        return _sha256([self.to_dict()])

    def __len__(self) -> int:
        return len(self.queries)


Row = Chat | Pair | ScoredPair | Preference


@dataclass(frozen=True)
class Dataset(Sequence):
    """Rows of one kind, in order. Slicing gives a Dataset, an index gives a row."""

    rows: tuple[Row, ...]
    name: str = "data"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index):
        return Dataset(self.rows[index], self.name) if isinstance(index, slice) else self.rows[index]

    def __repr__(self) -> str:
        kind = type(self.rows[0]).__name__ if self.rows else "empty"
        return f"Dataset({self.name}: {len(self):,} rows of {kind})"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical JSON of every row: equal data, equal fingerprint, wherever the file lies."""
        return _sha256(row.to_dict() for row in self.rows)

    def sample(self, n: int, seed: int = 0) -> "Dataset":
        """``n`` rows (all, if there are fewer) drawn without replacement, in file order."""
        kept = sorted(random.Random(seed).sample(range(len(self)), min(n, len(self))))
        return Dataset(tuple(self.rows[i] for i in kept), self.name)

    def split(
        self,
        seed: int = 0,
        sizes: tuple[float, float, float] = (0.8, 0.1, 0.1),
        stratify: str | Callable[[Row], Hashable] | None = None,
        groups: Callable[[Row], Hashable] | None = None,
    ) -> "Split":
        """Train, validation and test rows. Same seed and rows, same split, on every machine.

        Near-duplicates and rows of one group stay together, so the parts may miss ``sizes`` by a little.

        Args:
            sizes: shares of train, validation and test; they sum to 1.
            stratify: the label whose balance the parts keep: a function of the row, or the name of a field where
                the answers are JSON objects. Without it, short answers that repeat are taken as labels.
            groups: a function of the row; default: the row's own ``group``, where it has one.

        Raises:
            DataError: sizes that do not sum to 1, no rows, or too few for three parts.
        """
        if len(sizes) != 3 or min(sizes) < 0 or abs(sum(sizes) - 1) > 1e-6:
            raise DataError(f"split: sizes must be three shares that sum to 1; got {sizes}")
        parts = assign(
            [row.text for row in self.rows],
            sizes,
            seed,
            labels=self._labels(stratify),
            groups=[groups(row) if groups else getattr(row, "group", None) for row in self.rows],
        )
        for name, size, part in zip(("train", "validation", "test"), sizes, parts):
            if size and not part:
                raise DataError(
                    f"{self.name}: {len(self)} rows are too few for a {name} part once near-duplicates stay "
                    "together; add rows that differ, or pass other sizes="
                )
        return Split(
            *(
                Dataset(tuple(self.rows[i] for i in part), f"{self.name}/{name}")
                for name, part in zip(("train", "val", "test"), parts)
            )
        )

    def _labels(self, stratify) -> list[Hashable] | None:
        if callable(stratify):
            return [stratify(row) for row in self.rows]
        if stratify is not None:
            try:
                return [json.dumps(json.loads(row.answer)[stratify]) for row in self.rows]
            except (AttributeError, ValueError, KeyError, TypeError):
                raise DataError(
                    f"{self.name}: stratify={stratify!r} needs answers that are JSON objects with that field; "
                    "pass a function of the row instead"
                ) from None
        answers = [row.answer for row in self.rows if isinstance(row, Chat)]
        return answers if answers and len(set(answers)) <= max(2, len(answers) // 20) else None


@dataclass(frozen=True)
class Split:
    """Three parts of one data set. Recipes hand ``train`` and ``val`` to their engine; ``test`` stays sealed.

    Only `ftkit.evaluate` should read ``test``, and only once the recipe is settled.
    """

    train: Dataset
    val: Dataset
    test: Dataset

    def __repr__(self) -> str:
        return f"Split(train {len(self.train):,} · val {len(self.val):,} · test {len(self.test):,} rows)"

    @property
    def fingerprints(self) -> dict[str, str]:
        return {"train": self.train.fingerprint, "val": self.val.fingerprint, "test": self.test.fingerprint}


def read_chats(path: str | os.PathLike) -> Dataset:
    """The conversations of a JSON Lines file in OpenAI's chat format, checked.

    Raises:
        DataError: with every fault found (the first ten spelled out), each as ``file:line: …``.
    """
    return _read(path, _chat)


def read_pairs(path: str | os.PathLike) -> Dataset:
    """The pairs of a JSON Lines file: ``{"anchor": …, "positive": …}`` and, optionally, ``"group"``.

    One positive may answer many anchors; a pair that stands twice is a fault.

    Raises:
        DataError: with every fault found, each as ``file:line: …``.
    """
    return _each_once(_read(path, _pair), Path(path))


def read_scored_pairs(path: str | os.PathLike) -> Dataset:
    """The pairs of a JSON Lines file: ``{"sentence1": …, "sentence2": …, "score": 0 to 1}`` and, optionally, ``"group"``.

    Raises:
        DataError: with every fault found, each as ``file:line: …``.
    """
    return _each_once(_read(path, _scored_pair), Path(path))


def read_preferences(path: str | os.PathLike) -> Dataset:
    """The preferences of a JSON Lines file in OpenAI's format for DPO.

    Each row is ``{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}``, each output a list
    with one assistant message.

    Raises:
        DataError: with every fault found, each as ``file:line: …``.
    """
    return _read(path, _preference)


def read_search(folder: str | os.PathLike) -> SearchSet:
    """A search task in BEIR's layout: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels.tsv`` in one folder.

    Corpus and query rows are ``{"_id": …, "text": …}`` (a ``"title"`` is put before the text); qrels are lines
    ``query-id <tab> corpus-id <tab> score`` under a header line.

    Raises:
        DataError: a missing file, an id or a judgement used twice, or a judgement about an unknown query or document.
    """
    folder = Path(folder)
    corpus, queries = (_texts_by_id(folder / name) for name in ("corpus.jsonl", "queries.jsonl"))
    qrels: dict[str, dict[str, int]] = {}
    judged: dict[tuple[str, str], str] = {}
    problems = []
    path = folder / "qrels.tsv"
    for where, line in _lines(path):
        if isinstance(line, Finding):
            problems.append(str(line))
            continue
        cells = line.split("\t")
        if where.endswith(":1") and not cells[-1].strip().isdigit():
            continue  # the header
        if len(cells) != 3 or not cells[2].strip().isdigit():
            problems.append(f"{where}: want query-id, corpus-id and a whole score, tab between; got {line!r}")
            continue
        query, document, score = (cell.strip() for cell in cells)
        for kind, known, one in ((say("query"), queries, query), (say("document"), corpus, document)):
            if one not in known:
                problems.append(f"{where}: judges {kind} {one!r}, which does not exist")
        if (before := judged.setdefault((query, document), where)) != where:
            problems.append(f"{where}: judges {query!r} and {document!r} again, after {before}; keep one")
        if int(score) > 0:
            qrels.setdefault(query, {})[document] = int(score)
    _raise_if(problems, path)
    return SearchSet(corpus, queries, qrels)


def write_jsonl(path: str | os.PathLike, rows: Iterable[Row | dict]) -> Path:
    """The path, now holding one row a line (UTF-8, no byte order mark). Replaces the file whole or not at all."""
    path = Path(path)
    rows = (row if isinstance(row, dict) else row.to_dict() for row in rows)
    return write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _sha256(rows: Iterable[dict]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[tuple[str, "str | Finding"]]:
    """(``file:line``, text) of each line that is not blank, or what stops it from being read."""
    try:
        file = open(path, "rb")
    except (OSError, ValueError) as error:
        reason = say("no such file") if isinstance(error, FileNotFoundError) else (getattr(error, "strerror", None) or str(error))
        raise DataError(f"{path}: {reason}; working in {Path.cwd()}") from None
    fix = f"Path({path.name!r}).write_text(Path({path.name!r}).read_text(encoding={{!r}}), encoding='utf-8')"
    with file:
        number, blank = 0, True
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            where = f"{path.name}:{number}"
            too_long = len(line) > LONGEST_LINE
            if number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff"):
                yield where, finding("utf-16", where, fix=fix.format("utf-16"))
                return
            if number == 1 and line.startswith(b"\xef\xbb\xbf"):
                yield where, finding("byte-order-mark", where, fix=fix.format("utf-8-sig"))
                line = line[3:]
            if too_long:
                while line and not line.endswith(b"\n"):
                    line = file.readline(LONGEST_LINE)
                text = finding("long-line", where, mib=LONGEST_LINE >> 20)
            elif b"\x00" in line:
                text = finding("zero-bytes", where)
            else:
                try:
                    text = line.decode("utf-8").strip()
                except UnicodeDecodeError as error:
                    text = finding("not-utf-8", where, number=error.start + 1, byte=line[error.start])
            if text:
                blank = False
                yield where, text
        if blank:
            yield f"{path.name}:1", finding("empty-file", f"{path.name}:1")


def objects(path: Path) -> Iterator[tuple[str, "dict | Finding"]]:
    """(``file:line``, object) of each line, or what is wrong with it.

    Raises:
        DataError: the file cannot be opened; nothing else, whatever it holds.
    """
    for where, text in _lines(path):
        yield where, text if isinstance(text, Finding) else _object(text, where)


def _object(text: str, where: str) -> "dict | Finding":
    try:
        value = json.loads(text, parse_constant=_refuse)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return finding("half-character", where, got=f"\\u{ord(error.object[error.start]):04x}")
    except (ValueError, RecursionError) as error:
        column = say(f" at column {error.colno}") if isinstance(error, json.JSONDecodeError) else ""
        return finding("not-json", where, column=column, reason=say(str(getattr(error, "msg", error))), got=repr(text[:60]))
    return value if isinstance(value, dict) else finding("not-object", where, got=type(value).__name__)


def _refuse(constant: str) -> None:
    raise ValueError(say(f"{constant} is Python's, not JSON's"))


def _read(path: str | os.PathLike, parse: Callable[[dict, str], "Row | Finding"]) -> Dataset:
    path = Path(path)
    rows, problems = [], []
    for where, value in objects(path):
        row = value if isinstance(value, Finding) else parse(value, where)
        problems.append(str(row)) if isinstance(row, Finding) else rows.append(row)
    _raise_if(problems, path)
    return Dataset(tuple(rows), path.stem)


def _raise_if(problems: list[str], path: Path) -> None:
    if len(problems) > SHOWN_PROBLEMS:
        more = say(f"{path.name}: and {len(problems) - SHOWN_PROBLEMS} more faults")
        raise DataError(*problems[:SHOWN_PROBLEMS], more)
    if problems:
        raise DataError(*problems)


def _chat(value: dict, where: str) -> "Chat | Finding":
    """The row, or what is wrong with it."""
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        return finding("messages", where, got=short(messages))
    before = None
    for i, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            return finding("message", where, i=i, got=short(message))
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            got = repr(role[:60]) if isinstance(role, str) else short(role)
            return finding("role", where, i=i, got=got, roles=", ".join(ROLES))
        calls = role == "assistant" and message.get("tool_calls")
        if not isinstance(content, str) and not (content is None and calls):
            return finding("content", where, i=i, role=role, got=short(content))
        if not calls and not content.strip():
            return finding("empty", where, i=i, role=role)
        if role in ("system", "developer") and i > 1:
            return finding("system-first", where, i=i, role=role)
        if role == "assistant" and before in (None, "system", "developer"):
            return finding("assistant-first", where, i=i)
        if role in ("user", "assistant") and role == before:
            return finding("same-role", where, before=i - 1, i=i, role=role)
        if role == "tool" and before not in ("assistant", "tool"):
            return finding("tool-order", where, i=i)
        if message.get("weight", 1) not in (0, 1):
            return finding("weight", where, i=i, got=short(message["weight"]))
        before = role
    if before != "assistant":
        return finding("last-role", where, role=before)
    if not messages[-1].get("content"):
        return finding("no-answer", where)
    return Chat(tuple(messages), where)


def _pair(value: dict, where: str) -> "Pair | Finding":
    for name in ("anchor", "positive"):
        if not isinstance(value.get(name), str) or not value[name].strip():
            return finding("pair-text", where, name=name, got=short(value.get(name)))
    group = value.get("group")
    if not isinstance(group, (str, int, float, type(None))):
        return finding("group", where, got=short(group))
    if value["anchor"] == value["positive"]:
        return finding("same-texts", where)
    return Pair(value["anchor"], value["positive"], None if group is None else str(group), where)


def _scored_pair(value: dict, where: str) -> "ScoredPair | Finding":
    for name in ("sentence1", "sentence2"):
        if not isinstance(value.get(name), str) or not value[name].strip():
            return finding("pair-text", where, name=name, got=short(value.get(name)))
    score, group = value.get("score"), value.get("group")
    if not isinstance(score, (int, float)) or isinstance(score, bool) or not 0 <= score <= 1:
        return finding("score", where, got=short(score))
    if not isinstance(group, (str, int, float, type(None))):
        return finding("group", where, got=short(group))
    return ScoredPair(value["sentence1"], value["sentence2"], score, None if group is None else str(group), where)


def _each_once(data: Dataset, path: Path) -> Dataset:
    first: dict[tuple, str] = {}
    problems = []
    for row in data:
        texts = (row.anchor, row.positive) if isinstance(row, Pair) else (row.sentence1, row.sentence2)
        if (before := first.setdefault(texts, row.where)) != row.where:
            problems.append(f"{row.where}: the same two texts as {before}; keep one of them")
    _raise_if(problems, path)
    return data


def _preference(value: dict, where: str) -> "Preference | Finding":
    asked = value.get("input")
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(messages, list) or not messages:
        return finding("preference-input", where, got=short(asked))
    answers = []
    for name in ("preferred_output", "non_preferred_output"):
        output = value.get(name, value.get(name.replace("output", "completion")))  # OpenAI's specification has this name
        if not isinstance(output, list) or len(output) != 1:
            return finding("preference-output", where, name=name, got=short(output))
        chat = _chat({"messages": [*messages, output[0]]}, where)
        if isinstance(chat, Finding):
            return finding("preference-chat", where, name=name, said=chat.what, mend=chat.mend)
        answers.append(chat.answer)
    if answers[0] == answers[1]:
        return finding("same-outputs", where)
    return Preference(tuple(messages), *answers, where)


PARSERS: dict[str, Callable[[dict, str], "Row | Finding"]] = {
    "chat": _chat,
    "pair": _pair,
    "scored": _scored_pair,
    "preference": _preference,
}
"""Kind of row → what makes one out of a JSON object, or says what is wrong with it."""


def _texts_by_id(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    first: dict[str, str] = {}
    problems: list[str] = []
    for where, value in objects(path):
        if isinstance(value, Finding):
            problems.append(str(value))
            continue
        key, text = value.get("_id"), value.get("text")
        if not isinstance(key, str) or not isinstance(text, str) or not text.strip():
            problems.append(f'{where}: want texts in "_id" and "text"; got {short(value)}')
        elif key in texts:
            problems.append(f"{where}: the id {key!r} is used twice; {first[key]} has it too")
        else:
            first[key] = where
            texts[key] = f"{value['title']} {text}" if value.get("title") else text
    _raise_if(problems, path)
    return texts
