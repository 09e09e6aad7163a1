"""How good a ranking is, query by query. The arithmetic is that of ``ir_measures``; ours are the names.

hit@k   1 where any right answer stands among the first k, else 0
mrr@k   1 / the place of the first right answer, 0 where it stands below k (Voorhees 1999)
ndcg@k  how much of the best possible ordering's discounted gain is reached (Järvelin and Kekäläinen 2002)
recall@k  the share of all right answers that stands among the first k
"""

from collections.abc import Mapping, Sequence

from ftkit.errors import FtkitError

METRICS = ("hit@1", "hit@10", "mrr@10", "ndcg@10")

_MEASURES = {"hit": "Success", "mrr": "RR", "ndcg": "nDCG", "recall": "R"}


def per_query(
    ranking: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
    metrics: Sequence[str] = METRICS,
) -> dict[str, dict[str, float]]:
    """{metric: {query id: value from 0 to 1, higher is better}} for every query with a right answer.

    A query whose judgements hold no relevance of 1 or more has no answer: nothing could find it, so it is left out. A
    query with an answer and without results scores 0. Documents with equal scores are ordered by their place in the ranking, first
    one first, which is the order `EmbedModel.rank` wrote them in.

    >>> found = {"q1": {"d1": 0.9, "d2": 0.8}, "q2": {"d1": 0.9, "d2": 0.8}}
    >>> right = {"q1": {"d1": 1}, "q2": {"d2": 1}, "q3": {"d3": 1}}
    >>> per_query(found, right, metrics=["hit@1", "mrr@10"])
    {'hit@1': {'q1': 1.0, 'q2': 0.0, 'q3': 0.0}, 'mrr@10': {'q1': 1.0, 'q2': 0.5, 'q3': 0.0}}

    Args:
        ranking: query id → {document id: score, higher is nearer}.
        qrels: query id → {document id: relevance, 1 or more}.
        metrics: ``hit@k``, ``mrr@k``, ``ndcg@k`` or ``recall@k`` with any k of 1 or more.

    Raises:
        FtkitError: an unknown metric.

    Introduced in lesson 03.
    """
    import ir_measures  # its scorers load numpy: not at module level

    measures = {_measure(metric): metric for metric in metrics}
    qrels = {query: judged for query, judged in qrels.items() if any(grade > 0 for grade in judged.values())}
    scores = {metric: dict.fromkeys(qrels, 0.0) for metric in metrics}
    places = {query: _by_place(ranking[query]) for query in qrels if ranking.get(query)}
    if places:  # the scorer refuses an empty run
        for found in ir_measures.iter_calc(list(measures), {q: dict(qrels[q]) for q in places}, places):
            scores[measures[found.measure]][found.query_id] = float(found.value)
    return scores


def _by_place(scores: Mapping[str, float]) -> dict[str, float]:
    """{document id: n, n − 1, …} in ranking order: the scorers would break equal scores by the spelling of ids."""
    best_first = sorted(scores, key=lambda document: -scores[document])  # stable
    return {document: float(len(best_first) - place) for place, document in enumerate(best_first)}


def depth(metrics: Sequence[str]) -> int:
    """How many documents of a ranking the metrics look at.

    >>> depth(["hit@1", "recall@100"])
    100
    """
    return max(_measure(metric)["cutoff"] for metric in metrics)


def _measure(metric: str):
    import ir_measures

    name, _, k = str(metric).partition("@")
    if name not in _MEASURES or not k.isdecimal() or int(k) < 1:
        known = ", ".join(f"{one}@k" for one in _MEASURES)
        raise FtkitError(f"metric {metric!r} is unknown; use {known} with a whole k of 1 or more, such as 'hit@10'")
    return getattr(ir_measures, _MEASURES[name]) @ int(k)  # its parse_measure breaks on Python 3.14
