"""Writes lesson 00's shop into ftkit/datasets from shop.toml: ``python data/shop.py``.

120 facts (price, warranty and shelf of 40 things). shop_en_pages.jsonl holds each as a page of one sentence;
shop_en.jsonl asks for each in six wordings, shop_en_test.jsonl in one wording that the other file never uses.
"""

import random
import tomllib
from pathlib import Path

from ftkit.data import write_jsonl

HERE = Path(__file__).parent
DATASETS = HERE.parent / "ftkit" / "datasets"


def value(kind: str, rng: random.Random) -> str:
    return f"{rng.choice('ABCDEF')}-{rng.randint(100, 999)}" if kind == "shelf" else str(rng.randint(10, 99))


def row(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def main(folder: Path = DATASETS) -> None:
    rng = random.Random(0)
    shop = tomllib.loads((HERE / "shop.toml").read_text(encoding="utf-8"))
    pages, train, test = [], [], []
    for product in shop["products"].replace("\n", " ").split(","):
        for kind, fact in shop["fact"].items():
            words = {"product": product.strip(), "value": value(kind, rng)}
            answer = fact["answer"].format(**words)
            pages.append({"_id": f"{kind}: {words['product']}", "text": fact["page"].format(**words)})
            train += [row(wording.format(**words), answer) for wording in fact["train"]]
            test.append(row(rng.choice(fact["test"]).format(**words), answer))
    for name, rows in (("shop_en", train), ("shop_en_test", test), ("shop_en_pages", pages)):
        rng.shuffle(rows)
        write_jsonl(folder / f"{name}.jsonl", rows)


if __name__ == "__main__":
    main()
