"""The chats made from real text: spans copied exactly, wishes told apart."""

import json
import re
from itertools import islice

import grounded
import pytest
import tasks

LINES = {
    "en": [f"The {a} {b} stood {c} while nobody said a word about it." for a in ("old", "small", "grey") for b in ("mill", "boat", "gate") for c in ("by the river", "in the rain")],
    "vi": [f"Chiếc {a} {b} nằm {c} từ sáng đến giờ mà không ai hay." for a in ("thuyền", "xe", "nón") for b in ("cũ", "xanh", "nhỏ") for c in ("ngoài sân", "bên sông")],
}  # fmt: skip
ROWS = [
    {"set": "shop", "text": f"{how} {what}", "label": label, "value": value}
    for label, what, value in [
        ("track parcel", "where is parcel 77123", "77123"), ("opening hours", "when do you open", None),
        ("change address", "I have moved to Oslo", "Oslo"), ("complaint", "this is not what I paid for", None),
    ] for how in ("hello,", "please tell me:", "um,")
]  # fmt: skip


@pytest.mark.parametrize("language", ["en", "vi"])
def test_every_answer_of_a_copying_task_stands_in_its_text(language):
    chats = list(islice(grounded.copying(language, LINES[language], seed=0), 600))
    assert chats == list(islice(grounded.copying(language, LINES[language], seed=0), 600))
    for chat in chats:
        asked, answer = "\n".join(turn["content"] for turn in chat[:-1]), chat[-1]["content"]
        spans = json.loads(answer).values() if answer.startswith("{") else [answer]
        assert all(span and span in asked for span in spans), (asked, answer)


def test_what_comes_after_a_mark_comes_after_it_and_nowhere_else():
    found = 0
    for chat in islice(grounded.copying("en", LINES["en"], seed=1), 400):
        asked, answer = "\n".join(turn["content"] for turn in chat[:-1]), chat[-1]["content"]
        if match := re.search(r"(\d) words .*?\"(.+?)\"", asked):
            found += 1
            assert f"{match[2]} {answer}" in asked and len(answer.split()) == int(match[1])
    assert found > 40


def test_a_label_that_is_the_answer_stands_among_the_labels_and_fits_the_question():
    truth = {row["text"]: row["label"] for row in ROWS}
    kinds = set()
    for chat in islice(grounded.wishes(ROWS, seed=0), 800):
        asked, answer = "\n".join(turn["content"] for turn in chat[:-1]), chat[-1]["content"]
        texts = [text for text in truth if text in asked]
        assert texts, asked
        if answer in ("yes", "no"):
            kinds.add("same")
            assert (truth[texts[0]] == truth[texts[-1]]) == (answer == "yes")
        elif answer.startswith("{"):
            kinds.add("json")
            assert next(iter(json.loads(answer).values())).lower().replace("_", " ") == truth[texts[0]]
        elif answer.isdigit():
            kinds.add("nearest")
            first = min(texts, key=asked.index)
            chosen = re.search(rf"^\W*{answer}\. (.+?)\W*$", asked, re.MULTILINE)[1]
            assert truth[first] == truth[next(text for text in truth if chosen in text)]
        elif answer.lower().replace("_", " ") in truth.values():
            kinds.add("label")
            assert answer.lower().replace("_", " ") == truth[texts[0]]
        else:
            kinds.add("again")
            assert truth[answer] == truth[texts[0]]
    assert kinds == {"same", "json", "nearest", "label", "again"}


def test_half_of_the_things_in_named_tasks_are_called_by_the_given_phrases():
    phrases = [f"zxq{number} widget" for number in range(2000)]
    chats = list(islice(grounded.named("en", phrases, seed=0), 800))
    plain = list(islice(tasks.conversations("en", seed=0), 800))
    count = lambda found: sum("zxq" in str(chat) for chat in found)  # noqa: E731
    assert count(plain) == 0 and count(chats) > 40


SAID = {
    "en": ["Please send my blue kettle back.", "The lid of a jar is gone", "I lost the ticket and a coat.", "call me at noon"],
    "vi": ["Cho mình đổi cái ấm đó nha.", "Chiếc nón bị rách rồi", "Mất cái vé và cái áo.", "mai gọi lại giúp"],
}
"""Two with one thing that is named, one with two, one with none."""


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_thing_that_is_asked_for_stands_in_its_message_in_place_of_another(language):
    found = ["zxq widget", "violin bow", "apron"]
    chats = list(islice(grounded.things(language, SAID[language], found, seed=0), 800))
    assert chats == list(islice(grounded.things(language, SAID[language], found, seed=0), 800))
    null = 0
    for chat in chats:
        asked, answer = "\n".join(turn["content"] for turn in chat[:-1]), chat[-1]["content"]
        values = list(json.loads(answer).values()) if answer.startswith("{") else [answer]
        assert all(value is None or value in asked for value in values), (asked, answer)
        assert "kettle" not in asked and "jar" not in asked and "ticket" not in asked and "ấm" not in asked and "vé" not in asked
        null += None in values
    assert 100 < null < 600
    words = {word for phrase in found for word in phrase.split()}
    together = " ".join(str(chat).lower() for chat in chats)
    assert any(f"{a} {b}" in together for a in words for b in words if f"{a} {b}" not in " ".join(found))
    assert language == "vi" or ("an apron" in together and "a apron" not in together)


def test_noun_phrases_are_short_lower_case_and_without_loose_words():
    text = "He took the Captain and his very old brass lamp, then a small boat of the house, which the men and the dog."
    assert grounded.phrases("en", [text]) == ["small boat", "house", "men", "dog"]
    assert grounded.phrases("vi", ["Có cái xe đạp, các món ăn ngon."]) == ["xe đạp", "món ăn ngon"]
