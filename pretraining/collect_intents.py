"""Make the file of labelled questions that sources.toml names from three public git repositories.

git clone https://github.com/bitext/customer-support-intent-detection-training-dataset bitext     # e970229
git clone https://github.com/clinc/oos-eval clinc                                                 # 828f809
git clone https://github.com/PolyAI-LDN/task-specific-datasets polyai                             # 57ec275
python pretraining/collect_intents.py bitext/.git clinc/.git polyai/.git text/

Each line of the file is {"set", "text", "label", "value"}: what a person asked, what they wanted in words, and, where
the set marks one, a value that stands in the text.
"""

import bz2
import csv
import io
import json
import sys
from pathlib import Path

from collect_vi import git

BITEXT = "data/{part}/Bitext_Sample_Customer_Service_{name}_Dataset.csv"


def bitext(repository: str) -> list[dict]:
    rows = []
    for part, name in (("train", "Training"), ("dev", "Validation"), ("test", "Testing")):
        text = git(repository, "show", "e970229:" + BITEXT.format(part=part, name=name)).decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text)):
            rows.append(labelled("shop", row["utterance"], row["intent"], row["entity_value"] or None))
    return rows


def clinc(repository: str) -> list[dict]:
    parts = json.loads(git(repository, "show", "828f809:data/data_full.json"))
    domain = {
        intent: name
        for name, intents in json.loads(git(repository, "show", "828f809:data/domains.json")).items()
        for intent in intents
    }
    return [
        labelled(domain[label], text, label) for part in ("train", "val", "test") for text, label in parts[part]
    ]  # the questions of no intent (oos) are left out


def banking(repository: str) -> list[dict]:
    text = git(repository, "show", "57ec275:banking_data/train.csv").decode("utf-8")
    return [labelled("bank", row["text"], row["category"]) for row in csv.DictReader(io.StringIO(text))]


def labelled(name: str, text: str, label: str, value: str | None = None) -> dict:
    found = value if value and text.count(value) == 1 else None
    return {"set": name, "text": " ".join(text.split()), "label": label.replace("_", " ").strip().lower(), "value": found}


if __name__ == "__main__":
    rows = bitext(sys.argv[1]) + clinc(sys.argv[2]) + banking(sys.argv[3])
    rows = list({row["text"].lower(): row for row in rows}.values())
    path = Path(sys.argv[4]) / "labelled.jsonl.bz2"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bz2.compress("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()))
    print(f"{path}: {len(rows):,} questions, {len({(row['set'], row['label']) for row in rows})} labels")
