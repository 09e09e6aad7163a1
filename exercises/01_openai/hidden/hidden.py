"""What the learner of exercise 01 never sees: hidden inputs and right answers, drawn from the course's secret."""

import json

from ftkit.grading.dataset import is_good


def _texts(rng):
    def text():
        words = " ".join(rng.choice(["Huế", "tea", "{}", "why?", '"x"', "ok"]) for _ in range(rng.randint(1, 5)))
        return rng.choice(["", " ", "\n"]) + words + rng.choice(["", "  ", "\n"])

    return [[text(), text(), text()] for _ in range(8)]


def _rows(rng):
    """Good rows, and rows with one fault each."""

    def good():
        turns = [role for _ in range(rng.randint(1, 3)) for role in ("user", "assistant")]
        roles = (["system"] if rng.random() < 0.5 else []) + turns
        return [{"role": role, "content": f"{role} {rng.randint(1, 99)}"} for role in roles]

    def spoilt():
        messages = good()
        at = rng.randrange(len(messages))
        fault = rng.randrange(7)
        if fault == 0:
            messages.pop()
        elif fault == 1:
            messages[at]["content"] = rng.choice(["", "  ", None, 7])
        elif fault == 2:
            messages[at]["role"] = rng.choice(["teacher", "bot", None, "User"])
        elif fault == 3:
            del messages[at][rng.choice(["role", "content"])]
        elif fault == 4:
            messages.insert(rng.randint(1, len(messages) - 1), {"role": "system", "content": "late"})
        elif fault == 5:
            messages = [one for one in messages if one["role"] != "user"]
        else:
            messages[at] = "not a dict"
        return messages

    found = [{"messages": good()} for _ in range(6)] + [{"messages": spoilt()} for _ in range(12)]
    found += [{"messages": []}, {"messages": "text"}, {}]
    rng.shuffle(found)
    return [[json.loads(json.dumps(row))] for row in found]


def _costs(rng):
    return [[[rng.randint(1, 900) for _ in range(rng.randint(0, 9))], rng.randint(1, 9), rng.choice([0.5, 3.0, 25.0])] for _ in range(8)]


def to_row(system, question, answer):
    texts = zip(("system", "user", "assistant"), (system, question, answer))
    return {"messages": [{"role": role, "content": text.strip()} for role, text in texts]}


def cost_usd(tokens_per_row, epochs, usd_per_million):
    return sum(tokens_per_row) * epochs * usd_per_million / 1_000_000


PROBES = {"q1": (_texts, to_row), "q2": (_rows, is_good), "q3": (_costs, cost_usd)}
"""{question: (inputs(rng), the right answer to one of them)}"""
