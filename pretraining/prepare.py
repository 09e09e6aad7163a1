"""Text → tokenizer → packed rows of token ids.

    python pretraining/prepare.py TEXT WORK [--stage share] [--rows 20000]

TEXT holds the files that sources.toml names (their hashes are checked). WORK gets tokenizer.json (one that is there is
used), for each source that has a part in the stage the
held-out documents (held_out/NAME.jsonl) and its rows (rows/NAME.256.npy, rows/NAME.512.npy; uint16, one more than that
many tokens a row, the last predicted only), and counts.json.
"""

import argparse
import bz2
import hashlib
import itertools
import json
import random
import re
import sys
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).parent))
import desk
import grounded
import tasks

HERE = Path(__file__).parent
VOCABULARY = 8192
BOS, PAD, END, SYSTEM, USER, ASSISTANT = SPECIAL = [
    "<|endoftext|>", "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
]  # fmt: skip
LENGTHS = (256, 512)
HELD_OUT_CHARACTERS = 120_000
TURN = re.compile(r"^(User|Assistant|Question|Answer|Instruct|Output): ?", re.MULTILINE)

Document = str | list[dict]
"""Running text, or a conversation as a list of messages."""


def manifest() -> list[dict]:
    return tomllib.loads((HERE / "sources.toml").read_text(encoding="utf-8"))["source"]


def documents(source: dict, text: Path) -> Iterator[Document]:
    """Every document of a source, in the files' order."""
    if source["kind"] == "text":
        yield from raw_documents(source, text)
    elif source["kind"] == "turns":
        yield from map(conversation, raw_documents(source, text))
    else:
        yield from itertools.islice(generated(source, text), source["documents"])


def raw_documents(source: dict, text: Path) -> Iterator[str]:
    """Every text of a source's files, once the files are known to be those of the manifest."""
    for name, wanted in source["files"].items():
        data = (text / name).read_bytes()
        if (got := hashlib.sha256(data).hexdigest()) != wanted:
            raise SystemExit(f"{text / name}: not the file of the manifest (SHA-256 {got}, wanted {wanted})")
        for raw in bz2.decompress(data).decode("utf-8").split("<|endoftext|>"):
            if raw := unicodedata.normalize("NFC", raw.strip()):
                yield raw


def generated(source: dict, text: Path) -> Iterator[Document]:
    """Chats without end, made by rule (tasks.py, desk.py), from real text, or from labelled questions (grounded.py)."""
    match source["maker"]:
        case "tasks":
            return tasks.conversations(source["language"], seed=1)
        case "desk":
            return desk.conversations(source["language"], seed=1)
        case "wishes":
            lines = "".join(raw_documents(source, text)).splitlines()
            return grounded.wishes([json.loads(line) for line in lines], seed=1)
        case "copying":
            lines = grounded.sentences(some(source, text))
            return grounded.copying(source["language"], list(itertools.islice(lines, 200_000)), seed=1)
        case "named":
            return grounded.named(source["language"], grounded.phrases(source["language"], some(source, text)), seed=1)
        case "lists":
            return grounded.lists(source["language"], some(source, text), seed=1)
        case "things":
            pieces, column = some(source, text), ("en", "vi").index(source["language"])
            said = [line.split("\t")[column] for line in (HERE / "pairs.tsv").read_text(encoding="utf-8").splitlines()]
            labelled = [piece for piece in pieces if '"label": "' in piece]
            said += [json.loads(line)["text"] for piece in labelled for line in piece.splitlines() if line[:1] + line[-1:] == "{}"]
            lines = itertools.chain(said, itertools.islice(grounded.sentences(pieces), 20_000))
            return grounded.things(source["language"], lines, grounded.phrases(source["language"], pieces), seed=1)
        case other:
            raise SystemExit(f"sources.toml: {source['name']}: no such maker: {other}")


def some(source: dict, text: Path) -> list[str]:
    """Pieces of a source's texts in random order."""
    pieces = [raw[at : at + 20_000] for raw in raw_documents(source, text) for at in range(0, len(raw), 20_000)]
    random.Random(source["name"]).shuffle(pieces)
    return pieces


def conversation(raw: str) -> Document:
    """``User: … Assistant: …`` (or Question/Answer, Instruct/Output) as messages; what stands before them as system."""
    before, *parts = TURN.split(raw)
    messages = [{"role": "system", "content": before.strip()}] if before.strip() else []
    for who, said in zip(parts[::2], parts[1::2]):
        role = "assistant" if who in ("Assistant", "Answer", "Output") else "user"
        messages.append({"role": role, "content": said.strip()})
    return messages if len(messages) > 1 else raw


