"""One track of the tour, run as ``python -m ftkit.tour.tracks TRACK FOLDER``.

Each track takes a part of its data, so that the tour is short; the lessons take more.
Speaks to its parent in JSON Lines on standard output: ``{"share": 0–100, "says": …}`` and, once, ``{"result": …}``.
"""

import json
import sys

import ftkit as ft
from ftkit.events import Event, Status, Step
from ftkit.lang import say
from ftkit.metrics.classify import exact_match
from ftkit.metrics.text import json_field, json_fields, json_valid

TITLES = {
    "local": "LoRA on a language model, on this machine",
    "embed": "an embedding model, for search",
    "hosted": "fine-tuning over the OpenAI API, served by this machine",
}
TICKETS = (exact_match, json_fields, json_field("queue"), json_valid)


def local(tell, folder) -> dict:
    split = ft.read_chats(ft.dataset("tickets")).split(seed=0, stratify="queue")
    split = ft.Split(split.train.sample(1200), split.val.sample(60), split.test.sample(100))
    unseen = ft.read_chats(ft.dataset("tickets_unseen")).sample(60)
    recipe = ft.LoRA()
    run, comparisons = _before_after(tell, folder, recipe, split, [split.test, unseen], TICKETS)
    trained = say(
        f"LoRA r={recipe.r} on {len(split.train):,} customer messages of the tickets set, one epoch; "
        f"base: {comparisons[0].before.model}, which ships with the kit"
    )
    return _result(run, comparisons, "json_fields", trained)


def embed(tell, folder) -> dict:
    split = ft.library_docs().split(seed=0)
    split = ft.Split(split.train.sample(960), split.val.sample(60), split.test)
    recipe = ft.Embed()
    run, comparisons = _before_after(tell, folder, recipe, split, [split.test], None)
    trained = say(
        f"all weights of {comparisons[0].before.model} on {len(split.train):,} pairs (first sentence of a docstring → "
        "what it documents) from the libraries installed here, one epoch; test: modules it never saw"
    )
    return _result(run, comparisons, "ndcg@10", trained)


def hosted(tell, folder) -> dict:
    split = ft.read_chats(ft.dataset("tickets")).split(seed=0, stratify="queue")
    split = ft.Split(split.train.sample(300), split.val.sample(40), split.test.sample(60))
    recipe = ft.Hosted(endpoint=ft.local_service(folder / "service"), epochs=2, suffix="tour")
    run, comparisons = _before_after(tell, folder / "run", recipe, split, [split.test], TICKETS)
    trained = say(
        f"{len(split.train)} customer messages, two epochs, through the official openai client and a service on "
        f"127.0.0.1; the tuned model: {comparisons[0].after.model}"
    )
    return _result(run, comparisons, "json_fields", trained)


def _before_after(tell, folder, recipe, split, tests, metrics):
    """(run, one Comparison per test set): the base is measured first, then trained, then measured again."""
    tell(2, say("loading the base model"))
    base = recipe.base_model()
    tell(5, say("measuring the base model"))
    before = [ft.evaluate(base, test, metrics, max_tokens=64) for test in tests]

    def watch(event: Event) -> None:
        if isinstance(event, Step):
            tell(15 + 70 * event.step / event.steps, say(f"step {event.step} of {event.steps}, loss {event.loss:.3f}"))
        elif isinstance(event, Status) and event.message:
            tell(15, say(event.message))

    run = recipe.train(split, watch=watch, folder=folder)
    if run.status != "succeeded":
        raise SystemExit(say(f"the run was {run.status}; what it learnt is kept in {folder}"))
    tell(86, say("measuring the tuned model"))
    after = [ft.evaluate(run.model, test, metrics, max_tokens=64) for test in tests]
    return run, [ft.compare(one, other) for one, other in zip(before, after)]


def _result(run, comparisons, metric: str, trained: str) -> dict:
    from ftkit.plots import before_after, loss_curve

    change = comparisons[0][metric]
    if change.verdict == "better":
        said = say(f"It helped: {metric} rose from {change.before:.3f} to {change.after:.3f}.")
    elif change.verdict == "worse":
        said = say(f"It made things WORSE: {metric} fell from {change.before:.3f} to {change.after:.3f}.")
    else:
        said = say(f"It did NOT clearly help: {metric}: {change.words}.")
    return {
        "metric": metric,
        "before": round(change.before, 4),
        "after": round(change.after, 4),
        "interval": [round(change.low, 4), round(change.high, 4)],
        "improved": change.verdict == "better",
        "trained": trained,
        "verdict": said,
        "comparisons": [{"text": str(one), "html": one._repr_html_()} for one in comparisons],
        "pictures": [
            loss_curve(run.history, say(f"{run.losses[0]:.2f} → {run.losses[-1]:.2f} in {len(run.losses)} steps")).html,
            before_after(comparisons[0], said).html,
        ],
    }


def main(track: str, folder: str) -> None:
    from pathlib import Path

    def tell(share: float, says: str) -> None:
        print(json.dumps({"share": round(share, 1), "says": says}), flush=True)

    tell(0, say("loading the libraries"))
    try:
        result = {"local": local, "embed": embed, "hosted": hosted}[track](tell, Path(folder))
    except ft.FtkitError as error:
        result = {"error": str(error)}
    print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
