"""Reading, refusing and writing rows."""

import json

import pytest

from ftkit import Chat, DataError, Pair, ScoredPair, SearchSet
from ftkit import read_chats, read_pairs, read_scored_pairs, read_search, write_jsonl
from ftkit.data import LONGEST_LINE, Dataset

GOOD = {"messages": [{"role": "user", "content": "Chào shop"}, {"role": "assistant", "content": "Dạ vâng"}]}


def lines(*rows) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows).encode()


def refused(tmp_path, content: bytes) -> str:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_chats(path)
    assert path.read_bytes() == content, "a refused file must stay as it was"
    return str(caught.value)


def test_rows_survive_writing_and_reading(tmp_path):
    path = tmp_path / "chats.jsonl"
    path.write_bytes(lines(GOOD, "", GOOD))
    data = read_chats(path)
    assert [row.where for row in data] == ["chats.jsonl:1", "chats.jsonl:3"]
    assert data[0].answer == "Dạ vâng" and data[0].prompt == GOOD["messages"][:1]
    again = read_chats(write_jsonl(tmp_path / "again.jsonl", data))
    assert again.fingerprint == data.fingerprint and again.rows == data.rows
    assert not list(tmp_path.glob("*.tmp"))


def test_a_broken_line_is_named_with_its_column(tmp_path):
    message = refused(tmp_path, lines(GOOD, '{"messages": [', GOOD))
    assert message.startswith("chats.jsonl:2: not JSON at column")


def test_every_bad_line_is_listed_not_only_the_first(tmp_path):
    message = refused(tmp_path, lines("oops", GOOD, "[1]", {"messages": []}))
    assert [line.split(": ")[0] for line in message.splitlines()] == ["chats.jsonl:1", "chats.jsonl:3", "chats.jsonl:4"]


def test_many_bad_lines_are_counted(tmp_path):
    message = refused(tmp_path, lines(*["oops"] * 25))
    assert len(message.splitlines()) == 11 and message.endswith("and 15 more faults")


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (["user"], "the last message is from 'user'; end each example with 'assistant'"),
        (["assistant"], "message 1 is from 'assistant' before any 'user' has spoken"),
        (["system", "assistant"], "message 2 is from 'assistant' before any 'user' has spoken"),
        (["user", "system", "assistant"], "message 2 is from 'system'; it may only come first"),
        (["user", "user", "assistant"], "messages 1 and 2 are both from 'user'"),
        (["user", "bot"], "message 2 has role 'bot'"),
    ],
)
def test_a_wrong_role_order_is_refused_with_file_and_line(tmp_path, roles, said):
    row = {"messages": [{"role": role, "content": "x"} for role in roles]}
    assert refused(tmp_path, lines(GOOD, row)).startswith(f"chats.jsonl:2: {said}")


def test_an_empty_answer_and_a_wrong_weight_are_refused(tmp_path):
    empty = {"messages": [GOOD["messages"][0], {"role": "assistant", "content": "  "}]}
    weight = {"messages": [GOOD["messages"][0], {**GOOD["messages"][1], "weight": 2}]}
    message = refused(tmp_path, lines(empty, weight))
    assert "chats.jsonl:1: message 2 (assistant) is empty" in message
    assert "chats.jsonl:2: message 2 has weight 2" in message


def test_an_empty_file_says_so(tmp_path):
    assert refused(tmp_path, b"\n  \n").startswith("chats.jsonl:1: the file is empty")
    assert refused(tmp_path, b"").startswith("chats.jsonl:1: the file is empty")


def test_utf16_and_byte_order_marks_are_named_with_the_way_out(tmp_path, monkeypatch):
    text = lines(GOOD).decode()
    assert "chats.jsonl:1: this is UTF-16" in refused(tmp_path, text.encode("utf-16"))
    assert "chats.jsonl:1: holds zero bytes" in refused(tmp_path, text.encode("utf-16-le"))
    message = refused(tmp_path, text.encode("utf-8-sig"))
    assert "chats.jsonl:1: starts with a byte order mark" in message
    monkeypatch.chdir(tmp_path)
    exec("from pathlib import Path; " + message.partition("UTF-8: ")[2])  # the remedy we print must work
    assert read_chats("chats.jsonl")[0].answer == "Dạ vâng"


def test_bytes_that_are_not_utf8_are_located(tmp_path):
    assert "chats.jsonl:2: byte 11 of the line is not UTF-8 (0xe9)" in refused(tmp_path, lines(GOOD) + b'{"messages\xe9"}\n')


def test_a_huge_line_is_refused_without_reading_it_all(tmp_path):
    message = refused(tmp_path, lines(GOOD) + b'{"x": "' + b"a" * LONGEST_LINE + b'"}\n')
    assert message.startswith("chats.jsonl:2: the line is longer than 4 MiB")


def test_a_deeply_nested_line_is_an_error_not_a_crash(tmp_path):
    assert "chats.jsonl:1: not JSON" in refused(tmp_path, b'{"messages": ' + b"[" * 200_000 + b"\n")


