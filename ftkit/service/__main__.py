"""``python -m ftkit.service``, and the options it shares with ``ftkit serve``."""

import argparse
import sys

from ftkit.errors import FtkitError
from ftkit.service import serve


def add_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `serve`, by the same names."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: any free port")
    parser.add_argument("--data-dir", default="ftkit-service", help="where files, jobs and models live (default: %(default)s)")
    parser.add_argument("--key", help="the API key clients must send; others on this machine can see it in the process "
                        "list, so prefer FTKIT_SERVICE_KEY in the environment (default: the one in DATA_DIR/key, made at "
                        "the first start)")  # fmt: skip
    parser.add_argument("--keys", metavar="class.csv", help="one key for each learner: columns name and key; missing keys "
                        "are made and written back")  # fmt: skip
    parser.add_argument("--base", action="append", default=[], help="a model to offer besides the embedded one; repeatable")
    parser.add_argument("--max-jobs", type=int, help="jobs one key may have unfinished (default: 100)")
    parser.add_argument("--max-gib", type=float, help="what one key's files and models may take (default: 20)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ftkit.service", description=serve.__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--with-parent", action="store_true", help="say the URL on stdout, end with stdin")
    options = parser.parse_args()
    try:
        serve(**vars(options))
    except FtkitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
