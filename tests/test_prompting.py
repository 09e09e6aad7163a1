"""Few-shot and RAG: what the model is given before the question."""

import pytest

import ftkit as ft


class Recorder:
    """A model that answers with the last line it was given, and keeps everything it was given."""

    name = "recorder"

    def replies(self, batch, max_tokens):
        self.batch, self.max_tokens = batch, max_tokens
        return [messages[-1]["content"].splitlines()[-1] for messages in batch]


def user(text):
    return {"role": "user", "content": text}


def row(question, answer, system=None):
    head = ({"role": "system", "content": system},) if system else ()
    return ft.Chat((*head, user(question), {"role": "assistant", "content": answer}))


def test_examples_come_after_the_system_message_and_before_the_question():
    model = Recorder()
    shown = ft.FewShot(model, [row("q1", "a1", system="theirs"), row("q2", "a2")])
    assert shown.replies([[{"role": "system", "content": "mine"}, user("q3")]], max_tokens=5) == ["q3"]
    assert [m["content"] for m in model.batch[0]] == ["mine", "q1", "a1", "q2", "a2", "q3"]
    assert model.max_tokens == 5


def test_the_nearest_page_stands_before_the_question():
    model = Recorder()
    pages = ["The kettle costs 35 dollars.", "The kettle stands on shelf B-160.", "Parcels to Denmark take six days."]
    rag = ft.RAG(model, pages)
    rag.replies([[user("How much is the kettle?")], [user("how long does a parcel to Denmark take")]])
    assert model.batch[0] == [user("The kettle costs 35 dollars.\n\nHow much is the kettle?")]
    assert model.batch[1][0]["content"].startswith("Parcels to Denmark take six days.\n\n")
    assert rag.lookup(["Which shelf is the kettle on?"]) == [[pages[1]]]


def test_with_k_pages_the_nearest_comes_first():
    pages = ["The kettle costs 35 dollars.", "The kettle stands on shelf B-160.", "Parcels to Denmark take six days."]
    (found,) = ft.RAG(Recorder(), pages, k=2).lookup(["On which shelf is the kettle?"])
    assert found == [pages[1], pages[0]]


@pytest.mark.parametrize(("pages", "k"), [([], 1), (["a page"], 0)])
def test_no_pages_and_no_k_are_refused(pages, k):
    with pytest.raises(ft.DataError, match="RAG"):
        ft.RAG(Recorder(), pages, k=k)


def test_both_are_evaluated_like_any_model():
    rows = ft.data.Dataset([row("q", "q")], "toy")
    assert ft.evaluate(ft.FewShot(Recorder(), [row("x", "y")]), rows).scores["exact_match"].value == 1
