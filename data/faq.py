"""Writes the help-desk FAQ into ftkit/datasets from faq_en.toml and faq_vi.toml: ``python data/faq.py``.

One row a question: the question, the answer that settles it, and the topic both belong to. The topics of both languages
are the same, so a question in one language can be looked up among the answers of the other.
"""

import random
import tomllib
from pathlib import Path

from ftkit.data import write_jsonl

HERE = Path(__file__).parent
DATASETS = HERE.parent / "ftkit" / "datasets"


def main(folder: Path = DATASETS) -> None:
    for language in ("en", "vi"):
        topics = tomllib.loads((HERE / f"faq_{language}.toml").read_text(encoding="utf-8"))["topic"]
        rows = [
            {"anchor": question, "positive": topic["answer"], "group": topic["id"]}
            for topic in topics
            for question in topic["questions"]
        ]
        random.Random(0).shuffle(rows)
        write_jsonl(folder / f"faq_{language}.jsonl", rows)


if __name__ == "__main__":
    main()
