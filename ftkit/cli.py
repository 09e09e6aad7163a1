"""``ftkit …``: a thin face on the same functions that notebooks call."""

import argparse
import sys

from ftkit.errors import FtkitError


METRICS = ("exact_match", "json_valid", "json_fields", "chrf", "rougeL", "bleu", "f1_macro")


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 called wrongly, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="ftkit", description="Fine-tune language models, for real, on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)

    tour = commands.add_parser("tour", help="train one model on each of the three tracks and report what it did")
    tour.add_argument("--out", help="folder for the report and the runs; must not exist (default: runs/tour-NNN)")
    tour.add_argument("--track", action="append", choices=("local", "embed", "hosted"), help="only this one; may repeat")

    serve = commands.add_parser("serve", help="a local service that speaks the OpenAI protocol and really trains")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    serve.add_argument("--port", type=int, default=8000)
    serve.add_argument("--data-dir", default="ftkit-service", help="where files, jobs and models live (default: %(default)s)")
    serve.add_argument("--key", help="the API key clients must send; others on this machine can see it in the process "
                       "list, so prefer FTKIT_SERVICE_KEY in the environment (default: a new one, shown once)")

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

    given = parser.parse_args(arguments)
    try:
        if given.command == "compare":
            return _compare(given)
        if given.command == "tour":
            from ftkit.tour import TRACKS, tour as run_tour

            return run_tour(tuple(given.track or TRACKS), given.out)
        if given.command == "doctor":
            return _doctor(given.notebook)
        if given.command == "check":
            return _check(given)
        from ftkit.service import serve as run_service

        return run_service(given.host, given.port, given.data_dir, given.key) or 0
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

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a console that lacks a letter must not stop the report
    report = check(given.train, given.val, given.test, max_tokens=given.max_tokens, model=given.model)
    print(report)
    return 0 if report.ok else 1
