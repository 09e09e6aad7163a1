"""Classification scores, over scikit-learn."""

from ftkit.metrics import Corpus


def exact_match(want: str, got: str) -> float:
    """1 if the texts are equal once outer blanks are gone, else 0. On labels, its mean is the accuracy.

    >>> exact_match("billing", " billing\\n")
    1.0
    """
    return float(want.strip() == got.strip())


def f1(average: str = "macro") -> Corpus:
    """F1 over the labels that are wanted anywhere: ``macro``, ``micro`` or ``weighted`` as in scikit-learn.

    A got text that is no wanted label counts as a miss of the wanted one.
    """

    def prepare(wants, gots):
        import numpy as np
        from sklearn.metrics import f1_score

        labels = sorted({want.strip() for want in wants})
        number = {label: i for i, label in enumerate(labels)}
        want = np.array([number[text.strip()] for text in wants])
        got = np.array([number.get(text.strip(), len(labels)) for text in gots])
        known = np.arange(len(labels))

        def score(rows) -> float:
            return f1_score(want[rows], got[rows], labels=known, average=average, zero_division=0)

        return score

    return Corpus(f"f1_{average}", prepare)
