"""The model as judge, asked over HTTP at a real endpoint whose taste the test knows."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ftkit.errors import BudgetError, DataError
from ftkit.hosted import endpoint, local_service, openai
from ftkit.judge import judge
from ftkit.report import Answer, Report


def report(name: str, answers) -> Report:
    rows = tuple(Answer(f"question {{{i}}}", "", text) for i, text in enumerate(answers))
    return Report(name, "test", "f" * 64, rows, {}, 0.0, {})


BEFORE = report("base", ["same"] * 5 + ["short"] * 20)
AFTER = report("tuned", ["same"] * 5 + ["a longer answer"] * 20)


@pytest.fixture
def court(monkeypatch):
    """``court(taste)``: an endpoint whose model replies ``taste(answer A, answer B)``; ``court.asked`` counts."""
    monkeypatch.setenv("COURT_KEY", "k")
    servers = []

    def open_court(taste):
        class Judge(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][0]["content"]
                first, second = re.search(r"\[Answer A\]\n(.*)\n\n\[Answer B\]\n(.*)\n\nWhich", text, re.DOTALL).groups()
                open_court.asked.append(text)
                message = {"role": "assistant", "content": taste(first, second)}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                answer = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *what):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return endpoint(f"http://127.0.0.1:{server.server_port}/v1", key_env="COURT_KEY")

    open_court.asked = []
    yield open_court
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_judge_with_a_taste_finds_the_better_model_in_both_orders(court):
    found = judge(BEFORE, AFTER, court(lambda a, b: "[[A]]" if len(a) > len(b) else "[[B]]"), model="m")
    assert len(court.asked) == 40 and found.same == 5 and "question {5}" in "".join(court.asked)
    assert found.win_rate.value == 1 and found.words == "tuned is preferred"
    assert found.consistent.value == 1 and found.first_share.value == 0.5
    assert "5 more had equal answers" in str(found) and found._repr_html_().startswith("<table>")


def test_a_judge_that_always_likes_the_first_one_is_seen_through(court):
    found = judge(BEFORE, AFTER, court(lambda a, b: "A"), model="m")
    assert found.first_share.value == 1 and found.consistent.value == 0
    assert found.win_rate.value == 0.5 and "not enough evidence" in found.words


def test_a_judge_that_cannot_answer_gives_no_votes_and_is_counted(court):
    found = judge(BEFORE, AFTER, court(lambda a, b: "I like both answers." if len(a) > len(b) else "[[A]]"), model="m", rows=6)
    assert found.unreadable == 6 and found.votes == () and len(court.asked) == 12
    assert "6 of 12" in str(found)


def test_ties_count_half(court):
    found = judge(BEFORE, AFTER, court(lambda a, b: "[[T]]"), model="m")
    assert found.win_rate.value == 0.5 and found.consistent.value == 1 and found.first_share.value == 0.5


def test_identical_answers_are_never_sent(court):
    found = judge(BEFORE, BEFORE, court(lambda a, b: "A"), model="m")
    assert found.same == 25 and found.firsts == () and court.asked == []
    with pytest.raises(DataError, match="different rows"):
        judge(BEFORE, Report("x", "other", "0" * 64, AFTER.answers, {}, 0.0, {}), court(lambda a, b: "A"), model="m")


def test_where_money_may_be_spent_a_limit_is_required_and_kept(monkeypatch):
    """Nothing is sent: there is not even a key."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BudgetError, match=r"judge: this endpoint may charge you; pass max_usd=.*\$0.15 in"):
        judge(BEFORE, AFTER, openai(), model="gpt-4o-mini-2024-07-18")
    with pytest.raises(BudgetError, match="more than max_usd"):
        judge(BEFORE, AFTER, openai(), model="gpt-4o-mini-2024-07-18", max_usd=0.0001)
    with pytest.raises(BudgetError, match="usd_per_million"):
        judge(BEFORE, AFTER, openai(), model="new", max_usd=1)


@pytest.mark.slow
def test_the_kits_own_service_can_be_the_judge_if_not_a_good_one(tmp_path):
    service = local_service(tmp_path / "service")
    try:
        found = judge(BEFORE, AFTER, service, model="ftkit-phi-11m", rows=3)
    finally:
        service.close()
    assert len(found.firsts) == 3 and 0 <= found.unreadable <= 6
