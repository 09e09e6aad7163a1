"""The ticket data sets: made by data/tickets.py, and the unseen part really unseen."""

import json
import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest

from ftkit import dataset, read_chats
from ftkit.split import near_duplicates

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "vi")
QUEUES = {"billing", "shipping", "refund", "damaged_item", "product_question", "cancel_order", "account", "technical"}


def words(language: str) -> dict:
    return tomllib.loads((ROOT / "data" / f"tickets_{language}.toml").read_text(encoding="utf-8"))


def test_the_data_sets_are_what_their_generators_write(tmp_path):
    code = "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import faq, tickets, voice\nfor m in (faq, tickets, voice): m.main(pathlib.Path('.'))"
    subprocess.run([sys.executable, "-c", code, str(ROOT / "data")], cwd=tmp_path, check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(made) == 10
    for name, content in made.items():
        assert content == (ROOT / "ftkit" / "datasets" / name).read_bytes(), f"run python data/… again: {name} differs"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hundred_and_fifty_skeletons_a_queue_and_none_of_them_in_the_test(language):
    queues = words(language)["queues"]
    assert set(queues) == QUEUES
    for queue, skeletons in queues.items():
        assert len(set(skeletons["train"])) >= 150 and len(set(skeletons["test"])) >= 15, queue
        assert not set(skeletons["train"]) & set(skeletons["test"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_unseen_tickets_share_no_product_no_name_and_no_wording_with_the_others(language):
    said = words(language)
    for part in ("products", "people", "openers", "closers", "urgent", "relaxed"):
        assert not {one.lower() for one in said[part]["train"]} & {one.lower() for one in said[part]["test"]}, part
    for part in ("train", "test"):
        assert set(said["gadgets"][part]) <= set(said["products"][part])
    known = [row.messages[1]["content"] for row in read_chats(dataset(f"tickets_{language}"))]
    unseen = [row.messages[1]["content"] for row in read_chats(dataset(f"tickets_{language}_unseen"))]
    assert len(known) == 5000 and len(unseen) == 400
    clusters = near_duplicates(known + unseen)
    groups = [clusters[i] for i in range(5400)]
    assert not set(groups[:5000]) & set(groups[5000:])


@pytest.mark.parametrize("name", [f"tickets_{language}{part}" for language in LANGUAGES for part in ("", "_unseen")])
def test_every_answer_stands_in_its_message(name):
    for row in read_chats(dataset(name)):
        text, answer = row.messages[1]["content"], json.loads(row.messages[2]["content"])
        assert list(answer) == ["queue", "priority", "order_id", "product"]
        assert answer["queue"] in QUEUES and answer["priority"] in ("high", "medium", "low")
        assert answer["order_id"] is None or answer["order_id"] in text
        assert answer["product"] is None or answer["product"].lower() in text.lower()
        assert unicodedata.is_normalized("NFC", text)
