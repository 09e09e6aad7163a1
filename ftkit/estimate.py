"""What a hosted training will cost, before anything is sent: tokens counted or as a range, dollars from a dated price list."""

from dataclasses import dataclass, replace

from ftkit.data import Dataset
from ftkit.lang import say
from ftkit.prices import prices
from ftkit.tokens import FRAME_ERROR, count_tokens


@dataclass(frozen=True)
class Estimate:
    """Tokens and dollars of one training, each from low to high.

    >>> print(Estimate(1_500_000, 1_500_000, 4.5, 4.5, price="$3.00 per million tokens (as of 2026-11-01)"))
    1,500,000 tokens · $4.50 · $3.00 per million tokens (as of 2026-11-01)
    """

    tokens_low: int
    tokens_high: int
    usd_low: float | None
    """None where no price is known."""
    usd_high: float | None
    price: str
    """The price with its date and source, in words."""
    note: str = ""

    def __str__(self) -> str:
        tokens = _range(self.tokens_low, self.tokens_high, "{:,}")
        usd = say("price unknown") if self.usd_high is None else _range(self.usd_low, self.usd_high, "${:,.2f}")
        return " · ".join(part for part in (say("{n} tokens").format(n=tokens), usd, self.price, self.note) if part)


@dataclass(frozen=True)
class Range:
    """From low to high.

    >>> print(Range(1.24, 1.26), Range(1, 2))
    1.2–1.3 1.0–2.0
    """

    low: float
    high: float

    def __str__(self) -> str:
        return _range(self.low, self.high, "{:.1f}")


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training on a machine of one's own will take. Made by ``recipe.estimate(split)``."""

    what: str
    device: str
    gib: Range
    """Peak memory: low for rows of mean length, high for the longest rows together."""
    room_gib: float
    """What the device has."""
    seconds: Range
    usd: Range | None
    """None: nothing to pay by the hour, or no price known."""
    price: str = ""
    """Which price, dated, in words."""
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the high end of the memory fits the device."""
        return self.gib.high <= self.room_gib

    def __str__(self) -> str:
        usd = "" if self.usd is None else f" · {_range(self.usd.low, self.usd.high, '${:,.2f}')}"
        room = f"{self.room_gib:.1f}"
        memory = say("{what} on {device}: {gib} GiB of {room}").format(what=self.what, device=self.device, gib=self.gib, room=room)
        lines = [f"{memory} · {_minutes(self.seconds)}{usd}{self._dated}"]
        if not self.fits:
            lines.append(say("does not fit: take QLoRA, a smaller batch_size, shorter rows (max_length), or a larger device"))
        return "\n".join([*lines, *self.notes])

    __repr__ = __str__

    @property
    def _dated(self) -> str:
        return f" ({self.price})" if self.price else ""

    def against(self, run) -> str:
        """The estimate beside what ``run`` measured, in one line."""
        if (took := run.usage) is None:
            return say(f"estimated {self.gib} GiB; this run measured nothing")
        seconds = _minutes(Range(took.seconds, took.seconds))
        return say(
            f"memory: estimated {self.gib} GiB, measured {took.peak_gib:.1f} · "
            f"time: estimated {_minutes(self.seconds)}, measured {seconds}"
        )


def _minutes(seconds: Range) -> str:
    """
    >>> _minutes(Range(30, 95)), _minutes(Range(130, 250)), _minutes(Range(9000, 20000))
    ('30–95 s', '2–4 min', '2.5–5.6 h')
    """
    for unit, size, form in (("s", 1, "{:.0f}"), ("min", 60, "{:.0f}"), ("h", 3600, "{:.1f}")):
        if seconds.high < 120 * size or unit == "h":
            return f"{_range(seconds.low / size, seconds.high / size, form)} {unit}"


def estimate(
    train: Dataset, epochs: int | str = "auto", model: str | None = None, usd_per_million: float | None = None
) -> Estimate:
    """The cost of training on ``train`` for ``epochs``, priced as ``model`` unless ``usd_per_million`` says otherwise.

    Counted exactly where the model's tokenizer is at hand (see `ftkit.tokens`), give or take the 4 % by which a bill may
    differ; else a range from the text alone: at least a token per six characters, at most one per UTF-8 byte. For
    English prose the truth then lies near the low end, about four characters a token.
    """
    epochs = auto_epochs(len(train)) if epochs == "auto" else epochs
    seen_once = count_tokens(train, model)
    if seen_once.exact:
        how = say(f"tokens counted with {seen_once.vocabulary}, ± {100 * FRAME_ERROR:.0f} %")
    else:
        how = say("tokens are a range from the text")
    cost = priced(*seen_once.billed(epochs), model, usd_per_million)
    return replace(cost, note="; ".join(part for part in (how, cost.note) if part))


def priced(tokens_low: int, tokens_high: int, model: str | None, usd_per_million: float | None = None) -> Estimate:
    """The estimate for a known number of tokens.

    1,000 examples of 500 tokens, seen 3 times, are 1.5 M tokens:

    >>> [priced(1000 * 500 * 3, 1000 * 500 * 3, m).usd_high for m in ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06")]
    [4.5, 37.5]
    """
    note, table = "", prices()
    if usd_per_million == 0:
        return Estimate(tokens_low, tokens_high, 0.0, 0.0, say("free"))
    if usd_per_million is not None:
        price = say(f"${usd_per_million:,.2f} per million tokens, as you said")
    elif model in table["training"]:
        entry = table["training"][model]
        usd_per_million = entry["usd_per_million_tokens"]
        price = say(f"${usd_per_million:,.2f} per million tokens (as of {table['as_of']}, {table['source']})")
        note = say(f"{model} shuts down on {entry['shutdown']}")
    else:
        return Estimate(tokens_low, tokens_high, None, None, say(f"no price for {model!r} in prices.json"))
    scale = usd_per_million / 1e6
    return Estimate(tokens_low, tokens_high, tokens_low * scale, tokens_high * scale, price, note)


def auto_epochs(examples: int) -> int:
    """The number of epochs that "auto" stands for: small sets are seen often, large ones once.

    >>> [auto_epochs(n) for n in (10, 50, 1_000, 20_000)]
    [10, 3, 3, 1]
    """
    if examples * 3 < 100:
        return min(25, 100 // examples)
    if examples * 3 > 25_000:
        return max(1, 25_000 // examples)
    return 3


def _range(low: float, high: float, form: str) -> str:
    low, high = form.format(low), form.format(high)
    return low if low == high else f"{low}–{high}"
