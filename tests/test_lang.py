"""Every sentence that can reach a learner has its Vietnamese one, and none of these is stale or ambiguous.

Sentences are read from the source by `ast`: what errors of the tree are raised with, what `say` is called with, the words of
the rules, the tables that widgets and advice are drawn from, what the self-checks of the exercises assert. Left out, as only
instructors and programs read them: ftkit/grading but for what a learner's own submission is checked with, and ftkit/service,
whose errors are the protocol's.
"""

import ast
import json
import os
import pickle
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path
from string import Formatter
from types import SimpleNamespace

import pytest

import ftkit as ft
from ftkit import errors, exercise, lang, widgets
from ftkit.cli import main
from ftkit.comparison import Difference
from ftkit.data import Chat, Dataset
from ftkit.events import Status
from ftkit.live import Curve
from ftkit.report import Answer, Report
from ftkit.rules import RULES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ftkit"

FOR_LEARNERS_TOO = ("grading/artefact.py", "grading/dataset.py")
"""Of grading: what `ftkit.exercise` shows."""

ERRORS = {"FtkitError", "DataError", "RecipeError", "ModelError", "RunError", "EndpointError", "BudgetError"}

SPEAKERS = {"say": 0, "require": 1, "within_budget": 3, "_from_hub": 1}
"""Functions whose argument at this place is a sentence."""

LATER = {
    "check/personal.py": ["an e-mail address", "an identity card number", "a card number", "a telephone number"],
    "hosted/__init__.py": ["use fewer rows or epochs"],
    "judge.py": ["ask fewer rows="],
    "events.py": ["queued", "running", "succeeded", "cancelled", "failed"],
    "run.py": ["interrupted", "stopped on request"],
    "abtest/result.py": ["better", "worse", "not enough evidence"],
    "comparison.py": ["unchanged"],
    "../exercises/02_lora/checks.py": ["not there"],
}
"""Sentences that stand in one place and are said in another, where `say` gets a name."""

JSON_SAYS = [
    "Expecting value", "Expecting property name enclosed in double quotes", "Expecting ':' delimiter",
    "Expecting ',' delimiter", "Unterminated string starting at", "Extra data", "Invalid control character at",
    "Invalid \\escape", "Invalid \\uXXXX escape", "Illegal trailing comma before end of object",
    "Illegal trailing comma before end of array",
]  # fmt: skip
"""What Python's json module calls a fault: the reason in the rule not-json."""


def template(node: ast.expr, values: list | None = None) -> str | None:
    """The sentence of a string, an f-string or a sum of them, with {0}, {1}, … for its values; None for anything else.

    >>> template(ast.parse("f'{name}: {n:,} rows' + end", mode="eval").body)
    '{0}: {1} rows{2}'
    """
    values = [] if values is None else values
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}")
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, values) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        values.append(node)
        return f"{{{len(values) - 1}}}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "".join(template(side, values) or template(ast.FormattedValue(side, -1), values) for side in (node.left, node.right))
    return None


def branches(node: ast.expr):
    """The expressions that a conditional one may come to."""
    both = (node.body, node.orelse) if isinstance(node, ast.IfExp) else node.values if isinstance(node, ast.BoolOp) else ()
    if both:
        for one in both:
            yield from branches(one)
    else:
        yield node


