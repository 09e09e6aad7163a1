"""ftkit: learn to fine-tune language models, for real, on the machine you have.

    data → split → recipe → run → report
"""

from ftkit.data import Chat, Dataset, Pair, SearchSet, Split, read_chats, read_pairs, read_search, write_jsonl
from ftkit.errors import BudgetError, DataError, EndpointError, FtkitError, ModelError, RecipeError, RunError
from ftkit.events import Saved, Status, Step, Val
from ftkit.run import Run

__version__ = "0.1.0"
