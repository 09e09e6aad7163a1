"""Where an API key is found: Colab's secrets, the environment, or whoever sits at the keyboard. It is never printed or written."""

import os
import sys
from getpass import getpass

from ftkit.lang import say
from ftkit.screens import in_a_notebook


def find(name: str) -> str | None:
    """The key called ``name``; None where there is none. Looked for in this order:

    1. the secrets of Google Colab (the key symbol in its left bar), if this is Colab and the notebook may see them;
    2. the environment variable of that name;
    3. the person at the keyboard, asked without showing what is typed. The answer is put into the environment of this
       process, so that it is asked for once; ``del os.environ[name]`` forgets it.

    >>> os.environ["DOCTEST_KEY"] = " sk-1 "
    >>> find("DOCTEST_KEY")
    'sk-1'
    """
    if key := _from_colab(name) or os.environ.get(name, "").strip():
        return key
    if not _somebody_is_there():
        return None
    try:
        key = getpass(say("{name} (not shown, not stored): ").format(name=name)).strip()
    except (EOFError, OSError, NotImplementedError):  # the last: a notebook that is run by a program
        return None
    if key:
        os.environ[name] = key
    return key or None


def _from_colab(name: str) -> str | None:
    if "google.colab" not in sys.modules:
        return None
    from google.colab import userdata  # only Colab has it

    try:
        return (userdata.get(name) or "").strip()
    except (userdata.SecretNotFoundError, userdata.NotebookAccessError, userdata.TimeoutException):
        return None  # no such secret; this notebook may not see it; nobody answered the question whether it may


def _somebody_is_there() -> bool:
    """A notebook, or a terminal that nothing is piped into."""
    return in_a_notebook() or bool(sys.stdin and sys.stdin.isatty())
