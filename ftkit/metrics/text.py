"""Scores for written answers: JSON by field; chrF and BLEU over sacrebleu, ROUGE over rouge-score."""

import json
import re
import unicodedata
from functools import cache

from ftkit.metrics import Corpus


def json_valid(want: str, got: str) -> float:
    """1 if the answer is a JSON object, else 0.

    >>> json_valid("{}", '{"queue": "billing"}'), json_valid("{}", "billing")
    (1.0, 0.0)
    """
    return float(_object(got) is not None)


def json_fields(want: str, got: str) -> float:
    """F1 over (field, value) pairs: ``2·|right| / (|wanted| + |given|)``; 0 where the answer is no JSON object.

    >>> json_fields('{"queue": "billing", "product": null}', '{"queue": "billing", "product": "lamp"}')
    0.5
    """
    wanted, given = _object(want), _object(got)
    if wanted is None or given is None:
        return 0.0
    if not wanted and not given:
        return 1.0
    missing = object()
    right = sum(_same(given.get(name, missing), value) for name, value in wanted.items())
    return 2 * right / (len(wanted) + len(given))


def json_field(name: str):
    """A row metric: 1 where the answer's field ``name`` holds the wanted value.

    >>> json_field("queue")('{"queue": "billing"}', '{"queue": "refund"}')
    0.0
    """

    def metric(want: str, got: str) -> float:
        wanted, given = _object(want) or {}, _object(got) or {}
        return float(name in given and _same(given[name], wanted.get(name)))

    metric.__name__ = name
    return metric


def chrf(want: str, got: str) -> float:
    """Character n-gram F-score of one answer, 0 to 100 (Popović 2015). Suits Vietnamese: needs no word borders.

    >>> chrf("hoá đơn", "hoá đơn")
    100.0
    """
    return _sacrebleu("CHRF").sentence_score(_nfc(got), [_nfc(want)]).score


def bleu() -> Corpus:
    """Corpus BLEU, 0 to 100 (Papineni et al. 2002). sacrebleu has no Vietnamese tokeniser: report `chrf` beside it."""

    def prepare(wants, gots):
        import numpy as np

        scorer = _sacrebleu("BLEU")
        rows = [scorer.sentence_score(_nfc(got), [_nfc(want)]) for want, got in zip(wants, gots, strict=True)]
        counts = np.array([row.counts for row in rows])  # (n, 4) matching n-grams of order 1 to 4
        totals = np.array([row.totals for row in rows])  # (n, 4)
        got_length = np.array([row.sys_len for row in rows])  # (n,)
        want_length = np.array([row.ref_len for row in rows])  # (n,)

        def score(chosen) -> float:
            return type(scorer).compute_bleu(
                counts[chosen].sum(0).tolist(),
                totals[chosen].sum(0).tolist(),
                int(got_length[chosen].sum()),
                int(want_length[chosen].sum()),
                smooth_method="exp",
            ).score

        return score

    return Corpus("bleu", prepare)


def rouge(kind: str = "rougeL"):
    """A row metric: ROUGE F-measure, 0 to 1 (Lin 2004): "rouge1", "rouge2" or "rougeL".

    With a Unicode tokeniser: rouge-score's own drops every letter outside a–z, so that a Vietnamese text with all its
    tone marks wrong would still score well.
    """

    def metric(want: str, got: str) -> float:
        return _rouge(kind).score(want, got)[kind].fmeasure

    metric.__name__ = kind
    return metric


class UnicodeTokens:
    """rouge-score's tokeniser interface: lower-cased words in Unicode's sense.

    >>> UnicodeTokens().tokenize("Hoá đơn số 5")
    ['hoá', 'đơn', 'số', '5']
    """

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", _nfc(text).lower())


@cache
def _rouge(kind: str):
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], tokenizer=UnicodeTokens())


@cache
def _sacrebleu(name: str):
    from sacrebleu import metrics

    # BLEU's rows are only counted; with effective_order it does so without a warning for each of them
    return metrics.CHRF() if name == "CHRF" else metrics.BLEU(effective_order=True)


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _object(text: str) -> dict | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _same(a, b) -> bool:
    """Equal as JSON values: 1 is not true."""
    return type(a) is type(b) and a == b
