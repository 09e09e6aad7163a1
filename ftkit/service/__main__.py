"""``python -m ftkit.service``: the local service from the command line."""

import argparse
import sys

from ftkit.errors import FtkitError
from ftkit.service import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ftkit.service", description=serve.__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free port")
    parser.add_argument("--data-dir", default="ftkit-service", help="where files, jobs and tuned models live")
    parser.add_argument("--key", help="the API key; others can see it in the process list: prefer FTKIT_SERVICE_KEY")
    parser.add_argument("--base", action="append", default=[], help="a model to offer besides; repeatable")
    parser.add_argument("--with-parent", action="store_true", help="say the URL on stdout, end with stdin")
    options = parser.parse_args()
    try:
        serve(**vars(options))
    except FtkitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
