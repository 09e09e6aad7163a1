"""Sentences with what they mean, as all-MiniLM-L6-v2 sees it: the second objective of the third stage.

    python pretraining/meaning.py TEXT WORK

WORK/meaning gets vectors.npy (float16, one unit vector of 384 numbers a sentence), for both lengths rows.LENGTH.npy (rows
of token ids as prepare.py makes them; each holds some short chats, a user turn being a sentence) and places.LENGTH.npy
(row, first token of the sentence, its <|end|>, number of the vector). A Vietnamese sentence has the vector of its English
translation (Reimers and Gurevych 2020, arXiv 2004.09813): the teacher reads English only.
"""

import argparse
import itertools
import json
import random
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import grounded
import prepare
import tasks

TAKEN = {"dialogues": 70_000, "books": 60_000, "docs_en": 30_000, "medicine": 10_000, "sums": 6_000}
"""How many sentences (of "dialogues": turns) of a source at most; labelled questions and translations are all taken."""

MOST = 100  # tokens of a sentence
OWN = 5  # times that each of the kit's own messages stands in the rows, both in English and in Vietnamese
OTHER = 2  # times that the Vietnamese side of another pair does


def sentences(text: Path, rng: random.Random) -> tuple[list[str], list[tuple[str, str]], list[tuple[str, str]]]:
    """(different English sentences in random order, pairs of an English and a Vietnamese one, such pairs of the kit's own)."""
    source = {one["name"]: one for one in prepare.manifest()}
    found = [json.loads(line)["text"] for line in "".join(prepare.raw_documents(source["wishes"], text)).splitlines()]
    for name, most in TAKEN.items():
        if name == "dialogues":
            said = [turn for one in ("dialogues", "intents") for raw in prepare.raw_documents(source[one], text) for turn in turns(raw)]
        else:
            said = list(grounded.sentences(itertools.islice(prepare.raw_documents(source[name], text), 3000)))
        said = list(dict.fromkeys(said))
        rng.shuffle(said)
        found += said[:most]
    found = list(dict.fromkeys(found))
    rng.shuffle(found)
    pairs = [json.loads(line) for line in "".join(prepare.raw_documents(source["pairs"], text)).splitlines()]
    own = [line.split("\t") for line in (HERE / "pairs.tsv").read_text(encoding="utf-8").splitlines()]
    return found, [(pair["en"], pair["vi"]) for pair in pairs], [(en, vi) for en, vi in own]


def turns(raw: str) -> list[str]:
    """The first turns of a dialogue, and the first ones together."""
    document = prepare.conversation(raw)
    said = [] if isinstance(document, str) else [turn["content"] for turn in document if turn["role"] != "system"]
    return [one for one in (*said[:3], " ".join(said[:2]), " ".join(said[1:3])) if 15 < len(one) < 300]


def taught(lines: list[str]) -> np.ndarray:
    """(len(lines), 384) float16: the teacher's unit vectors."""
    import ftkit as ft

    return ft.Embed().base_model().encode(lines).astype(np.float16)


def chat(rng: random.Random, system: list[list[int]], sentence: list[int], mark: dict[str, int]) -> tuple[list[int], int]:
    """(token ids of a chat whose user says the sentence, where in it the sentence begins); the answer is left open."""
    before = [mark["<|endoftext|>"]]
    if rng.random() < 0.3:
        before += [mark["<|system|>"], *rng.choice(system)[:60], mark["<|end|>"]]
    before.append(mark["<|user|>"])
    return [*before, *sentence, mark["<|end|>"], mark["<|assistant|>"]], len(before)


def packed(chats: list[tuple[list[int], int, int]], length: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, places) of (ids, start, number of the vector); a row is closed when the next chat does not fit.

    A pad stands after each chat, so that no loss is taken on what comes after its open answer.

    >>> rows, places = packed([([0, 4, 9, 2, 5], 2, 7), ([0, 4, 8, 8, 2, 5], 2, 3)], length=8, pad=1)
    >>> rows.tolist()
    [[0, 4, 9, 2, 5, 1, 1, 1, 1], [0, 4, 8, 8, 2, 5, 1, 1, 1]]
    >>> packed([([0, 4, 9, 2, 5], 2, 7), ([0, 4, 8, 2, 5], 2, 3)], length=12, pad=1)[0].tolist()
    [[0, 4, 9, 2, 5, 1, 0, 4, 8, 2, 5, 1, 1]]
    >>> places.tolist()
    [[0, 2, 3, 7], [1, 2, 4, 3]]
    """
    rows, places, row = [], [], []
    for ids, start, vector in chats:
        if len(row) + len(ids) > length:  # the last token of a row is predicted only
            rows.append(row)
            row = []
        places.append((len(rows), len(row) + start, len(row) + len(ids) - 2, vector))
        row = [*row, *ids, pad]
    rows.append(row)
    return np.array([row + [pad] * (length + 1 - len(row)) for row in rows], np.uint16), np.array(places, np.int32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("work", type=Path)
    options = parser.parse_args()
    rng = random.Random(0)
    english, others, own = sentences(options.text, rng)
    folder = options.work / "meaning"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = others + own
    lines = english + [en for en, _ in pairs]
    np.save(folder / "vectors.npy", taught(lines))
    lines += [vi for _, vi in pairs]
    numbers = [*range(len(english) + len(pairs)), *range(len(english), len(english) + len(pairs))]
    times = [1] * (len(english) + len(others)) + [OWN] * len(own) + [OTHER] * len(others) + [OWN] * len(own)

    tokenizer = Tokenizer.from_file(str(options.work / "tokenizer.json"))
    mark = {name: tokenizer.token_to_id(name) for name in prepare.SPECIAL}
    asked = itertools.chain(*(itertools.islice(tasks.conversations(one, seed=5), 4000) for one in ("en", "vi")))
    system = [one.ids for one in tokenizer.encode_batch([c[0]["content"] for c in asked if c[0]["role"] == "system"])]
    ids = [one.ids[:MOST] for one in tokenizer.encode_batch(lines)]
    chats = [
        (*chat(rng, system, one, mark), number) for one, number, count in zip(ids, numbers, times, strict=True) for _ in range(count)
    ]
    rng.shuffle(chats)
    for length in prepare.LENGTHS:
        rows, places = packed(chats, length, mark["<|pad|>"])
        np.save(folder / f"rows.{length}.npy", rows)
        np.save(folder / f"places.{length}.npy", places)
        print(f"{len(english):,} English sentences, {len(others):,} + {len(own):,} pairs, {len(rows):,} rows of {length}", flush=True)


if __name__ == "__main__":
    main()