def sentences_of(path: Path):
    """(sentence, line) of everything that the file says."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}
    named = {id(node.func.value) for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format"}
    for node in ast.walk(tree):
        said, name = [], ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if name in ERRORS:
            said = node.args
        elif name in SPEAKERS and len(node.args) > SPEAKERS[name]:
            said = [node.args[SPEAKERS[name]]]
        elif name == "map" and ast.unparse(node.args[0]) == "say" and isinstance(node.args[1], ast.Tuple):
            said = node.args[1].elts
        elif name in ("problems.append", "because.append") and path.name in ("data.py", "advice.py"):
            said = node.args
        elif name == "_advice":
            said = node.args[1:]
        elif isinstance(node, ast.Assert) and node.msg and path.name in ("checks.py", "exercise.py"):
            said = [node.msg]
        elif isinstance(node, ast.Return) and node.value and path.name == "checks.py":
            said = [node.value]
        elif isinstance(node, ast.Tuple) and path.name == "dataset.py" and isinstance(node.elts[0], ast.Constant) and isinstance(node.elts[0].value, int):
            said = node.elts[1:2]  # (points, what was found)
        for one in (branch for argument in said for branch in branches(argument)):
            one = constants.get(one.id, one) if isinstance(one, ast.Name) else one
            if id(node) in named and isinstance(one, ast.Constant):  # say("{n} rows").format(n=…): looked up before it is filled
                yield one.value, node.lineno
            elif (words := template(one)) is not None:
                yield words, node.lineno


def said_later():
    """(sentence, where) of those in tables."""
    from ftkit import advice, rules, widgets
    from ftkit.check.personal import KEYS
    from ftkit.check.report import PLURAL

    for level, *words in rules.RULES.values():
        yield from ((one, "ftkit/rules.py") for one in words)
    yield from ((one, "ftkit/check/report.py") for one in (*PLURAL, *PLURAL.values()))
    yield from ((one, "ftkit/check/personal.py") for one in KEYS)
    for leaf in advice.LEAVES.values():
        yield from ((one, "ftkit/advice.py") for one in (leaf.title, *leaf.reasons, leaf.next_step))
    for table in (widgets.QUESTIONS, widgets.VOTES):
        yield from ((one, "ftkit/widgets.py") for one in table.values())
    yield from ((one, "ftkit/widgets.py") for one in widgets.GPUS)
    for file, listed in LATER.items():
        yield from ((one, (PACKAGE / file).resolve().relative_to(ROOT).as_posix()) for one in listed)
    yield from ((one, "json") for one in JSON_SAYS)


def rooms():
    """Every file that speaks to learners."""
    for path in (*sorted(PACKAGE.rglob("*.py")), *sorted(ROOT.glob("exercises/*/checks.py"))):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(("ftkit/grading/", "ftkit/service/")) or name.removeprefix("ftkit/") in FOR_LEARNERS_TOO:
            yield name, path


@cache
def spoken_in_english() -> dict[str, list[str]]:
    """sentence → where it stands, in the order of the files."""
    found: dict[str, list[str]] = {}
    for name, path in rooms():
        for words, line in sentences_of(path):
            found.setdefault(words, []).append(f"{name}:{line}")
    for words, name in said_later():
        found.setdefault(words, []).append(name)
    return {words: where for words, where in found.items() if re.search("[^\\W\\d_]", re.sub(r"\{\w*[^}]*\}", "", words))}


WORDS = json.loads((PACKAGE / "lang" / "vi.json").read_text(encoding="utf-8"))
"""Room → {English: Vietnamese}"""

VIETNAMESE = {english: other for room in WORDS.values() for english, other in room.items()}

AS_IT_IS = {"base", "tuned", "p", "prompt", "24 GiB", "80 GiB", "LoRA: target_modules={0}: {1}"}
"""Names and units, the same in both languages."""


def fields(sentence: str) -> Counter:
    """Every value with its form, such as ``("byte", None, "02x")``."""
    return Counter(part[1:] for part in Formatter().parse(sentence) if part[1] is not None)


def filled(sentence: str, values) -> str:
    return sentence.format(*values)


NUMBERED = [english for english in VIETNAMESE if fields(english) and all(name.isdigit() for name, _, _ in fields(english))]


@pytest.fixture
def vietnamese(monkeypatch):
    monkeypatch.setenv(lang.VARIABLE, "vi")


# ── the catalogue


def test_every_sentence_that_reaches_a_learner_has_its_vietnamese_one():
    missing = {words: where for words, where in spoken_in_english().items() if words not in VIETNAMESE}
    assert not missing, "add to ftkit/lang/vi.json:\n" + "\n".join(f"{where[0]}  {json.dumps(w, ensure_ascii=False)}" for w, where in missing.items())


def test_no_sentence_in_the_catalogue_is_stale_and_each_stands_under_a_room_that_says_it():
    said = spoken_in_english()
    for room, sentences in WORDS.items():
        for english in sentences:
            assert english in said, f"vi.json, {room}: nothing says {english!r} any more; change it or take it out"
            assert room in {where.split(":")[0] for where in said[english]}, f"vi.json: {english!r} is not said in {room}"


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
    lambda i: f"value {i}", lambda i: "", lambda i: f"C:\\data\\tệp {i}.jsonl:12", lambda i: f"{i:,}.50", lambda i: f"{{{i}}} <b>'x'",
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
        "data.py": {"str(getattr(error, 'msg', error))"}, "live.py": {"event.state", "event.message", "state"},
        "widgets.py": {"text", "name"}, "exercise.py": {"str(error)", "said", "line"}, "errors.py": {"super().__str__()"},
        "abtest/result.py": {"self.verdict"}, "comparison.py": {"self.verdict"}, "embed/model.py": {"REINSTALL"},
        "checks.py": {"status"},
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


def test_what_the_json_module_says_is_known(vietnamese):
    for text in ("", "{a", '{"a" 1}', '{"a": 1 "b"}', '"abc', "1 2", '"\x01"', '"\\q"', '"\\u12"', "[1,]", '{"a": 1,}'):
        with pytest.raises(json.JSONDecodeError) as caught:
            json.loads(text)
        assert lang.say(caught.value.msg) != caught.value.msg


# ── the language


@pytest.mark.parametrize(("name", "speaks"), [
    ("vi", "vi"), ("VI", "vi"), ("vi_VN.UTF-8", "vi"), ("vi-VN", "vi"), ("en", "en"), ("", "en"), ("eo", "en"), ("ví", "en"), ("vix", "en"),
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


def test_without_a_translation_the_sentence_stays(vietnamese):
    assert lang.say("nobody wrote this") == "nobody wrote this" == str(errors.ModelError("nobody wrote this"))
    assert lang.say("") == str(errors.FtkitError()) == ""


# ── what learners see


def test_an_error_is_vietnamese_and_its_values_are_as_they_were(vietnamese, tmp_path):
    with pytest.raises(errors.DataError) as caught:
        ft.read_chats(tmp_path / "không có.jsonl")
    assert str(caught.value) == f"{tmp_path / 'không có.jsonl'}: không có tệp này; đang làm việc ở {Path.cwd()}"
    with pytest.raises(errors.RecipeError, match=r"^LoRA: epochs phải lớn hơn 0; nhận được -1$") as caught:
        ft.LoRA(epochs=-1)
    assert caught.value.args == ("LoRA: epochs must be above 0; got -1",)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_every_fault_of_a_file_is_told_in_its_own_line(vietnamese, tmp_path):
    rows = [{"messages": [{"role": "user", "content": "hi"}]}, {"messages": "no messages"}]
    path = ft.write_jsonl(tmp_path / "chats.jsonl", rows * 7)
    with pytest.raises(errors.DataError) as caught:
        ft.read_chats(path)
    first, second, *_, last = str(caught.value).splitlines()
    assert first == "chats.jsonl:1: tin nhắn cuối là của 'user'; hãy kết thúc mỗi ví dụ bằng 'assistant'"
    assert second.startswith("chats.jsonl:2: cần \"messages\": một danh sách {\"role\", \"content\"}; nhận được \"no messages\";")
    assert last == "chats.jsonl: và 4 lỗi nữa"


def test_an_error_inside_another_is_vietnamese_too(vietnamese, tmp_path, capsys):
    (tmp_path / "recipe.json").write_text('{"kind": "LoRA", "r": 0}', encoding="utf-8")
    assert main(["train", str(tmp_path / "recipe.json"), "chats.jsonl"]) == 1
    assert capsys.readouterr().err == f"ftkit: {tmp_path / 'recipe.json'}: LoRA: r phải từ 1 trở lên; nhận được 0\n"


def test_findings_keep_their_rules_levels_and_places(monkeypatch):
    rows = [Chat(({"role": "user", "content": text}, {"role": "assistant", "content": " yes"}), f"x.jsonl:{i}") for i, text in enumerate("abab")]
    reports = []
    for name in ("en", "vi"):
        monkeypatch.setenv(lang.VARIABLE, name)
        reports.append(ft.check(Dataset(tuple(rows), "x")))
    english, other = ([(one.level, one.rule, one.where) for one in report.findings] for report in reports)
    assert english == other and len(english) > 5
    for one in reports[1].findings:
        assert VIETNAMESE[RULES[one.rule][3]] == one.why and one.what.isascii() is False
    assert "x, 4 dòng: 1 lỗi, " in reports[1].headline and "<b>cảnh báo</b>" in reports[1]._repr_html_()
    monkeypatch.setenv(lang.VARIABLE, "en")
    assert str(reports[0]).isascii() and "x, 4 rows: 1 error, " in str(reports[0])


def test_the_command_checks_a_file_in_vietnamese_on_any_console(tmp_path):
    path = ft.write_jsonl(tmp_path / "dữ liệu.jsonl", [{"messages": [{"role": "user", "content": "hi"}]}])
    for encoding, want in (("utf-8", "dữ liệu.jsonl:1: tin nhắn cuối là của 'user'"), ("cp1252", "tin nh\\u1eafn cu\\u1ed1i l\xe0 c\\u1ee7a 'user'")):
        ran = subprocess.run(
            [sys.executable, "-m", "ftkit", "check", str(path)], capture_output=True,
            env={**os.environ, "FTKIT_LANG": "vi", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        )  # fmt: skip
        assert ran.returncode == 1 and want in ran.stdout.decode(encoding) and not ran.stderr


def every_widget(one):
    yield one
    for child in getattr(one, "children", ()):
        yield from every_widget(child)


def labels_of(one) -> list[str]:
    """What stands beside every control, and what a choice can be."""
    return [text for widget in every_widget(one) for text in (getattr(widget, "description", ""), *getattr(widget, "_options_labels", ())) if text]


def a_report(name: str, answers) -> Report:
    return Report(name, "t", "f" * 64, tuple(Answer(f"question {i}", "", text) for i, text in enumerate(answers)), {}, 0.0, {})


@pytest.mark.parametrize("name", ["advisor", "search", "cost", "ab", "voter"])
def test_a_widget_has_the_same_parts_in_both_languages_and_vietnamese_labels(monkeypatch, tmp_path, name):
    makers = {
        "advisor": widgets.advisor, "search": lambda: widgets.search_box(str.upper, "a question"), "ab": widgets.ab_player,
        "cost": lambda: widgets.cost_slider(
            ft.serving_cost(model="gpt-4o-mini-2024-07-18", input_tokens=500, output_tokens=100, requests_per_second=5)
        ),
        "voter": lambda: widgets.voter(ft.ballot(a_report("old", ["x"] * 3), a_report("new", ["y"] * 3), tmp_path / "votes.jsonl")),
    }  # fmt: skip
    made, text = {}, {}
    for language in ("en", "vi"):
        monkeypatch.setenv(lang.VARIABLE, language)
        made[language] = makers[name]()
        text[language] = made[language].text
    parts = [[(type(one), one._dom_classes) for one in every_widget(made[language])] for language in ("en", "vi")]
    assert parts[0] == parts[1]
    english, other = (labels_of(made[language]) for language in ("en", "vi"))
    assert english and all(VIETNAMESE[label] == said for label, said in zip(english, other, strict=True))
    if name != "search":  # its answer is whatever the ranking says
        assert text["en"] != text["vi"] and not re.search(r"\b(the|of|with|requests)\b", text["vi"])


def test_the_advice_is_the_same_in_other_words(monkeypatch):
    case = dict(behaviour=True, prompted=True, few_shot=True, examples=200, gpu_gib=16)
    english = ft.advise(**case)
    monkeypatch.setenv(lang.VARIABLE, "vi")
    other = ft.advise(**case)
    assert (other.choice, other.lesson) == (english.choice, english.lesson)
    assert other.title == "Tinh chỉnh một mô hình mở bằng QLoRA" and "Bạn có 200 ví dụ, có thời gian và tiền." in other.reasons
    assert len(other.reasons) == len(english.reasons) and "Tiếp theo:" in str(other) and "Bài học:" in other._repr_html_()


def test_the_stop_button_and_the_end_of_a_run_are_vietnamese(vietnamese, capsys):
    curve = Curve()
    curve(Status("queued"))
    assert curve.button.description == "Dừng" and curve.button.tooltip == "Kết thúc sau bước này và giữ lại mô hình"
    curve.stop()
    assert curve.button.description == "đang dừng …"
    assert curve(Status("cancelled", "stopped on request")) is True and curve.button.description == "đã hủy"


def test_votes_on_disk_and_codes_are_english(vietnamese, tmp_path):
    one = ft.ballot(a_report("old", ["x"] * 8), a_report("new", ["y"] * 8), tmp_path / "votes.jsonl")
    while pairing := one.next():
        one.vote("left" if pairing.left == "y" else "right")
    assert {json.loads(line)["winner"] for line in one.path.read_text(encoding="utf-8").splitlines()} == {"after"}
    assert "new được thích hơn" in str(one.result) and "8 cho new, 0 cho old, 0 ngang nhau" in str(one.result)


def test_a_verdict_is_a_code_and_its_words_are_for_people(vietnamese):
    change = Difference("f1", before=0.5, after=0.56, low=-0.02, high=0.14, p=0.18, test="McNemar", rows=100, moved=26)
    assert (change.verdict, change.words) == ("not enough evidence", "chưa đủ bằng chứng: thay đổi cỡ này cần thêm khoảng 264 dòng")


WRONG = {
    "01_openai": {
        "to_row": lambda *texts: {"messages": []}, "is_good": lambda row: True, "cost_usd": lambda *given: 5, "rows": [{"messages": []}],
        "recipe": 1, "run": 1, "before": 1, "after": 1,
    },
    "02_lora": {
        "lora_parameters": lambda shapes, r: 15, "lora_forward": lambda *given: [1, 1], "merge": lambda *given: [1],
        "recipe": 1, "run": 1, "before": 1, "after": 1, "to_record": lambda reply: {},
    },
    "03_embeddings": {
        "make_pairs": lambda topics: [], "ranking": lambda *given: [0, 2, 1], "hit_and_mrr": lambda places: 1 / 0,
        "recipe": 1, "run": 1, "before": 1, "after": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_self_check_explains_in_vietnamese(monkeypatch, capsys, name):
    exercise.start(name)
    questions = [node.name for node in ast.parse((ROOT / "exercises" / name / "checks.py").read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    said = {}
    for language in ("en", "vi"):
        monkeypatch.setenv(lang.VARIABLE, language)
        capsys.readouterr()
        for question in questions:
            for names in (WRONG[name], {}):
                exercise.check(question, names)
        said[language] = capsys.readouterr().out.splitlines()
    assert len(said["en"]) == 2 * len(questions)
    for english, other in zip(said["en"], said["vi"], strict=True):
        assert other[0] == english[0] == "✗" and other.split(":")[0] == english.split(":")[0] and other != english
        assert "not yet" in english or "your code raised" in english
        assert not {"the", "is", "got", "want"} & set(re.findall(r"\w+", other)), other


def test_what_keeps_a_submission_from_being_handed_in_is_told_in_vietnamese(vietnamese, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exercise.start("01_openai")
    (tmp_path / "job.json").write_text("{}", encoding="utf-8")
    capsys.readouterr()
    assert exercise.submit(SimpleNamespace(folder=tmp_path)) is None
    assert capsys.readouterr().out == "✗ chưa nộp được: thư mục này không có rows.jsonl; hãy chạy ô ghi ra tệp đó\n"


# ── what programs read


def test_the_grader_and_the_service_speak_english_whatever_the_environment_says(vietnamese, monkeypatch):
    from ftkit import service
    from ftkit.grading import run
    from ftkit.service import keys

    heard = []

    def listen(*given):
        heard.append((lang.language(), str(errors.RunError("no votes yet; vote first"))))
        raise errors.DataError("enough heard")

    monkeypatch.setattr(run, "read_exercise", listen)
    monkeypatch.setattr(keys, "read_class", listen)
    for speak in (lambda: run.grade("02_lora", "in", "out", "key"), lambda: service.serve(keys="class.csv")):
        with pytest.raises(errors.DataError):
            speak()
    assert heard == [("en", "no votes yet; vote first")] * 2 and lang.language() == "vi"


def test_nothing_is_decided_by_the_text_of_an_error():
    """It may be in another language. (The service decides by some; it speaks English.)"""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and not name.startswith("service/"):
                assert not re.search(r"\bstr\(error\)|\bsay\(|\.words\b|\.sentence\b", ast.unparse(node)), f"ftkit/{name}:{node.lineno}"
