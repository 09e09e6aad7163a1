"""The Vietnamese sentences: none is missing, stale or ambiguous; and the language they are asked for in."""

import ast
import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from string import Formatter

import pytest
from lang_sentences import ERRORS, LATER, PACKAGE, VIETNAMESE, WORDS, branches, rooms, spoken_in_english, template

from ftkit import errors, lang

AS_IT_IS = {"base", "tuned", "p", "prompt", "24 GiB", "80 GiB", "LoRA: target_modules={0}: {1}"}
"""Names and units, the same in both languages."""


def fields(sentence: str) -> Counter:
    """Every value with its form, such as ``("byte", None, "02x")``."""
    return Counter(part[1:] for part in Formatter().parse(sentence) if part[1] is not None)


def filled(sentence: str, values) -> str:
    return sentence.format(*values)


NUMBERED = [english for english in VIETNAMESE if fields(english) and all(name.isdigit() for name, _, _ in fields(english))]


# ── the catalogue


def test_every_sentence_that_reaches_a_learner_has_its_vietnamese_one():
    said = spoken_in_english().items()
    missing = [f"{where[0]}  {json.dumps(words, ensure_ascii=False)}" for words, where in said if words not in VIETNAMESE]
    assert not missing, "add to ftkit/lang/vi.json:\n" + "\n".join(missing)


def test_no_sentence_in_the_catalogue_is_stale_and_each_stands_under_a_room_that_says_it():
    said = spoken_in_english()
    for room, sentences in WORDS.items():
        for english in sentences:
            assert english in said, f"vi.json, {room}: nothing says {english!r} any more; change it or take it out"
            assert room in {where.split(":")[0] for where in said[english]}, f"vi.json: {english!r} is not said in {room}"
    for file, sentences in LATER.items():
        assert all(f'"{one}"' in (PACKAGE / file).read_text(encoding="utf-8") for one in sentences), f"LATER: {file}"


def test_no_sentence_is_translated_twice():
    assert len(VIETNAMESE) == sum(map(len, WORDS.values()))


def test_translations_have_the_values_of_their_sentences():
    for english, other in VIETNAMESE.items():
        assert fields(english) == fields(other), f"{english!r} and {other!r} differ in their values"


def test_translations_are_whole_vietnamese():
    for english, other in VIETNAMESE.items():
        assert unicodedata.is_normalized("NFC", other) and other.strip() and "  " not in other
        assert (other == english) == (english in AS_IT_IS), f"{english!r} is not translated"
        ends = [sentence[-1] if sentence[-1] in ".?:" else "" for sentence in (english, other)]
        assert ends[0] == ends[1], f"{english!r} and {other!r} end in different marks"
        assert [c for c in english if c in "✗✓…!·"][:1] == [c for c in other if c in "✗✓…!·"][:1], other


@pytest.mark.parametrize("make", [
    lambda i: f"value {i}", lambda i: "", lambda i: f"C:\\data\\tệp {i}.jsonl:12", lambda i: f"{i:,}.50",
    lambda i: f"{{{i}}} <b>'x'",
])  # fmt: skip
def test_a_finished_sentence_is_found_again_whatever_its_values_are_and_carries_them_over(make):
    catalogue = lang.Catalogue(VIETNAMESE)
    for english in NUMBERED:
        values = [make(i) for i in range(sum(fields(english).values()))]
        found = catalogue.say(filled(english, values))
        assert found == filled(VIETNAMESE[english], values), f"{english!r} is taken for another sentence"


def test_no_sentence_leaves_nearly_everything_to_its_values():
    for english in NUMBERED:
        letters = sum(map(str.isalpha, "".join(lang.fixed_parts(english))))
        assert letters >= 5, f"{english!r} fits too much; write say(\"{{name}} …\").format(name=…)"


def test_say_is_called_with_a_sentence_or_with_a_name_that_is_listed_here():
    """A name may hold anything: where its sentences stand must be known to `said_later`."""
    known = {
        "advice.py": {"leaf.title", "leaf.next_step"}, "check/__init__.py": {"kind"}, "hosted/__init__.py": {"less"},
        "check/report.py": {"level if n == 1 else PLURAL[level]", "found[0].level", "level"}, "rules.py": {"words", "why"},
        "data.py": {"str(getattr(error, 'msg', error))"}, "live.py": {"event.state", "kind", "words", "state"},
        "widgets.py": {"text", "name"}, "exercise.py": {"str(error)", "said", "line"}, "errors.py": {"super().__str__()"},
        "abtest/result.py": {"self.verdict"}, "comparison.py": {"self.verdict"}, "embed/model.py": {"REINSTALL"},
        "checks.py": {"status"}, "tour/__init__.py": {"TITLES[track]"}, "tour/tracks.py": {"event.message"},
    }  # fmt: skip
    for name, path in rooms():
        if path.parent.name == "lang":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "say":
                said = list(branches(node.args[0]))
                if any(template(one) is None for one in said):
                    allowed = known.get(name.removeprefix("ftkit/"), known.get(path.name, set()))
                    assert ast.unparse(node.args[0]) in allowed, f"{name}:{node.lineno}: say() a sentence, or list the name"


def test_errors_are_raised_with_sentences_that_can_be_read_here():
    """Else with what was said already: findings, what `say` has seen, the message that `require` was called with."""
    known = {
        "data.py": {"*problems", "*problems[:SHOWN_PROBLEMS]", "more"}, "embed/recipe.py": {"str(parsed)"}, "run.py": {"message"},
        "local/model.py": {"_why(base, error)"},
    }  # fmt: skip
    for name, path in rooms():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ERRORS:
                for one in (branch for argument in node.args for branch in branches(argument)):
                    said = ast.unparse(one)
                    assert template(one) or said in known.get(name.removeprefix("ftkit/"), ()), f"{name}:{node.lineno}: {said}"


def test_what_the_json_module_says_is_known():
    for text in ("", "{a", '{"a" 1}', '{"a": 1 "b"}', '"abc', "1 2", '"\x01"', '"\\q"', '"\\u12"', "[1,]", '{"a": 1,}'):
        with pytest.raises(json.JSONDecodeError) as caught:
            json.loads(text)
        with lang.spoken("vi"):
            assert lang.say(caught.value.msg) != caught.value.msg


# ── the language


@pytest.mark.parametrize(("name", "speaks"), [
    ("vi", "vi"), ("VI", "vi"), ("vi_VN.UTF-8", "vi"), ("vi-VN", "vi"),
    ("en", "en"), ("", "en"), ("eo", "en"), ("ví", "en"), ("vix", "en"),
])  # fmt: skip
def test_the_language_is_vietnamese_or_english_and_nothing_is_raised(monkeypatch, name, speaks):
    monkeypatch.setenv(lang.VARIABLE, name)
    assert lang.language() == speaks
    monkeypatch.delenv(lang.VARIABLE)
    assert lang.language() == "en" and lang.language(name) == speaks and lang.language() == speaks


def test_a_language_that_is_set_is_heard_by_child_processes_too(monkeypatch):
    import ftkit as ft

    monkeypatch.setenv(lang.VARIABLE, "en")
    assert ft.language("vi") == "vi"
    code = "import ftkit as ft, ftkit.lang; print(ft.language(), ftkit.lang._catalogues)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["vi", "{}"], "the catalogue is read before anything is said"


def test_without_a_translation_the_sentence_stays():
    with lang.spoken("vi"):
        assert lang.say("nobody wrote this") == "nobody wrote this" == str(errors.ModelError("nobody wrote this"))
        assert lang.say("") == str(errors.FtkitError()) == ""
