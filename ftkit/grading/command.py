"""``ftkit grade``: from the command line to `run.grade` and `report.write`, with a progress bar and a summary."""

import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path

from ftkit.errors import FtkitError


def add_arguments(commands) -> None:
    """The command ``grade`` and its options, for `ftkit.cli`."""
    grade = commands.add_parser("grade", help="grade what learners handed in for an exercise (for instructors)")
    grade.add_argument("exercise", help="its name, such as 02_lora, or its folder")
    grade.add_argument("submissions", help="the zip that Canvas or Moodle exports, or a folder")
    grade.add_argument("--out", required=True, help="folder for grades, feedback and results; run again, and only what "
                       "changed is graded")
    grade.add_argument("--secret", required=True, help="file with the course's secret, at least 16 bytes, never in git")
    grade.add_argument("--workers", type=int, help="submissions at the same time (default: one a core)")
    grade.add_argument("--isolation", choices=("auto", "bubblewrap", "process"), default="auto",
                       help="demand a level instead of the best one here (default: %(default)s)")
    grade.add_argument("--hidden", help="your own rows to measure on, as JSON Lines, instead of those made from the secret")
    grade.add_argument("--service", help="exercise 01: base URL at which the jobs can be looked up (key: OPENAI_API_KEY)")
    grade.add_argument("--assignment", help="the column's name in Canvas (default: the exercise's title)")
    grade.add_argument("--nbgrader", metavar="COURSE", help="also put the scores into this nbgrader course's gradebook")


def grade(given: Namespace) -> int:
    """The exit code: 0 if every submission was looked at, whatever it got."""
    try:
        import nbclient  # noqa: F401
    except ImportError:
        raise FtkitError('grade: nbclient is not installed: pip install "ftkit[grade]"') from None
    from tqdm import tqdm

    from ftkit.grading import gradebook, report, run, sandbox

    report.read_manual(Path(given.out) / report.MANUAL)  # what is wrong with it should be said now, not after an hour
    level = sandbox.level(given.isolation)
    print(f"learners' code runs in {sandbox.LEVELS[level]}", file=sys.stderr)
    with tqdm(total=1, unit="step", disable=None) as bar:

        def progress(done: int, total: int, text: str) -> None:
            bar.total = total
            bar.n = done
            bar.set_description_str(report.clean_for_terminal(text), refresh=False)
            bar.refresh()

        graded = run.grade(
            given.exercise, given.submissions, given.out, given.secret, workers=given.workers, isolation=given.isolation,
            hidden=given.hidden, service=_service(given), progress=progress,
        )  # fmt: skip
    report.write(graded, given.out, given.assignment)
    if given.nbgrader:
        gradebook.write(graded, given.nbgrader, report.read_manual(Path(given.out) / report.MANUAL))
    counts = Counter(result.status for result in graded.results)
    print(f"{len(graded.results)} learners ({graded.fresh} graded now): " + ", ".join(f"{n} {s}" for s, n in counts.most_common()))
    if graded.unmatched:
        print(f"files that belong to no learner: {len(graded.unmatched)}; attention.html lists them")
    print(f"{given.out}: grades.csv, attention.html, manual.csv, feedback/, canvas.csv, moodle.csv")
    return 0


def _service(given: Namespace):
    if given.service is None:
        return None
    from ftkit.grading.dataset import Service
    from ftkit.hosted import endpoint

    return Service(endpoint(given.service))
