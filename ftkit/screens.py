"""What the learner looks at: a notebook or a terminal."""

import sys


def in_a_notebook() -> bool:
    """Whether this code runs in a cell: only there can widgets and pictures be shown. IPython is not imported for it.

    >>> in_a_notebook()
    False
    """
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython() if ipython else None, "kernel")
