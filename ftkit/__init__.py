"""ftkit: learn to fine-tune language models, for real, on the machine you have.

    data → split → recipe → run → report

    import ftkit as ft

    split = ft.read_chats(ft.dataset("tickets")).split(seed=0)
    recipe = ft.LoRA()
    run = recipe.train(split, watch=ft.live())
    ft.compare(ft.evaluate(recipe.base_model(), split.test), ft.evaluate(run.model, split.test))
"""

import logging as _logging
import os as _os

# Before torch is loaded: its threads should soon sleep while they wait for each other. Threads that spin keep the core
# from any second process, and training beside a browser or a service then takes five times as long, measured. Two
# thousand turns of spinning (GNU OpenMP) cost nothing measurable there, and save a quarter of the time when alone.
_os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# On processors with bf16, bitsandbytes complains while it is imported that it cannot fetch a kernel; the kit does without.
_logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(_logging.ERROR)

from ftkit import exercise
from ftkit.abtest import ABTest
from ftkit.advice import Advice, advise
from ftkit.check import CheckReport, check
from ftkit.comparison import Comparison, compare
from ftkit.cost import ServingCost, serving_cost
from ftkit.data import Chat, Dataset, Pair, Preference, ScoredPair, SearchSet, Split
from ftkit.data import read_chats, read_pairs, read_preferences, read_scored_pairs, read_search, write_jsonl
from ftkit.datasets import dataset
from ftkit.datasets.library_docs import library_docs
from ftkit.embed import Embed
from ftkit.errors import BudgetError, DataError, EndpointError, FtkitError, ModelError, RecipeError, RunError
from ftkit.estimate import Estimate
from ftkit.events import Saved, Status, Step, Val
from ftkit.hosted import Hosted, endpoint, local_service, openai
from ftkit.judge import judge
from ftkit.lang import language
from ftkit.live import live
from ftkit.local import DPO, FullFineTune, LoRA, QLoRA
from ftkit.metrics.classify import Confusion, confusion, exact_match, f1, precision, recall
from ftkit.metrics.text import bleu, chrf, json_field, json_fields, json_valid, rouge
from ftkit.progress import progress
from ftkit.prompting import RAG, FewShot
from ftkit.quiz import quiz
from ftkit.report import Report, evaluate
from ftkit.rules import Finding
from ftkit.run import Run
from ftkit.tokens import TokenCount, count_tokens
from ftkit.vote import ballot

__version__ = "0.1.0"

__all__ = [
    "ABTest", "Advice", "BudgetError", "Chat", "CheckReport", "Comparison", "Confusion", "DPO", "DataError", "Dataset",
    "Embed", "EndpointError", "Estimate", "FewShot", "Finding", "FtkitError", "FullFineTune", "Hosted", "LoRA", "ModelError",
    "Pair", "Preference", "QLoRA", "RAG", "RecipeError", "Report", "Run", "RunError", "Saved", "ScoredPair", "SearchSet",
    "ServingCost", "Split", "Status", "Step", "TokenCount", "Val", "advise", "ballot", "bleu", "check", "chrf", "compare",
    "confusion", "count_tokens", "dataset", "endpoint", "evaluate", "exact_match", "exercise", "f1", "json_field",
    "json_fields", "json_valid", "judge", "language", "library_docs", "live", "local_service", "openai", "precision", "progress",
    "quiz", "read_chats", "read_pairs", "read_preferences", "read_scored_pairs", "read_search", "recall", "rouge", "serving_cost",
    "write_jsonl",
]  # fmt: skip
