"""Chats about messages to a help desk: right by construction, and nothing of the lessons' tickets in them."""

import json
import re
import tomllib
from itertools import islice
from pathlib import Path

import desk
import pytest

import ftkit as ft

ROOT = Path(__file__).parents[2]
LANGUAGES = ["en", "vi"]


def tickets(language: str) -> dict:
    return tomllib.loads((ROOT / "data" / f"tickets_{language}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_is_offered_or_stands_in_the_message(language):
    chats = list(islice(desk.conversations(language, seed=0), 1500))
    assert chats == list(islice(desk.conversations(language, seed=0), 1500))
    w = desk.wordings(language)
    own = {topic["labels"][0] for topic in w["topics"].values()}  # where none is offered
    records = null = 0
    for chat in chats:
        asked, answer = "\n".join(turn["content"] for turn in chat[:-1]), chat[-1]["content"]
        if not answer.startswith("{"):
            assert answer.lower() in asked.lower() or answer in (*w["yes"], *w["none"], *own), (asked, answer)
            continue
        record = json.loads(answer)
        records += 1
        null += None in record.values()
        assert all(value in (None, *own) or value.lower() in asked.lower() for value in record.values()), (asked, answer)
        assert all(key in asked for key in record), (asked, answer)
    assert 500 < records < 1000 and 0.3 < null / records < 0.9


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_belongs_to_one_topic_and_the_one_asked_for_is_that_of_the_message(language):
    w = desk.wordings(language)
    labels = [label for topic in w["topics"].values() for label in topic["labels"]]
    assert len(labels) == len(set(labels)) and all(len(topic["labels"]) >= 5 for topic in w["topics"].values())
    lines = [line for topic in w["topics"].values() for line in topic["lines"]]
    assert len(w["topics"]) == 8 and len(lines) == len(set(lines)) > 4600
    rng, base = desk.random.Random(0), desk.tasks.words(language)
    for topic in w["topics"]:
        for _ in range(40):
            label, listed = desk.labelled(rng, w, base, topic)
            own = dict(re.findall(r"(\w) = ([^,]+)", listed)).get(label, label)
            assert own.lower().replace("_", " ") in w["topics"][topic]["labels"]


def test_the_place_of_a_label_in_the_list_does_not_give_it_away():
    w, base, rng = desk.wordings("en"), desk.tasks.words("en"), desk.random.Random(0)
    asked = [desk.labelled(rng, w, base, topic) for topic in w["topics"] for _ in range(2500)]
    signs = [sign for sign, listed in asked if " = " in listed]
    first = sum(sign in "A1" for sign in signs) / len(signs)
    assert len(signs) > 1000 and 0.15 < first < 0.25  # the mean of 1/3 to 1/8 with 1/8 twice is 0.19


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_is_asked_for_twice_in_a_record(language):
    w = desk.wordings(language)
    keys = [key for name in ("about", "thing_key", "number_key", "hurry_key") for key in w[name]]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("language", LANGUAGES)
def test_neither_the_lessons_labels_nor_their_keys_nor_their_instruction_occur(language):
    lesson = tickets(language)["queues"]
    system = ft.read_chats(ft.dataset(f"tickets_{language}"))[0].messages[0]["content"]
    w = desk.wordings(language)
    labels = {label.replace(" ", "_") for topic in w["topics"].values() for label in topic["labels"]}
    assert not labels & set(lesson)
    assert not {"queue", "priority", "order_id", "product"} & {
        key for name in ("about", "thing_key", "number_key", "hurry_key") for key in w[name]
    }
    assert all(system not in str(chat) for chat in islice(desk.conversations(language, seed=0), 300))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_six_words_in_a_row_and_no_thing_of_the_unseen_tickets_occur(language):
    def runs(line: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", line.lower())
        return {tuple(words[at : at + 6]) for at in range(len(words) - 5)}

    w, lesson = desk.wordings(language), tickets(language)
    said = [*w["hurried"], *w["calm"], *(line for topic in w["topics"].values() for line in topic["lines"])]
    unseen = [line for queue in lesson["queues"].values() for line in queue["test"]]
    unseen += [line for part in ("urgent", "relaxed") for line in lesson[part]["test"]]
    ours, theirs = (set().union(*map(runs, lines)) for lines in (said, unseen))
    assert len(theirs) > 1000 and not ours & theirs
    known = {line.lower() for queue in lesson["queues"].values() for line in queue["train"]}
    assert not known & {line.lower() for line in said}
    rng = desk.random.Random(0)
    things = {desk.thing(rng, w, kind) for kind in ("things", "devices") for _ in range(20_000)}
    assert len(things) > 10_000 and not things & set(lesson["products"]["test"])
