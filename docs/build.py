"""The documentation as a site, in build/site/index.html: ``python docs/build.py`` (needs ``pip install -e ".[docs]"``).

Lessons are shown with their stored outputs; nothing is run. A warning is an error.
"""

import sys
from pathlib import Path

from sphinx.cmd.build import main

ROOT = Path(__file__).parents[1]
HOME = "README.html"
"""The sources keep their places, so that their links to each other hold."""


def build(out: Path) -> int:
    """0, or what is wrong is printed."""
    wrong = main(["-q", "-W", "--keep-going", "-c", str(ROOT / "docs" / "site"), str(ROOT), str(out)])
    if not wrong:
        page = f'<!DOCTYPE html><meta charset="utf-8"><title>ftkit</title><meta http-equiv="refresh" content="0; url={HOME}">'
        (out / "index.html").write_text(f'{page}<a href="{HOME}">ftkit</a>\n', encoding="utf-8")
        print(f"open {out / 'index.html'}")
    return wrong


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "site"))
