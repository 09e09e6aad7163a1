"""``ftkit …``: a thin face on the same functions that notebooks call."""

import argparse
import sys

from ftkit.errors import FtkitError


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

    given = parser.parse_args(arguments)
    try:
        if given.command == "tour":
            from ftkit.tour import TRACKS, tour as run_tour

            return run_tour(tuple(given.track or TRACKS), given.out)
        if given.command == "doctor":
            return _doctor(given.notebook)
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
