"""Writes lesson 00's shop into ftkit/datasets from shop.toml: ``python data/shop.py``.

120 facts (price, warranty and shelf of 40 things). shop_en_pages.jsonl holds each as a page of one sentence;
shop_en.jsonl asks for each in six wordings, shop_en_test.jsonl in one wording that the other file never uses.
shop_en_later_pages.jsonl and shop_en_later_test.jsonl are the same pages and questions after every fact has changed.
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
    rows: dict[str, list[dict]] = {name: [] for name in ("", "_test", "_pages", "_later_test", "_later_pages")}
    for product in shop["products"].replace("\n", " ").split(","):
        for kind, fact in shop["fact"].items():
            asked = rng.choice(fact["test"]).format(product=product.strip())
            now = {"product": product.strip(), "value": value(kind, rng)}
            later = {**now, "value": value(kind, rng)}
            rows[""] += [row(wording.format(**now), fact["answer"].format(**now)) for wording in fact["train"]]
            for name, words in (("", now), ("_later", later)):
                rows[f"{name}_test"].append(row(asked, fact["answer"].format(**words)))
                rows[f"{name}_pages"].append({"_id": f"{kind}: {words['product']}", "text": fact["page"].format(**words)})
    for name, found in rows.items():
        random.Random(0).shuffle(found)
        write_jsonl(folder / f"shop_en{name}.jsonl", found)


if __name__ == "__main__":
    main()