def render(document: Document) -> str:
    """The text a model sees, as the chat template writes it."""
    if isinstance(document, str):
        return BOS + document
    return BOS + "".join(f"<|{message['role']}|>{message['content']}{END}" for message in document)


def content_bytes(document: Document) -> int:
    """How many bytes a person wrote, whatever marks a model puts around them."""
    parts = [document] if isinstance(document, str) else [message["content"] for message in document]
    return sum(len(part.encode("utf-8")) for part in parts)


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Byte-level BPE; every digit is a token of its own, so that numbers can be copied digit by digit."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def pack(documents: list[list[int]], length: int, seed: int = 0) -> np.ndarray:
    """Rows of length + 1 token ids, each beginning where a document (or a piece of a long one) begins.

    The longest piece that still fits is put next; when none fits, the shortest is cut. Nothing is padded.

    >>> sorted(pack([[1, 2, 3], [4, 5], [6, 7, 8, 9, 10]], length=4).tolist())
    [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    """
    width = length + 1
    pieces = [ids[at : at + width] for ids in documents for at in range(0, len(ids), width)]
    random.Random(seed).shuffle(pieces)
    rows, pool, next_piece = [], [], 0
    while True:
        while next_piece < len(pieces) and len(pool) < 400:
            pool.append(pieces[next_piece])
            next_piece += 1
        row: list[int] = []
        while len(row) < width and pool:
            room = width - len(row)
            fits = [i for i, piece in enumerate(pool) if len(piece) <= room]
            best = max(fits, key=lambda i: len(pool[i])) if fits else min(range(len(pool)), key=lambda i: len(pool[i]))
            row += pool.pop(best)[:room]
        if len(row) < width:
            return np.array(rows, np.uint16).reshape(-1, width)
        rows.append(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--rows", type=int, default=20_000, help="at most so many rows of 256 a source")
    parser.add_argument("--stage", default="share", choices=("share", "focus", "close", "desk"), help="the stage to prepare for")
    parser.add_argument("--only", nargs="*", help="make the rows of these sources again, with the tokenizer there is")
    parser.add_argument("--last", action="store_true", help="a source's last documents first, which a stage before has not read")
    options = parser.parse_args()
    for folder in ("rows", "held_out"):
        (options.work / folder).mkdir(parents=True, exist_ok=True)

    sources = [source for source in manifest() if options.stage in source]
    sources = [source for source in sources if not options.only or source["name"] in options.only]
    kept: dict[str, list[Document]] = {}
    for source in sources:
        everything = list(documents(source, options.text))
        random.Random(source["name"]).shuffle(everything)
        held_out: list[Document] = []
        while sum(map(content_bytes, held_out)) < HELD_OUT_CHARACTERS and len(held_out) < len(everything) // 20:
            held_out.append(everything[len(held_out)])
        kept[source["name"]] = everything[len(held_out) :][:: -1 if options.last else 1]
        path = options.work / "held_out" / f"{source['name']}.jsonl"
        lines = (json.dumps(document, ensure_ascii=False) + "\n" for document in held_out)
        path.write_text("".join(lines), encoding="utf-8")

    path = options.work / "tokenizer.json"
    if path.exists():
        tokenizer = Tokenizer.from_file(str(path))
    else:
        sample = []
        for source in sources:  # the generated text has few words of its own
            budget = 0 if source["kind"] == "generated" else int(60_000_000 * source["share"])  # characters
            for document in kept[source["name"]]:
                sample.append(render(document)[:20_000])
                if (budget := budget - len(sample[-1])) < 0:
                    break
        tokenizer = train_tokenizer(sample)
        tokenizer.save(str(path))

    path = options.work / "counts.json"
    counts = json.loads(path.read_text(encoding="utf-8")) if options.only else {}
    for source in sources:
        ids, total, most = [], 0, options.rows * (LENGTHS[0] + 1)
        for document in kept[source["name"]]:
            ids.append(tokenizer.encode(render(document)).ids)
            if (total := total + len(ids[-1])) > most:
                break
        count = counts[source["name"]] = {"documents": len(ids), "tokens": total, "rows": {}}
        for length in LENGTHS:
            rows = pack(ids, length)
            np.save(options.work / "rows" / f"{source['name']}.{length}.npy", rows)
            count["rows"][str(length)] = len(rows)
        print(source["name"], count, flush=True)
    path.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
