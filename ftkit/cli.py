"""``ftkit …``: a thin face on the same functions that notebooks call."""

import argparse
import json
import signal
import sys
import threading
import tomllib
from pathlib import Path

from ftkit.errors import FtkitError, RecipeError, RunError
from ftkit.grading import command as grading
from ftkit.ranks import leads
from ftkit.service.__main__ import add_options

TRAIN = """Train a recipe on a data file and leave a run folder, as recipe.train(split, folder=...) does in a notebook.

recipe.toml holds the recipe's fields, or recipe.json the same as JSON:

    kind = "LoRA"          # or QLoRA, FullFineTune, DPO, Embed
    epochs = 2
    learning_rate = 2e-3

The rows are split 80/10/10 as .split(seed=0) splits them. Ctrl-C ends the run after its step and keeps the model.
On several GPUs or machines the same command is launched once per process; batch_size stays that of all together:

    accelerate launch --num_processes 2 -m ftkit train recipe.toml chats.jsonl --folder runs/lora-two
    torchrun --nproc-per-node 2 -m ftkit train recipe.toml chats.jsonl --folder runs/lora-two
"""


METRICS = ("exact_match", "json_valid", "json_fields", "chrf", "rougeL", "bleu", "f1_macro")


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 called wrongly, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="ftkit", description="Fine-tune language models, for real, on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)

    tour = commands.add_parser("tour", help="train one model on each of the three tracks and report what it did")
    tour.add_argument("--out", help="folder for the report and the runs; must not exist (default: runs/tour-NNN)")
    tour.add_argument("--track", action="append", choices=("local", "embed", "hosted"), help="only this one; may repeat")

    serve = commands.add_parser("serve", help="a local service that speaks the OpenAI protocol and really trains")
    add_options(serve)

    check = commands.add_parser("doctor", help="what this machine has, and which lessons will run on it")
    check.add_argument("notebook", nargs="*", help="notebooks whose code is compared with the installed libraries")

    compare = commands.add_parser("compare", help="compare two runs on the same test rows")
    compare.add_argument("before", help="a run's folder, a file of report.save(), or, with --data, the word base: the model "
                         "the other run started from")
    compare.add_argument("after", help="a run's folder or a file of report.save()")
    compare.add_argument("--data", help="a JSON Lines file to measure both on now; its reports are kept in the runs' folders "
                         "(default: compare what ft.evaluate(run, test) has kept there)")
    compare.add_argument("--metric", action="append", choices=METRICS, help="with --data, of chats; may repeat")
    compare.add_argument("--html", metavar="FILE", help="also write the comparison as a page")

    data = commands.add_parser("check", help="what is wrong with training data, line by line; exit code 1 if there are errors")
    data.add_argument("train", metavar="FILE", help="JSON Lines: chats, pairs or preferences")
    data.add_argument("--val", help="validation file, also compared with the others")
    data.add_argument("--test", help="test file, also compared with the others")
    data.add_argument("--max-tokens", type=int, help="where a row is cut off (default: 65,536)")
    data.add_argument("--model", help="whose tokens: a folder, a hub id or an OpenAI model")

    train = commands.add_parser(
        "train", help="train a recipe on a data file, in one process or several",
        description=TRAIN, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    train.add_argument("recipe", help="recipe.toml or recipe.json")
    train.add_argument("data", help="JSON Lines: chats; pairs for Embed, preferences for DPO")
    train.add_argument("--folder", help="where the run lives; must not exist (default: runs/<kind>-NNN)")
    train.add_argument("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --folder, which was stopped or killed")

    questions = commands.add_parser("quiz", help="the questions at the end of a lesson, asked here")
    where = commands.add_parser("progress", help="which lessons and exercises are done, and what comes next")
    questions.add_argument("lesson", help="00 to 04")
    for one in (questions, where):
        one.add_argument("--lang", choices=("en", "vi"), help="default: what FTKIT_LANG says, else en")

    grading.add_arguments(commands)

    given = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console that lacks a letter must not stop the report
    try:
        if given.command == "compare":
            return _compare(given)
        if given.command == "grade":
            return grading.grade(given)
        if given.command == "tour":
            from ftkit.tour import TRACKS, tour as run_tour

            return run_tour(tuple(given.track or TRACKS), given.out)
        if given.command == "doctor":
            return _doctor(given.notebook)
        if given.command == "check":
            return _check(given)
        if given.command == "train":
            return _train(given)
        if given.command in ("quiz", "progress"):
            return _learner(given)
        from ftkit.service import serve as run_service

        run_service(**{name: value for name, value in vars(given).items() if name != "command"})
        return 0
    except FtkitError as error:
        print(f"ftkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _doctor(notebooks: list[str]) -> int:
    from ftkit.doctor import doctor, notebook_drift

    found = doctor()
    print(found)
    problems = [words for path in notebooks for words in notebook_drift(path)]
    print(*problems, sep="\n", end="\n" if problems else "")
    return 0 if found.healthy and not problems else 1


def _compare(given) -> int:
    from ftkit.comparison import compare, compare_kept

    if given.data is None:
        comparison = compare_kept(given.before, given.after)
    else:
        comparison = compare(*_measured(given))
    print(comparison)
    if given.html:
        print(comparison.save_html(given.html))
    return 0


def _measured(given):
    """The reports of both runs on the rows of ``given.data``, which is read as the runs' recipes want it."""
    import ftkit as ft
    from ftkit.metrics import text

    known = {name: getattr(text, name) for name in ("json_valid", "json_fields", "chrf")}
    known |= {"exact_match": ft.exact_match, "rougeL": ft.rouge(), "bleu": ft.bleu(), "f1_macro": ft.f1()}
    after = ft.Run.open(given.after)
    before = after.recipe.base_model() if given.before == "base" else ft.Run.open(given.before)
    searches = isinstance(after.recipe, ft.Embed)
    rows = (ft.read_pairs if searches else ft.read_chats)(given.data)
    metrics = None if searches else [known[name] for name in given.metric or ("exact_match",)]
    return ft.evaluate(before, rows, metrics), ft.evaluate(after, rows, metrics)


def _check(given: argparse.Namespace) -> int:
    from ftkit.check import check

    report = check(given.train, given.val, given.test, max_tokens=given.max_tokens, model=given.model)
    print(report)
    return 0 if report.ok else 1


def _learner(given) -> int:
    from ftkit.progress import progress
    from ftkit.quiz import ask, read_quiz

    if given.command == "quiz":
        ask(read_quiz(given.lesson, given.lang))
    else:
        print(progress(given.lang))
    return 0


def _train(given) -> int:
    from ftkit.data import read_chats, read_pairs, read_preferences
    from ftkit.live import live
    from ftkit.run import Run

    if given.resume and not given.folder:
        raise RunError("--resume: which run? Name it with --folder")
    recipe = _recipe(Path(given.recipe))
    read = {"DPO": read_preferences, "Embed": read_pairs}.get(recipe.kind, read_chats)
    split = read(given.data).split(seed=given.seed)
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())  # how torchrun, Slurm and containers say: finish
    watch = [live(), lambda event: asked.is_set()]
    if given.resume:
        run = Run.open(given.folder)
        if run.recipe != recipe:
            raise RunError(f"{given.folder}: was begun with another recipe than {given.recipe}: {run.recipe}")
        run.resume(split, watch=watch)
    else:
        run = recipe.train(split, watch=watch, folder=given.folder)
    if leads():
        print(f"{run.folder}: {run}")
    torch = sys.modules.get("torch")
    if torch and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return 0 if run.status == "succeeded" else 130


def _recipe(path: Path):
    from ftkit.run import Recipe

    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        if not isinstance(values, dict):
            raise RecipeError("want the recipe's fields by name")
        if values.get("kind") == "Hosted":
            raise RecipeError("Hosted may cost money; train it from Python, where max_usd= is asked for")
        return Recipe.from_dict(values)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, RecipeError) as error:  # neither TOML nor JSON; a field of the wrong type; a wrong value
        raise RecipeError(f"{path}: {error}") from None
