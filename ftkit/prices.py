"""The dated facts of prices.json."""

import json
from functools import cache
from pathlib import Path


@cache
def prices() -> dict:
    """prices.json, the dated price list.

    >>> prices()["training"]["gpt-4o-mini-2024-07-18"]["usd_per_million_tokens"]
    3.0
    """
    return json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
