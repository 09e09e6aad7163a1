"""Checking data: each rule on a row that breaks it and on one that keeps it, and any bytes at all."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import ftkit as ft
from ftkit.check.personal import personal
from ftkit.cli import main
from ftkit.data import LONGEST_LINE, Chat, Dataset, Pair
from ftkit.rules import LEVELS, RULES

WORDS = """river stone cloud lamp bread window garden paper engine bridge candle forest mirror saddle thunder
needle copper bottle harbour pepper ribbon tunnel velvet walnut anchor button cellar dagger feather glove hammer
island jacket kettle ladder magnet napkin orchard pillow quarry rocket shovel ticket umbrella violin wagon""".split()
TOPICS = ["weather", "cooking", "travel", "music"]
SYSTEM = "Name the topic."


def question(i: int) -> str:
    rng = random.Random(i)
    return f"{rng.choice(['What about', 'Tell me of', 'Explain', 'I wonder about'])} {' '.join(rng.sample(WORDS, 7))}?"


def chat(i: int, answer: str | None = None, user: str | None = None, system: str | None = SYSTEM, **last) -> dict:
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question(i) if user is None else user})
    return {"messages": [*messages, {"role": "assistant", "content": TOPICS[i % 4] if answer is None else answer, **last}]}


def chats(n: int = 60) -> list:
    return [chat(i) for i in range(n)]


def pairs(n: int = 60) -> list:
    return [{"anchor": question(i), "positive": f"passage {'abcdefghijklmnop'[i % 16]} {question(i + 1000)}"} for i in range(n)]


def preference(i: int, good: str = "Gladly.", bad: str = "No.") -> dict:
    message = [{"role": "assistant", "content": text} for text in (good, bad)]
    asked = {"messages": [{"role": "user", "content": question(i)}]}
    return {"input": asked, "preferred_output": message[:1], "non_preferred_output": message[1:]}


def write(path, rows):
    if isinstance(rows, list):
        rows = "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows).encode()
    path.write_bytes(rows)
    return path


def found(tmp_path, rows, **options) -> dict[str, list]:
    """rule → its findings"""
    return ft.check(write(tmp_path / "rows.jsonl", rows), **options).by_rule()


def with_row(row, rows=None):
    """60 sound rows and this one, as line 61."""
    return [*(chats() if rows is None else rows), row]


ROUND = {"role": "user", "content": "Hello there"}
REPLY = {"role": "assistant", "content": "music"}

BROKEN = {
    "not-json": '{"messages": [',
    "not-object": "[1, 2]",
    "half-character": r'{"messages": [{"role": "user", "content": "\ud83d"}, {"role": "assistant", "content": "music"}]}',
    "row-kind": {"anchor": "a", "positive": "b"},
    "messages": {"messages": "hello"},
    "message": {"messages": ["hello"]},
    "role": {"messages": [{"role": "bot", "content": "x"}]},
    "content": {"messages": [{"role": "user", "content": 7}]},
    "empty": {"messages": [{"role": "user", "content": " "}, REPLY]},
    "system-first": {"messages": [ROUND, {"role": "system", "content": "x"}, REPLY]},
    "assistant-first": {"messages": [REPLY]},
    "same-role": {"messages": [ROUND, ROUND, REPLY]},
    "tool-order": {"messages": [ROUND, {"role": "tool", "content": "x"}, REPLY]},
    "weight": {"messages": [ROUND, {**REPLY, "weight": 2}]},
    "last-role": {"messages": [ROUND]},
    "no-answer": {"messages": [ROUND, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
    "mojibake": chat(99, user="ThÃ´ng tin vá» Ä‘Æ¡n hÃ ng"),
    "replacement": chat(99, user="caf\ufffd in the garden"),
    "decomposed": chat(99, user="Tie\u0302\u0301ng Vie\u0323\u0302t"),
    "invisible": chat(99, user="zero\u200bwidth"),
    "whitespace": chat(99, answer="music\n"),
    "key": chat(99, user="my token is hf_" + "aB3" * 12),
    "personal": chat(99, user="write to lan.tran@gmail.com"),
    "contradiction": chat(0, answer="music"),
    "duplicate": chat(0),
    "near-duplicate": chat(99, user=question(3) + " please", answer=TOPICS[3]),
    "system-prompt": chat(99, system="Another one."),
    "class-balance": chat(99, answer="geology"),
    "too-long": chat(99, user="word " * 100_000),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_row_that_breaks_a_rule_is_named_with_its_line_and_the_sixty_sound_rows_are_not(tmp_path, rule):
    one = found(tmp_path, with_row(BROKEN[rule]))[rule]
    assert [finding.where for finding in one] == ["rows.jsonl:61"]
    assert one[0].what and one[0].mend and one[0].why and one[0].level in LEVELS
    assert set(found(tmp_path, chats())) == {"try-prompting"}


FILES = {
    "utf-16": json.dumps(chat(0)).encode("utf-16"),
    "byte-order-mark": json.dumps(chat(0)).encode("utf-8-sig"),
    "long-line": b'{"x": "' + b"a" * LONGEST_LINE + b'"}\n',
    "zero-bytes": b'{"x": "\x00"}\n',
    "not-utf-8": b'{"x": "\xe9"}\n',
    "empty-file": b" \n\n",
}


@pytest.mark.parametrize("rule", FILES)
def test_a_file_that_is_not_json_lines_in_utf_8_is_named(tmp_path, rule):
    assert found(tmp_path, FILES[rule])[rule][0].level == "error"
    assert rule not in found(tmp_path, chats())


def test_reading_goes_on_after_a_line_that_cannot_be_read(tmp_path):
    rows = b"".join([FILES["long-line"], FILES["zero-bytes"], b'{"messages": []}\n', json.dumps(chat(0)).encode("utf-8")])
    report = ft.check(write(tmp_path / "rows.jsonl", b"\xef\xbb\xbf" + rows))
    wheres = [(one.rule, one.where.partition(":")[2]) for one in report.errors]
    assert wheres[:4] == [("byte-order-mark", "1"), ("long-line", "1"), ("zero-bytes", "2"), ("messages", "3")]
    assert report.rows == 1


def test_windows_line_ends_and_blank_lines_are_sound(tmp_path):
    text = "\r\n\r\n".join(json.dumps(row) for row in chats())
    assert set(found(tmp_path, text.encode())) == {"try-prompting"}


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("preference-input", {"input": 3, "preferred_output": []}),
        ("preference-output", {**preference(99), "preferred_output": []}),
        ("preference-chat", {**preference(99), "non_preferred_output": [{"role": "user", "content": "x"}]}),
        ("same-outputs", preference(99, "Yes.", "Yes.")),
        ("preference-reversed", preference(0, "No.", "Gladly.")),
        ("duplicate", preference(0)),
        ("personal", preference(99, good="Ring +44 20 7946 0018")),
    ],
)
def test_preferences_are_checked(tmp_path, rule, row):
    rows = [preference(i) for i in range(60)]
    assert [one.where for one in found(tmp_path, with_row(row, rows))[rule]] == ["rows.jsonl:61"]
    assert set(found(tmp_path, rows)) == {"try-prompting"}


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("pair-text", {"anchor": "a", "positive": ""}),
        ("group", {"anchor": "a", "positive": "b", "group": [1]}),
        ("duplicate", pairs()[0]),
        ("near-duplicate", {"anchor": question(5) + " now", "positive": "other"}),
        ("row-kind", chat(0)),
    ],
)
def test_pairs_are_checked(tmp_path, rule, row):
    assert [one.where for one in found(tmp_path, with_row(row, pairs()))[rule]] == ["rows.jsonl:61"]
    assert set(found(tmp_path, pairs())) == {"try-prompting"}


def test_too_few_rows_are_an_error_and_few_are_advice(tmp_path):
    assert found(tmp_path, chats(9))["too-few"][0].level == "error"
    assert "few" in found(tmp_path, chats(10)) and "few" in found(tmp_path, chats(49))
    assert not {"few", "too-few"} & set(found(tmp_path, chats(50)))


def test_two_answers_to_one_prompt_are_a_contradiction_only_where_one_must_be_wrong(tmp_path):
    prose = [chat(i, answer=f"Well, {question(i + 500)}") for i in range(60)]
    rules = found(tmp_path, with_row(chat(0, answer="Another answer."), prose))
    assert "contradiction" not in rules and rules["several-answers"][0].level == "advice"


def test_leaks_between_parts_are_found_wholly_nearly_and_by_group(tmp_path):
    train = write(tmp_path / "train.jsonl", chats(60))
    clean = write(tmp_path / "test.jsonl", [chat(i) for i in range(100, 120)])
    assert set(ft.check(train, test=clean).by_rule()) == {"try-prompting"}
    leaky = write(tmp_path / "leaky.jsonl", [chat(100), chat(3), chat(101, user=question(4) + " please")])
    rules = ft.check(train, test=leaky).by_rule()
    assert [one.where for one in rules["leak"]] == ["leaky.jsonl:2"] and "train: train.jsonl:4" in rules["leak"][0].what
    assert [one.where for one in rules["near-leak"]] == ["leaky.jsonl:3"] and "train.jsonl:5" in rules["near-leak"][0].what
    grouped = [Dataset((Pair(question(i), "p", group=str(i % 2), where=f"x:{i}"),)) for i in range(3)]
    assert [one.where for one in ft.check(*grouped).by_rule()["group-leak"]] == ["x:2"]


def test_a_split_of_the_kits_own_data_has_no_leak(tickets):
    report = ft.check(tickets.split(seed=0))
    assert report.ok and report.rows == len(tickets) and not report.warnings


def test_json_answers_are_held_to_one_form(tmp_path):
    rows = [chat(i, answer=json.dumps({"topic": TOPICS[i % 4], "n": i})) for i in range(60)]
    assert set(found(tmp_path, rows)) == {"try-prompting"}
    rules = found(tmp_path, [*rows, chat(98, answer="music"), chat(99, answer='{"topic": "music"}')])
    assert [one.where for one in rules["format"]] == ["rows.jsonl:61", "rows.jsonl:62"]


def test_a_rare_class_inside_json_answers_is_pointed_out(tmp_path):
    rows = [chat(i, answer=json.dumps({"topic": "music" if i else "art", "n": i})) for i in range(60)]
    assert "'topic'" in found(tmp_path, rows)["class-balance"][0].what


def test_one_answer_to_everything_is_nothing_to_learn(tmp_path):
    assert "one-answer" in found(tmp_path, [chat(i, answer="music") for i in range(60)])
    assert "one-answer" not in found(tmp_path, chats())


def test_rows_that_begin_alike_or_repeat_lack_variety(tmp_path):
    assert "variety" in found(tmp_path, [chat(i, user=f"Could you please {question(i)}") for i in range(60)])
    assert "repeats" in found(tmp_path, [*chats(40), *chats(20)])


VIETNAMESE = "đơn hàng của tôi ở đâu rồi, giao chậm quá|tôi muốn đổi trả sản phẩm bị lỗi này|cửa hàng mở cửa lúc mấy giờ vậy".split("|")


def test_vietnamese_without_marks_is_told_from_vietnamese_and_from_english(tmp_path):
    rows = [chat(i, user=f"{VIETNAMESE[i % 3]} {question(i)}") for i in range(60)]
    rules = found(tmp_path, [*rows, chat(98, user="don hang cua toi o dau roi"), chat(99, user="Where is my order now then")])
    assert [one.where for one in rules["missing-marks"]] == ["rows.jsonl:61"]
    assert "missing-marks" not in found(tmp_path, [*rows, chat(99, user="Where is my order now then")])


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-" + "Ab3dEf6hIj9lMn2p" * 3,
        "use hf_" + "a1B2" * 9,
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "-----BEGIN RSA PRIVATE KEY-----",
        "mail lan.tran@gmail.com",
        "gọi 0912 345 678 nhé",
        "gọi 0912345678",
        "call +84 912 345 678",
        "call +44 20 7946 0958 now",
        "(212) 736-5000",
        "card 4111 1111 1111 1111",
        "5555-5555-5555-4444",
        "CCCD của tôi là 001099012345",
    ],
)
def test_secrets_and_personal_data_are_found_and_never_shown(tmp_path, text):
    report = ft.check(write(tmp_path / "rows.jsonl", with_row(chat(99, user=text))))
    said = [one for one in report.findings if one.rule in ("key", "personal")]
    assert [one.where for one in said] == ["rows.jsonl:61"]
    secret = max(text.replace("nhé", "").split(), key=len) if " " not in text[-8:] else text[-11:]
    assert secret not in str(report) + repr(report) + report._repr_html_()


def test_a_finding_that_quotes_a_row_quotes_no_secret(tmp_path):
    token, mail = "hf_" + "aB3" * 12, "lan.tran@gmail.com"
    report = ft.check(write(tmp_path / "rows.jsonl", [f"{token} oops", {"anchor": 7, "positive": mail}, {"anchor": [mail]}]))
    assert {"not-json", "pair-text"} <= set(report.by_rule())
    assert token not in str(report) and mail not in str(report)


@pytest.mark.parametrize(
    "text",
    [
        "order 0912345678 is late",
        "đơn hàng 0987654321 chưa tới",
        "mã vận đơn: 4111111111111111",
        "#21990 and HC-4389",
        "invoice no. 4111 1111 1111 1111",
        "4111 1111 1111 1112 fails its check digit",
        "001099012345 alone says nothing",
        "support@example.com",
        "a task-management-system-for-2024-projects",
        "sk-xxxxxxxxxxxxxxxxxxxxxxxx",
        "from 2024-01-15 10:30 to 2024-02-16 11:45",
        "call (212) 555-0123, as in films",
        "1,234,567,890 and 3.14159265358979",
        "192.168.100.200",
    ],
)
def test_order_numbers_and_invented_data_are_left_alone(text):
    assert not list(personal(text))


@pytest.mark.parametrize("text", ["“CHẢ CÁ LÃ”", "ĐÃ”, anh nói", "“thôi mà…”", "café…”", "20 °C", "«là»", "naïve Ærø Ünïcode"])
def test_sound_text_is_not_called_garbled(tmp_path, text):
    assert "mojibake" not in found(tmp_path, with_row(chat(99, user=text)))


@pytest.mark.parametrize("text", ["Đơn hàng của tôi", "café", "it’s", "“quoted”", "日本語", "🎉"])
def test_text_read_in_the_wrong_encoding_is_called_garbled(tmp_path, text):
    wrong = "".join(bytes([b]).decode("cp1252", "ignore") or bytes([b]).decode("latin-1") for b in text.encode())
    assert [one.where for one in found(tmp_path, with_row(chat(99, user=wrong)))["mojibake"]] == ["rows.jsonl:61"]


def test_max_tokens_are_counted_with_the_models_own_tokenizer(tmp_path):
    rows = with_row(chat(99, user="một hai ba bốn năm sáu bảy tám chín mười " * 9))
    assert [one.where for one in found(tmp_path, rows, max_tokens=80, model="phi-11m")["too-long"]] == ["rows.jsonl:61"]
    assert "too-long" not in found(tmp_path, rows, max_tokens=80), "without a tokenizer only certain cases are reported"


@pytest.mark.parametrize("name", ["tickets_en", "tickets_vi", "faq_en", "faq_vi", "voice_en", "voice_vi"])
def test_the_kits_own_data_have_no_error_and_no_warning(name):
    report = ft.check(ft.dataset(name))
    assert report.ok and not report.warnings, report


def test_rows_made_by_hand_are_checked_too():
    broken = Dataset((Chat(({"role": "user", "content": "x"},)), Pair("a", " ")), "mine")
    assert [(one.where, one.rule) for one in ft.check(broken).errors][:2] == [("mine:1", "last-role"), ("mine:2", "pair-text")]


def test_scored_pairs_and_pairs_that_say_nothing_are_checked_too(tmp_path):
    rows = [{"sentence1": f"text {i}", "sentence2": "other", "score": i / 60} for i in range(50)]
    broken = [{"sentence1": "a", "sentence2": "b", "score": 2}, {"sentence1": "a", "sentence2": "", "score": 1}]
    report = ft.check(write(tmp_path / "scored.jsonl", [*rows, *broken, rows[0]]))
    found = {(one.where, one.rule) for one in report.findings}
    assert {("scored.jsonl:51", "score"), ("scored.jsonl:52", "pair-text"), ("scored.jsonl:53", "duplicate")} <= found
    same = ft.check(write(tmp_path / "pairs.jsonl", [{"anchor": "a", "positive": "a"}]))
    assert [one.rule for one in same.errors] == ["same-texts"]


def test_every_rule_is_tested_and_has_words_for_what_why_and_how():
    here = Path(__file__).read_text(encoding="utf-8")
    for rule, (level, what, mend, why) in RULES.items():
        assert f'"{rule}"' in here, f"no test names {rule}"
        assert level in LEVELS and what and mend and why


def test_the_report_shows_the_worst_first_and_counts_the_rest(tmp_path):
    report = ft.check(write(tmp_path / "rows.jsonl", [*chats(), *["oops"] * 9, chat(0)]))
    assert str(report).startswith("rows.jsonl, 61 rows: 9 errors, 1 warning, 1 advice\n\nerror: not-json (9): ")
    assert "  and 4 more" in str(report) and [one.level for one in report.findings] == ["error"] * 9 + ["warning", "advice"]
    assert report._repr_html_().count("rows.jsonl:6") == 5


def test_html_in_data_stays_text(tmp_path):
    assert "<script>" not in ft.check(write(tmp_path / "rows.jsonl", ["<script>alert(1)</script>"]))._repr_html_()


def test_the_command_line_ends_with_1_on_errors_and_0_without(tmp_path, capsys):
    good, bad = write(tmp_path / "good.jsonl", chats()), write(tmp_path / "bad.jsonl", ["oops"])
    assert main(["check", str(good)]) == 0
    assert "good.jsonl, 60 rows: 1 advice" in capsys.readouterr().out
    assert main(["check", str(bad)]) == 1
    assert main(["check", str(good), "--test", str(good)]) == 1 and "leak" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "nowhere.jsonl")]) == 1 and "no such file" in capsys.readouterr().err
    assert main(["check", str(tmp_path)]) == 1


def test_something_that_is_no_data_is_refused():
    with pytest.raises(ft.DataError, match="want a path, a Dataset or a Split; got int"):
        ft.check(7)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800") | st.just("\x00"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant", "tool"]) | JSON,
        "content": st.text() | JSON,
        "weight": st.sampled_from([0, 1]) | JSON,
        "tool_calls": JSON,
    },
)
ROW = st.one_of(
    JSON,
    st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=4) | JSON}),
    st.fixed_dictionaries({"anchor": st.text() | JSON, "positive": st.text() | JSON}, optional={"group": JSON}),
    st.fixed_dictionaries(
        {"input": st.fixed_dictionaries({"messages": st.lists(MESSAGE, max_size=3)}) | JSON},
        optional={"preferred_output": st.lists(MESSAGE, max_size=2) | JSON, "non_preferred_output": st.lists(MESSAGE) | JSON},
    ),
)
DEEP = '{"messages": ' + '{"a": [' * 400 + "1" + "]}" * 400 + "}"
ANY_FILE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ANY_FILE
@given(st.binary(max_size=300) | st.text().map(lambda text: text.encode("utf-16")) | st.text().map(lambda text: text.encode("utf-8-sig")))
@example(b"\xff\xfe" + b"\x00" * 9)
@example(b"\xef\xbb\xbf")
@example(b'{"messages": ' + b"[" * 100_000)
@example(b'{"anchor": ' + b"9" * 10_000 + b"}")
@example(DEEP.encode() + b"\r\n\r\n" + DEEP.replace("messages", "group").encode())
@example(b'{"messages": NaN}\n{"messages": [{"role": -Infinity}]}')
def test_no_bytes_make_it_fail(tmp_path, content):
    complete(ft.check(write(tmp_path / "any.jsonl", content)))


@ANY_FILE
@given(st.lists(ROW, max_size=6), st.lists(ROW, max_size=3))
def test_no_json_makes_it_fail(tmp_path, rows, others):
    write(tmp_path / "any.jsonl", "\n".join(map(json.dumps, rows)).encode())
    write(tmp_path / "other.jsonl", "\n".join(map(json.dumps, others)).encode())
    complete(ft.check(tmp_path / "any.jsonl", test=tmp_path / "other.jsonl", max_tokens=3))


def complete(report):
    for one in report.findings:
        assert one.where and one.what and one.mend and one.why and one.level in LEVELS and one.rule in RULES
        assert len(str(one)) < 1000
    str(report).encode("utf-8")
    report._repr_html_().encode("utf-8")