def test_a_missing_file_says_where_we_looked(tmp_path):
    with pytest.raises(DataError, match="no such file; working in"):
        read_chats("nowhere.jsonl")


def test_writing_replaces_the_file_whole_or_not_at_all(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [GOOD])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_jsonl(path, [GOOD, {"messages": {1, 2}}])
    assert path.read_bytes() == before


def test_pairs_keep_their_group_and_refuse_empty_sides(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(lines({"anchor": "a", "positive": "b", "group": 7}))
    assert read_pairs(path)[0] == Pair("a", "b", "7")
    path.write_bytes(lines({"anchor": "a", "positive": " "}, {"anchor": "a"}))
    with pytest.raises(DataError, match=r'pairs.jsonl:1: want a text in "positive"(.|\n)*pairs.jsonl:2'):
        read_pairs(path)


def test_pairs_that_stand_twice_or_say_nothing_are_refused_with_both_lines(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(lines(*[{"anchor": a, "positive": p} for a, p in (("a", "x"), ("b", "x"), ("a", "x"), ("c", "c"))]))
    with pytest.raises(DataError, match=r"pairs.jsonl:4: anchor and positive are the same text"):
        read_pairs(path)
    path.write_bytes(lines(*[{"anchor": a, "positive": p} for a, p in (("a", "x"), ("b", "x"), ("a", "x"))]))
    with pytest.raises(DataError, match=r"^pairs.jsonl:3: the same two texts as pairs.jsonl:1; keep one of them$"):
        read_pairs(path)


def test_scored_pairs_survive_and_wrong_scores_and_missing_sides_are_named(tmp_path):
    path = tmp_path / "scored.jsonl"
    rows = [ScoredPair("a", "b", 0), ScoredPair("c", "c", 1.0, group="g")]
    assert read_scored_pairs(write_jsonl(path, rows)).rows == tuple(rows)
    wrong = [1.2, -0.1, True, "0.5", None]
    rows = [{"sentence1": "a", "sentence2": str(i), "score": one} for i, one in enumerate(wrong)]
    path.write_bytes(lines(*rows, {"sentence1": "a"}))
    with pytest.raises(DataError) as caught:
        read_scored_pairs(path)
    got = [line.split("; ")[1] for line in caught.value.problems]
    assert got == [f"got {one}" for one in ("1.2", "-0.1", "true", '"0.5"', "nothing", "nothing")]
    assert [line.split(": ")[0] for line in caught.value.problems] == [f"scored.jsonl:{n}" for n in range(1, 7)]
    assert 'want a text in "sentence2"' in caught.value.problems[-1]


def test_a_search_set_made_in_code_may_not_judge_what_does_not_exist():
    for qrels in ({"q9": {"d": 1}}, {"q": {"d9": 1}}):
        with pytest.raises(DataError, match="[qd]9'.* does not exist"):
            SearchSet({"d": "text"}, {"q": "?"}, qrels)
    with pytest.raises(DataError, match="got a ScoredPair: use read_pairs"):
        SearchSet.from_pairs([ScoredPair("a", "b", 1)])


def test_a_search_set_is_read_in_beirs_layout_and_checked(tmp_path):
    (tmp_path / "corpus.jsonl").write_bytes(lines({"_id": "d1", "title": "T", "text": "x"}, {"_id": "d2", "text": "y"}))
    (tmp_path / "queries.jsonl").write_bytes(lines({"_id": "q1", "text": "?"}))
    (tmp_path / "qrels.tsv").write_bytes(b"query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n")
    assert read_search(tmp_path) == SearchSet({"d1": "T x", "d2": "y"}, {"q1": "?"}, {"q1": {"d1": 2}})
    (tmp_path / "qrels.tsv").write_bytes(b"q1\td9\t1\nq1 d1 1\n")
    with pytest.raises(DataError, match=r"qrels.tsv:1: judges document 'd9'(.|\n)*qrels.tsv:2: want"):
        read_search(tmp_path)
    (tmp_path / "qrels.tsv").write_bytes(b"q1\td1\t1\nq1\td2\t1\nq1\td1\t0\n")
    with pytest.raises(DataError, match=r"qrels.tsv:3: judges 'q1' and 'd1' again, after qrels.tsv:1"):
        read_search(tmp_path)
    (tmp_path / "corpus.jsonl").write_bytes(lines({"_id": "d1", "text": "x"}, {"_id": "d1", "text": "y"}))
    with pytest.raises(DataError, match="corpus.jsonl:2: the id 'd1' is used twice; corpus.jsonl:1 has it too"):
        read_search(tmp_path)


def test_a_slice_is_a_dataset_and_the_fingerprint_knows_the_rows_not_the_place():
    rows = tuple(Chat(tuple(GOOD["messages"]), f"f:{i}") for i in range(3))
    data = Dataset(rows)
    assert isinstance(data[1:], Dataset) and len(data[1:]) == 2
    assert data.fingerprint == Dataset(tuple(Chat(tuple(GOOD["messages"]), "g:9") for _ in range(3))).fingerprint
    assert data.fingerprint != data[1:].fingerprint
