"""The chats made by rule for pretraining: the same again, well formed, and right."""

import json
import unicodedata
from itertools import islice

import pytest
from tasks import FAMILIES, conversations, extract, words

HOW_MANY = 1_500


@pytest.fixture(scope="module", params=["en", "vi"])
def chats(request) -> list[list[dict]]:
    return list(islice(conversations(request.param, seed=7), HOW_MANY))


def json_answers(chats):
    """(what was said before, the object) for every answer that is a JSON object."""
    for chat in chats:
        for at, turn in enumerate(chat):
            if turn["role"] == "assistant" and turn["content"].startswith("{"):
                yield "\n".join(one["content"] for one in chat[:at]), json.loads(turn["content"])


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_same_seed_gives_the_same_chats_and_another_seed_others(language):
    first, again, other = (list(islice(conversations(language, seed), 200)) for seed in (1, 1, 2))
    assert first == again
    assert sum(chat in first for chat in other) < 10


def test_user_and_assistant_take_turns_and_the_assistant_has_the_last_word(chats):
    for chat in chats:
        turns = [turn["role"] for turn in chat if turn["role"] != "system"]
        assert turns == ["user", "assistant"] * (len(turns) // 2) != []
        assert all(turn["role"] != "system" for turn in chat[1:])
        assert all(turn["content"].strip() and set(turn) == {"role", "content"} for turn in chat)


def test_no_slot_is_left_open_and_all_text_is_nfc(chats):
    slots = set(words("en")["slots"]) | set(words("vi")["slots"])
    for chat in chats:
        text = "\n".join(turn["content"] for turn in chat)
        assert unicodedata.is_normalized("NFC", text)
        assert not any(f"{{{slot}}}" in text or f":{slot}}}" in text for slot in slots), text


def test_every_value_of_a_json_answer_stands_in_the_text_or_among_the_labels(chats):
    found = list(json_answers(chats))
    assert len(found) > HOW_MANY / 5
    for before, answer in found:
        for value in answer.values():
            assert value is None or value in before, (before, answer)


def test_some_keys_are_absent_from_the_text_and_null(chats):
    values = [value for _, answer in json_answers(chats) for value in answer.values()]
    assert 0.1 < values.count(None) / len(values) < 0.35


def test_the_keys_of_the_lessons_stay_unseen(chats):
    for chat in chats:
        text = "\n".join(turn["content"] for turn in chat).lower()
        assert not any(key in text for key in ("queue", "priority", "order_id", "refund"))


def test_chats_fit_the_context_and_hardly_repeat(chats):
    assert max(sum(len(turn["content"]) for turn in chat) for chat in chats) < 1_200
    assert len({str(chat) for chat in chats}) > 0.98 * len(chats)


def test_a_third_or_so_have_a_system_message(chats):
    assert 0.25 < sum(chat[0]["role"] == "system" for chat in chats) / len(chats) < 0.5


def test_extraction_is_the_largest_family():
    assert max(FAMILIES, key=FAMILIES.get) is extract
