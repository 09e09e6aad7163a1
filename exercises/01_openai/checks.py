"""The self-checks of exercise 01: what learners may see. Other inputs decide the points."""

from ftkit.exercise import need
from ftkit.lang import say


def q1(names):
    to_row = need(names, "to_row")
    got = to_row("Be brief.", "Where is Hue?", "Vietnam")
    assert got is not None, "to_row returns nothing; does it end in `return`?"
    assert isinstance(got, dict) and list(got) == ["messages"], f"want a dict with the one key 'messages'; got {got!r}."
    assert len(got["messages"]) == 3, f"want three messages; got {len(got['messages'])}."
    roles = [message.get("role") for message in got["messages"]]
    assert roles == ["system", "user", "assistant"], f"The roles are system, user, assistant, in this order; got {roles}."
    assert got["messages"][1]["content"] == "Where is Hue?", f"The user's content is the question; got {got['messages'][1]}."
    got = to_row(" a ", "b\n", " c")
    assert [message["content"] for message in got["messages"]] == ["a", "b", "c"], "Blanks at both ends should be gone."


def q2(names):
    is_good = need(names, "is_good")

    def row(*roles, content="x"):
        return {"messages": [{"role": role, "content": content} for role in roles]}

    for good in (row("system", "user", "assistant"), row("user", "assistant"), row("user", "assistant", "user", "assistant")):
        assert is_good(good) is True, f"This row is good: want True; got {is_good(good)!r} for {good}."
    for bad, why in (
        (row("system", "user"), say("it ends with the user")),
        (row("user", "system", "assistant"), say("system comes second")),
        (row("assistant"), say("nobody asked")),
        (row("user", "teacher"), say("no such role")),
        (row("user", "assistant", content="  "), say("the contents are blank")),
        ({"messages": [{"role": "user"}, {"role": "assistant", "content": "x"}]}, say("a content is missing")),
        ({"messages": []}, say("no messages")),
        ({}, say("no key 'messages'")),
    ):
        got = is_good(bad)
        assert got is False, f"This row is bad ({why}): want False; got {got!r} for {bad}."


def q3(names):
    cost = need(names, "cost_usd")
    got = cost([500] * 1000, 3, 3.0)
    assert got is not None, "cost_usd returns nothing; does it end in `return`?"
    assert abs(got - 4.5) < 1e-6, f"1,000 rows of 500 tokens, 3 epochs, $3 per million: want 4.5; got {got}."
    assert cost([], 3, 3.0) == 0, "No rows cost nothing."


def q4(names):
    from ftkit.grading.dataset import rows_marks

    rows = need(names, "rows", call=False)
    assert isinstance(rows, list), f"rows should be a list; it is a {type(rows).__name__}."
    assert rows, "rows is empty."
    wrong = [why for share, why in rows_marks(rows) if share == 0]
    assert not wrong, " ".join(map(say, wrong))


def q5(names):
    need(names, "recipe", call=False)
    run, before, after = (need(names, name, call=False) for name in ("run", "before", "after"))
    status = getattr(run, "status", "not there")
    assert status == "succeeded", f"The run is {say(status)}; train to the end."
    same = before.answers == after.answers
    assert not same, "Every answer is that of the base: it learnt nothing yet. Let it see the rows more often (epochs)."
    return "The job has succeeded. Read the intervals before you write q6."
