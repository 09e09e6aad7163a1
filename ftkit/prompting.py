"""Models that see something before each question: examples (few-shot), or pages looked up for it (RAG).

Both have ``replies`` like the model they hold, so `ftkit.evaluate` measures them like any other.
"""

from collections.abc import Sequence

from ftkit.data import Chat
from ftkit.errors import DataError


class FewShot:
    """``model``, shown ``rows`` as earlier turns of the conversation before each question.

    Brown et al. 2020, arXiv:2005.14165. Introduced in lesson 00.

    >>> class Echo:
    ...     name = "echo"
    ...     def replies(self, batch, max_tokens):
    ...         return [" | ".join(message["content"] for message in messages) for messages in batch]
    >>> example = Chat(({"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}))
    >>> FewShot(Echo(), [example]).replies([[{"role": "user", "content": "2 + 2?"}]])
    ['1 + 1? | 2 | 2 + 2?']
    """

    def __init__(self, model, rows: Sequence[Chat]):
        self.model, self.rows = model, list(rows)
        self.name = f"{model.name} with {len(self.rows)} examples"

    def __repr__(self) -> str:
        return f"FewShot({self.name})"

    def prompt(self, messages: Sequence[dict]) -> list[dict]:
        """What the model gets in place of ``messages``: their system message, the examples, then the rest."""
        head = [message for message in messages if message["role"] in ("system", "developer")]
        rest = [message for message in messages if message["role"] not in ("system", "developer")]
        shown = [message for row in self.rows for message in row.messages if message["role"] not in ("system", "developer")]
        return [*head, *shown, *rest]

    def replies(self, batch: Sequence[list[dict]], max_tokens: int = 256) -> list[str]:
        """The model's answer to each list of messages."""
        return self.model.replies([self.prompt(messages) for messages in batch], max_tokens)


class RAG:
    """``model``, given the ``k`` pages nearest to each question: retrieval-augmented generation.

    Lewis et al. 2020, arXiv:2005.11401. Introduced in lesson 00.

    Args:
        model: whatever answers, such as ``ft.LoRA().base_model()``.
        pages: texts to look things up in.
        embedder: an `EmbedModel`; None: all-MiniLM-L6-v2.
        k: pages put before each question, the nearest first.

    Raises:
        DataError: there are no pages.
    """

    def __init__(self, model, pages: Sequence[str], embedder=None, k: int = 1):
        if not pages:
            raise DataError("RAG: there are no pages to look things up in; got an empty list")
        if k < 1:
            raise DataError(f"RAG: k must be 1 page or more; got {k}")
        if embedder is None:
            from ftkit.embed import Embed  # opens sentence-transformers on base_model()

            embedder = Embed().base_model()
        self.model, self.pages, self.embedder, self.k = model, list(pages), embedder, k
        self.name = f"{model.name} with {len(self.pages)} pages to look in"

    def __repr__(self) -> str:
        return f"RAG({self.name})"

    def lookup(self, questions: Sequence[str]) -> list[list[str]]:
        """For each question the ``k`` nearest pages, best first."""
        found = self.embedder.search(list(questions), self.pages, self.k)
        return [[self.pages[i] for i, _ in best] for best in found]

    def prompts(self, batch: Sequence[list[dict]]) -> list[list[dict]]:
        """What the model gets: the pages stand before the last message, a blank line between."""
        found = self.lookup([messages[-1]["content"] for messages in batch])
        return [
            [*messages[:-1], {**messages[-1], "content": "\n\n".join([*pages, messages[-1]["content"]])}]
            for messages, pages in zip(batch, found, strict=True)
        ]

    def replies(self, batch: Sequence[list[dict]], max_tokens: int = 256) -> list[str]:
        """The model's answer to each list of messages."""
        return self.model.replies(self.prompts(batch), max_tokens)
