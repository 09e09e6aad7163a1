"""The small data sets that come with the kit; ftkit/datasets/README.md says where each is from."""

from pathlib import Path

from ftkit.errors import DataError

_HERE = Path(__file__).parent


def dataset(name: str) -> Path:
    """The path of a data set that comes with the kit.

    >>> dataset("tickets").name
    'tickets_en.jsonl'

    Raises:
        DataError: no such data set; the message lists those there are.
    """
    names = {path.stem: path for path in sorted(_HERE.glob("*.jsonl"))}
    names = {name.replace("_en", ""): path for name, path in names.items() if "_en" in name} | names  # English by default
    if name not in names:
        raise DataError(f"dataset({name!r}): no such data set; there are {', '.join(sorted(names))}")
    return names[name]
