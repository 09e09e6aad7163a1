"""Every error ftkit raises.

    FtkitError
    ├── DataError        a file or a row is not what it should be; names file and line
    ├── RecipeError      a recipe holds a value that cannot work
    ├── ModelError       a model is unknown, gated, damaged, or not the one it claims to be
    ├── RunError         a run folder exists already, is missing, or cannot be read
    ├── EndpointError    a hosted endpoint refused, failed, or is out of reach
    └── BudgetError      money would be spent without a limit, or beyond it

A message says where, what was wrong, what was got, and what to do, in that order:
``chats.jsonl:12: the last message is from 'user'; end each example with 'assistant'``.

To add an error: give it the narrowest parent above, and raise it with a message of that shape. A class of its own is
worth it only if somebody would catch it alone. Write the message in English; `ftkit.lang` says it in the learner's language.
"""

from ftkit.lang import say


class FtkitError(Exception):
    """The parent of every error ftkit raises on purpose. ``str(error)`` is in the learner's language, ``args`` in English."""

    def __str__(self) -> str:
        return say(super().__str__())


class DataError(FtkitError):
    """A data file or a row is wrong. ``problems`` holds one ``file:line: …`` sentence per fault."""

    def __init__(self, *problems: str):
        self.problems = list(problems)
        super().__init__("\n".join(problems))

    def __str__(self) -> str:
        return "\n".join(map(say, self.problems))


class RecipeError(FtkitError):
    """A recipe holds a value that cannot work."""


class ModelError(FtkitError):
    """A model is unknown, gated, damaged, or not the one it claims to be."""


class RunError(FtkitError):
    """A run folder exists already, is missing, or cannot be read."""


class EndpointError(FtkitError):
    """A hosted endpoint refused, failed, or is out of reach."""


class BudgetError(FtkitError):
    """Money would be spent without a limit, or beyond the limit that was given."""
