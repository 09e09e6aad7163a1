"""The bilingual help-desk FAQ: the same topics in both languages, questions that word matching does not solve."""

import re
import unicodedata
from collections import Counter

import pytest

from ftkit import SearchSet, dataset, read_pairs


@pytest.fixture(scope="module", params=["en", "vi"])
def pairs(request):
    return read_pairs(dataset(f"faq_{request.param}"))


def test_more_than_a_hundred_topics_with_six_questions_each(pairs):
    topics = Counter(pair.group for pair in pairs)
    assert len(topics) >= 100 and set(topics.values()) == {6}
    task = SearchSet.from_pairs(pairs)
    assert len(task.queries) == len(pairs) and len(task.corpus) == len(topics), "a question or an answer is there twice"


def test_both_languages_have_the_same_topics():
    english, vietnamese = ({pair.group for pair in read_pairs(dataset(f"faq_{one}"))} for one in ("en", "vi"))
    assert english == vietnamese


def test_questions_share_few_words_with_their_answers(pairs):
    """Half of the questions have at most a fifth of their words in the answer, little words included."""
    words = lambda text: set(re.findall(r"\w+", text.lower()))  # noqa: E731
    shares = sorted(len(words(pair.anchor) & words(pair.positive)) / len(words(pair.anchor)) for pair in pairs)
    assert shares[len(shares) // 2] <= 0.2
    assert all(unicodedata.is_normalized("NFC", pair.anchor + pair.positive) for pair in pairs)


def test_a_split_keeps_the_questions_of_a_topic_together(pairs):
    split = pairs.split(seed=0)
    parts = [{pair.group for pair in part} for part in (split.train, split.val, split.test)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2]) and len(split.test) >= 40
