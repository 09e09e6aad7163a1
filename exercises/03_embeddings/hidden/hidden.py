"""What the learner of exercise 03 never sees: hidden inputs, right answers, and the questions models are measured on.

The answers and their questions ship with the kit, so the secret draws how the hidden questions are worded: opened, closed
and mistyped anew, about the topics that the exercise sets aside. That keeps honest learners honest; somebody who trains on
the topics set aside gains from it. A course that wants questions nobody can have seen passes its own with --hidden.
"""

import string

import numpy as np

from ftkit.data import read_pairs
from ftkit.datasets import dataset

LANGUAGE = "en"
OPENERS = {
    "en": ["", "", "hello, ", "Hi there! ", "Quick question: ", "good morning. ", "Dear team, ", "Sorry to bother you, but ", "erm, "],
}
WORDINGS = 4
CLOSERS = {"en": ["", "", " thanks", " Thank you!", " Please help.", " Kind regards", " (second time I ask)", " asap pls"]}


def _topics(rng):
    """Topics with questions that are doubled, empty or padded now and then."""
    found = []
    for _ in range(6):
        topics = []
        for _ in range(rng.randint(0, 4)):
            questions = [_word(rng) + "?" for _ in range(rng.randint(0, 4))]
            questions += [q + " " for q in questions if rng.random() < 0.3] + ["", "  "][: rng.randint(0, 2)]
            rng.shuffle(questions)
            topics.append({"answer": _word(rng), "questions": questions})
        found.append([topics])
    return found


def _word(rng) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 8)))


def _vectors(rng):
    """A query and documents of different lengths; sometimes two that point the same way."""
    draw = np.random.default_rng(rng.getrandbits(32))
    query, documents = draw.normal(size=4).round(3), draw.normal(size=(rng.randint(1, 7), 4)).round(3)
    documents *= draw.integers(1, 9, size=(len(documents), 1))
    if rng.random() < 0.4:
        documents = np.concatenate([documents, 2 * documents[:1]])
    return [query.tolist(), documents.tolist()]


def _places(rng):
    return [[rng.choice([None, *range(1, 15)]) for _ in range(rng.randint(1, 8))]]


def make_pairs(topics):
    pairs, seen = [], set()
    for topic in topics:
        for question in (one.strip() for one in topic["questions"]):
            if question and question not in seen:
                seen.add(question)
                pairs.append([question, topic["answer"]])
    return pairs


def ranking(query, documents):
    query, documents = np.array(query), np.array(documents)
    scores = documents @ query / np.linalg.norm(documents, axis=1) / np.linalg.norm(query)
    return np.argsort(-scores.round(9), kind="stable").tolist()


def hit_and_mrr(places):
    found = [place for place in places if place is not None and place <= 10]
    return [places.count(1) / len(places), sum(1 / place for place in found) / len(places)]


PROBES = {
    "q1": (_topics, make_pairs),
    "q2": (lambda rng: [_vectors(rng) for _ in range(10)], ranking),
    "q3": (lambda rng: [_places(rng) for _ in range(8)], hit_and_mrr),
}
"""{question: (inputs(rng), the right answer to one of them)}"""


def hidden_rows(rng) -> list[dict]:
    """One search task: each question about the topics set aside in four new wordings, among the answers of all topics.

    With one wording the secret alone moved the gain of one and the same model by 0.04, as much as a band is wide.
    """
    pairs = read_pairs(dataset(f"faq_{LANGUAGE}"))
    topics = sorted({pair.group for pair in pairs})
    aside = set(topics[::3])  # as in the notebook
    corpus = {pair.group: pair.positive for pair in pairs}
    queries, qrels = {}, {}
    for number, pair in enumerate(pair for pair in pairs if pair.group in aside for _ in range(WORDINGS)):
        queries[f"q{number}"] = reworded(pair.anchor, rng)
        qrels[f"q{number}"] = {pair.group: 1}
    return [{"corpus": corpus, "queries": queries, "qrels": qrels}]


def reworded(question: str, rng) -> str:
    """The question with another opening and end, in another case, and with one or two slips of the keyboard."""
    letters = list(question)
    for _ in range(rng.randint(0, 2)):
        at = rng.randrange(max(1, len(letters) - 1))
        if letters[at : at + 2] and all(one.isalpha() for one in letters[at : at + 2]):
            letters[at : at + 2] = letters[at : at + 2][::-1]
    text = "".join(letters)
    text = rng.choice([text, text, text.lower(), text.rstrip("?.")])
    return rng.choice(OPENERS[LANGUAGE]) + text + rng.choice(CLOSERS[LANGUAGE])
