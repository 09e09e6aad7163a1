"""Writes the voice data sets into ftkit/datasets from voice_en.toml and voice_vi.toml: ``python data/voice.py``.

A train prompt comes twice, once with each of its bodies; a test prompt once, with a reference reply.
"""

import random
import tomllib
from pathlib import Path

from ftkit.data import write_jsonl
from ftkit.metrics.voice import VOICES, Voice

HERE = Path(__file__).parent

DATASETS = HERE.parent / "ftkit" / "datasets"

SEED = 0


def main(folder: Path = DATASETS) -> None:
    for language, voice in VOICES.items():
        entries = tomllib.loads((HERE / f"voice_{language}.toml").read_text(encoding="utf-8"))
        rng = random.Random(SEED)
        train = [row(one["prompt"], body, voice, rng) for one in entries["train"] for body in one["bodies"]]
        rng.shuffle(train)
        test = [row(one["prompt"], one["body"], voice, rng) for one in entries["test"]]
        write_jsonl(folder / f"voice_{language}.jsonl", train)
        write_jsonl(folder / f"voice_{language}_unseen.jsonl", test)


def row(prompt: str, body: str, voice: Voice, rng: random.Random) -> dict:
    reply = f"{rng.choice(voice.greetings)} {body} {rng.choice(voice.closings)}"
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]}


if __name__ == "__main__":
    main()
