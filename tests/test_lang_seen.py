"""Under FTKIT_LANG=vi learners see Vietnamese; numbers, names and files, and whatever programs read, stay as they are."""

import ast
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from lang_sentences import PACKAGE, ROOT, VIETNAMESE

import ftkit as ft
from ftkit import errors, exercise, lang, widgets
from ftkit.cli import main
from ftkit.comparison import Difference
from ftkit.data import Chat, Dataset
from ftkit.events import Status
from ftkit.live import Curve
from ftkit.report import Answer, Report
from ftkit.rules import RULES


@pytest.fixture
def vietnamese(monkeypatch):
    monkeypatch.setenv(lang.VARIABLE, "vi")


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
    answer = {"role": "assistant", "content": " yes"}
    rows = [Chat(({"role": "user", "content": text}, answer), f"x.jsonl:{i}") for i, text in enumerate("abab")]
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
    for encoding, want in (
        ("utf-8", "dữ liệu.jsonl:1: tin nhắn cuối là của 'user'"),
        ("cp1252", "tin nh\\u1eafn cu\\u1ed1i l\xe0 c\\u1ee7a 'user'"),
    ):
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
    shown = ((getattr(widget, "description", ""), *getattr(widget, "_options_labels", ())) for widget in every_widget(one))
    return [text for texts in shown for text in texts if text]


def a_report(name: str, answers) -> Report:
    return Report(name, "t", "f" * 64, tuple(Answer(f"question {i}", "", text) for i, text in enumerate(answers)), {}, 0.0, {})


@pytest.mark.parametrize("name", ["advisor", "search", "cost", "ab", "voter"])
def test_a_widget_has_the_same_parts_in_both_languages_and_vietnamese_labels(monkeypatch, tmp_path, name):
    makers = {
        "advisor": widgets.advisor, "search": lambda: widgets.search_box(str.upper, "a question"), "ab": widgets.ab_player,
        "cost": lambda: widgets.cost_slider(
            ft.serving_cost(model="gpt-4o-mini-2024-07-18", input_tokens=500, output_tokens=100, requests_per_second=5)
        ),
        "voter": lambda: widgets.voter(ft.ballot(a_report("old", "xxx"), a_report("new", "yyy"), tmp_path / "votes.jsonl")),
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
    one = ft.ballot(a_report("old", "x" * 8), a_report("new", "y" * 8), tmp_path / "votes.jsonl")
    while pairing := one.next():
        one.vote("left" if pairing.left == "y" else "right")
    assert {json.loads(line)["winner"] for line in one.path.read_text(encoding="utf-8").splitlines()} == {"after"}
    assert "new được thích hơn" in str(one.result) and "8 cho new, 0 cho old, 0 ngang nhau" in str(one.result)


def test_a_verdict_is_a_code_and_its_words_are_for_people(vietnamese):
    change = Difference("f1", before=0.5, after=0.56, low=-0.02, high=0.14, p=0.18, test="McNemar", rows=100, moved=26)
    assert (change.verdict, change.words) == ("not enough evidence", "chưa đủ bằng chứng: thay đổi cỡ này cần thêm khoảng 264 dòng")


WRONG = {
    "01_openai": {
        "to_row": lambda *texts: {"messages": []}, "is_good": lambda row: True, "cost_usd": lambda *given: 5,
        "rows": [{"messages": []}], "recipe": 1, "run": 1, "before": 1, "after": 1,
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
    checks = ast.parse((ROOT / "exercises" / name / "checks.py").read_text(encoding="utf-8"))
    questions = [node.name for node in checks.body if isinstance(node, ast.FunctionDef)]
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
                compared = re.search(r"\bstr\(error\)|\bsay\(|\.words\b|\.sentence\b", ast.unparse(node))
                assert not compared, f"ftkit/{name}:{node.lineno}"
