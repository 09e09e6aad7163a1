"""Two rankings side by side."""


from ftkit.embed.rankings import Rankings

CORPUS = ["<b>cats</b>", "dogs", "birds"]


class Model:
    """Finds the corpus in the order of ``best``; the real models' search is tested in test_embed_model.py."""

    def __init__(self, best):
        self.best = best

    def search(self, queries, corpus, k):
        return [[(i, 0.9 - n / 10) for n, i in enumerate(self.best[:k])] for _ in queries]


def rankings(k=2):
    return Rankings("who <purrs>?", {"before": Model([1, 2, 0]), "after": Model([0, 1, 2])}, CORPUS, k)


def test_the_text_names_each_model_and_what_it_put_first():
    assert str(rankings()).splitlines() == [
        "who <purrs>?",
        *("before", "   0.90  dogs", "   0.80  birds"),
        *("after", "   0.90  <b>cats</b>", "   0.80  dogs"),
    ]


def test_the_table_has_a_column_for_each_model_and_every_text_is_escaped():
    table = rankings()._repr_html_()
    assert table.count("<th") == 2 and table.count("<td") == 4
    assert "&lt;b&gt;cats" in table and "<b>cats" not in table and "<purrs>" not in table


def test_the_real_model_finds_the_kitten(base):
    found = Rankings("a young cat", {"base": base}, ["stock prices", "a kitten"], 1).found["base"]
    assert found[0][0] == "a kitten"
