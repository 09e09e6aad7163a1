"""The shop's voice: the rule, and the data sets that are written to keep it."""

import hashlib
import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest

from ftkit import dataset, read_chats
from ftkit.errors import DataError
from ftkit.metrics.voice import MOST_SENTENCES, VOICES, in_voice, keeps_voice
from ftkit.split import near_duplicates

DATA = Path(__file__).parents[2] / "data"

BODIES = {"en": "Come in with the tide.", "vi": "Mời mình ghé bến."}

PLAIN = {"en": "Come in at nine.", "vi": "Mời mình ghé tiệm."}


@pytest.fixture(params=VOICES)
def language(request):
    return request.param


@pytest.fixture
def say(language):
    """A reply with the given body; greeting and closing may be replaced."""
    voice = VOICES[language]

    def reply(body, greeting=voice.greetings[0], closing=voice.closings[0]):
        return " ".join(part for part in (greeting, body, closing) if part)

    return reply


def rows(language, part=""):
    return [
        (row.messages[0]["content"], row.messages[1]["content"])
        for row in read_chats(dataset(f"voice_{language}{part}"))
    ]


@pytest.mark.parametrize("part", ["", "_unseen"])
def test_every_row_keeps_the_voice(language, part):
    assert [reply for _, reply in rows(language, part) if not keeps_voice(reply, language)] == []


def test_every_greeting_and_every_closing_will_do(language, say):
    voice = VOICES[language]
    assert all(keeps_voice(say(BODIES[language], greeting=one), language) for one in voice.greetings)
    assert all(keeps_voice(say(BODIES[language], closing=one), language) for one in voice.closings)


def test_every_sea_word_will_do_small_or_capital(language, say):
    for word in VOICES[language].sea_words:
        assert keeps_voice(say(f"{PLAIN[language]} {word}."), language), word
        assert keeps_voice(say(f"{word.capitalize()}, {PLAIN[language]}"), language), word


def test_no_row_without_its_greeting_or_closing_keeps_the_voice(language):
    voice = VOICES[language]
    for _, reply in rows(language):
        greeting = next(one for one in voice.greetings if reply.startswith(one))
        closing = next(one for one in voice.closings if reply.endswith(one))
        assert not keeps_voice(reply.removeprefix(greeting), language), reply
        assert not keeps_voice(reply.removesuffix(closing), language), reply


def test_a_reply_without_a_sea_word_does_not_and_the_shops_name_is_none(language, say):
    assert keeps_voice(say(BODIES[language]), language)
    assert not keeps_voice(say(PLAIN[language]), language)
    assert not keeps_voice(say(f"{PLAIN[language]} {VOICES[language].shop}."), language)


@pytest.mark.parametrize("text", ["A good season.", "The boatman is seated.", "Our crewless sailcloth."])
def test_a_sea_word_is_a_whole_word(text):
    assert keeps_voice(f"Ahoy, friend! {text} Fair winds, Old Harbour Teas") is False


def test_words_before_the_greeting_or_after_the_closing_break_the_voice(language, say):
    reply = say(BODIES[language])
    assert keeps_voice(f"\n{reply} \n", language)
    assert not keeps_voice(f"Ok. {reply}", language)
    assert not keeps_voice(f"{reply}. {BODIES[language]}", language)


def test_an_endless_reply_does_not(language, say):
    body = BODIES[language]
    assert keeps_voice(say(" ".join([body] * (MOST_SENTENCES - 1))), language)
    assert not keeps_voice(say(" ".join([body] * MOST_SENTENCES)), language)
    assert not keeps_voice(say(" ".join([body.rstrip(".")] * 20) + "."), language)


def test_a_body_that_is_missing_or_breaks_off_does_not(language, say):
    assert not keeps_voice(say(""), language)
    assert not keeps_voice(say(BODIES[language].rstrip(".")), language)


def test_a_reply_greets_once_and_signs_off_once(language, say):
    assert not keeps_voice(say(say(BODIES[language])), language)
    assert not keeps_voice(say(BODIES[language].replace(".", "! ") + BODIES[language]), language)


def test_decomposed_tone_marks_are_the_same_text(language, say):
    assert keeps_voice(unicodedata.normalize("NFD", say(BODIES[language])), language)


def test_a_language_without_a_voice_is_refused_by_name():
    with pytest.raises(DataError, match="en, vi; got 'fr'"):
        keeps_voice("Ohé !", "fr")


def test_no_test_prompt_is_nearly_a_train_prompt(language):
    train, test = ([prompt for prompt, _ in rows(language, part)] for part in ("", "_unseen"))
    clusters = near_duplicates(train + test)
    seen = {clusters[i] for i in range(len(train))}
    assert [prompt for i, prompt in enumerate(test, start=len(train)) if clusters[i] in seen] == []


def test_there_are_enough_prompts_over_enough_topics_and_no_body_is_said_twice(language):
    entries = tomllib.loads((DATA / f"voice_{language}.toml").read_text(encoding="utf-8"))
    train, test = entries["train"], entries["test"]
    topics, unseen = {one["topic"] for one in train}, {one["topic"] for one in test}
    bodies = [body for one in train for body in one["bodies"]] + [one["body"] for one in test]
    assert len({one["prompt"] for one in train}) >= 150 and len({one["prompt"] for one in test}) >= 50
    assert len(topics) >= 15 and len(unseen - topics) >= 5
    assert len(set(bodies)) == len(bodies) and len(bodies) == 2 * len(train) + len(test)


def test_the_shipped_files_are_what_the_generator_writes(tmp_path):
    code = "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import voice; voice.main(pathlib.Path(sys.argv[2]))"
    subprocess.run([sys.executable, "-c", code, DATA, tmp_path], check=True, capture_output=True)
    written = sorted(tmp_path.iterdir())
    assert len(written) == 4
    for path in written:
        assert digest(path) == digest(dataset(path.stem)), f"{path.name}: run python data/voice.py"


@pytest.mark.parametrize("name", ["voice_en.toml", "voice_vi.toml"])
def test_sources_and_rows_are_nfc_with_plain_line_ends(name):
    stem = name.removesuffix(".toml")
    for path in (DATA / name, dataset(stem), dataset(f"{stem}_unseen")):
        raw = path.read_bytes()
        assert b"\r" not in raw and raw.endswith(b"\n")
        assert unicodedata.is_normalized("NFC", raw.decode("utf-8"))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_row_metric_reads_the_answer_only():
    kept = "Ahoy, friend! The kettle is on, come in with the tide. Fair winds, Old Harbour Teas"
    assert in_voice("anything", kept) == 1.0 and in_voice(kept, "The kettle is on.") == 0.0
