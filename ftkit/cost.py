"""What answering costs: by the token at a provider's, or by the hour on a GPU you rent; and where the two meet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ftkit.data import Chat
from ftkit.errors import FtkitError
from ftkit.estimate import Estimate
from ftkit.lang import say
from ftkit.prices import prices
from ftkit.tables import html_table, text_table
from ftkit.tokens import count_tokens

HOURS_PER_MONTH = 730
"""Of a GPU that is never switched off: 24 · 365 / 12."""

Bounds = tuple[float, float]
"""(low, high)"""


def inference_cost(
    texts: Sequence[str], answer_tokens: int, model: str, usd_per_million: tuple[float, float] | None = None, tuned: bool = False
) -> Estimate:
    """The cost of sending each text once and getting at most ``answer_tokens`` back, from low to high.

    Args:
        usd_per_million: price of a million (input, output) tokens; default: as prices.json has it for ``model``.
        tuned: whether it is a fine-tune of ``model``, which costs more.
    """
    low, high = count_tokens([Chat(({"role": "user", "content": text},)) for text in texts], model).billed()
    answers = answer_tokens * len(texts)
    price = usd_per_million or _token_price(model, tuned)
    if price is None:
        return Estimate(low, high + answers, None, None, say(f"no price for {model!r} in prices.json"))
    dated = _dated(usd_per_million)
    said = say(f"${price[0]:,.2f} in and ${price[1]:,.2f} out per million tokens{dated}" if any(price) else "free")
    return Estimate(low, high + answers, low * price[0] / 1e6, (high * price[0] + answers * price[1]) / 1e6, said)


@dataclass(frozen=True)
class ServingCost:
    """Dollars over ``months`` of a tuned model, hosted and on GPUs of one's own, at any volume. Made by `serving_cost`.

    Left out, on purpose and on both sides: people's time. A GPU of one's own needs more of it.
    """

    model: str
    gpu: str
    months: float
    hosted_training_usd: float
    usd_per_request: float
    gpu_training_usd: Bounds
    gpu_usd_per_month: Bounds
    """Of one GPU."""
    requests_per_gpu: float
    """How many requests a month one GPU can answer."""
    prices: str
    """Where the prices come from, dated, in words."""

    def hosted(self, requests_per_month: float) -> float:
        """USD in all: training once, then every request."""
        return self.hosted_training_usd + self.months * requests_per_month * self.usd_per_request

    def gpus(self, requests_per_month: float) -> int:
        """How many GPUs that takes; the first one also waits for work."""
        return max(1, math.ceil(requests_per_month / self.requests_per_gpu))

    def self_hosted(self, requests_per_month: float) -> Bounds:
        """USD in all, (low, high): training once, then the GPUs' hours, busy or not."""
        months = self.months * self.gpus(requests_per_month)
        return tuple(train + months * rent for train, rent in zip(self.gpu_training_usd, self.gpu_usd_per_month))

    @property
    def break_even(self) -> tuple[float | None, float | None]:
        """(low, high): requests a month from which a GPU of one's own is the cheaper way; None where it never is.

        low is with the GPU at its lowest price, high at its highest. Just above what whole GPUs can answer, when one
        more is rented and stands idle, it may cost more again for a while.
        """
        return tuple(map(self._break_even, self.gpu_training_usd, self.gpu_usd_per_month))

    def _break_even(self, training: float, rent: float) -> float | None:
        """The least n with hosted(n) ≥ self_hosted(n). With k GPUs it is n = (training difference per month + k·rent) /
        price of a request, if k GPUs can answer so many."""
        extra = (training - self.hosted_training_usd) / self.months
        gained = self.requests_per_gpu * self.usd_per_request - rent  # what a GPU saves a month when it is always busy
        if rent + extra <= 0:
            return 0.0
        if gained <= 0 and extra > gained:
            return None
        k = 1 if extra <= gained else math.ceil(extra / gained)
        return (extra + k * rent) / self.usd_per_request

    @property
    def words(self) -> str:
        """The break-even in plain words."""
        low, high = self.break_even
        if low is None:
            return say(f"serving on {self.gpu} never pays: even always busy it costs more than the same requests hosted")
        if high is None:
            least = _about(low)
            return say(f"serving on {self.gpu} pays from about {least} requests a month at its lowest price, never at its highest")
        about = say(" to ").join(dict.fromkeys((_about(low), _about(high))))
        return say(f"serving on {self.gpu} pays from about {about} requests a month")

    def at(self, requests_per_month: float) -> str:
        """Both costs at a volume, as one sentence."""
        low, high = self.self_hosted(requests_per_month)
        count = self.gpus(requests_per_month)
        return say(
            f"{requests_per_month:,.0f} requests a month for {self.months:g} months: "
            f"hosted ${self.hosted(requests_per_month):,.0f}, self-hosted ${low:,.0f}–{high:,.0f} on {count} × {self.gpu}"
        )

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """(heads, rows) as text, for whoever draws."""
        rows = [
            (f"{n:,}", f"${self.hosted(n):,.0f}", "${:,.0f}–{:,.0f}".format(*self.self_hosted(n)), str(self.gpus(n)))
            for n in (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
        ]
        hosted, own = say("hosted {model}").format(model=self.model), say("self-hosted {gpu}").format(gpu=self.gpu)
        return (say("requests a month"), hosted, own, say("GPUs")), rows

    def __str__(self) -> str:
        return f"{self.words}\n{text_table(*self.table())}\n{self._over}. {self.prices}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(f"{self.words}. {self._over}. {self.prices}", *self.table())

    @property
    def _over(self) -> str:
        return say(f"USD over {self.months:g} months")


def serving_cost(
    *,
    model: str,
    input_tokens: float,
    output_tokens: float,
    requests_per_second: float,
    training_tokens: float = 0,
    training_hours: Bounds = (4, 8),
    gpu: str = "A100-80",
    months: float = 12,
    usd_per_million: tuple[float, float] | None = None,
    usd_per_million_training: float | None = None,
    usd_per_hour: Bounds | None = None,
) -> ServingCost:
    """A ServingCost: train once, then answer for ``months``, hosted and on a GPU of one's own.

    >>> cost = serving_cost(model="gpt-4o-mini-2024-07-18", input_tokens=500, output_tokens=100, requests_per_second=5,
    ...                     training_tokens=1_500_000)
    >>> print(cost.at(100_000))
    100,000 requests a month for 12 months: hosted $328, self-hosted $17,528–26,304 on 1 × A100-80
    >>> print(cost.words)
    serving on A100-80 pays from about 5,400,000 to 8,100,000 requests a month

    Args:
        model: the hosted model that is fine-tuned.
        input_tokens, output_tokens: of an average request and of its answer.
        requests_per_second: what one GPU answers with your model; measure it, it differs by a hundred times.
        training_tokens: rows × tokens × epochs, for the hosted training.
        training_hours: GPU hours of your own training, (low, high).
        usd_per_million: price of a million (input, output) tokens of the tuned model; default: prices.json.
        usd_per_million_training: of training tokens; default: prices.json.
        usd_per_hour: of the GPU, (low, high); default: prices.json.

    Raises:
        FtkitError: no price known, or a number that cannot be.

    Introduced in lesson 04.
    """
    positive = {"input_tokens": input_tokens, "requests_per_second": requests_per_second, "months": months}
    for name, value in positive.items():
        if not value > 0:
            raise FtkitError(f"serving_cost: {name} must be above 0; got {value!r}")
    token_price = usd_per_million or _token_price(model, tuned=True)
    training = prices()["training"].get(model, {}).get("usd_per_million_tokens")
    training = training if usd_per_million_training is None else usd_per_million_training
    hour = usd_per_hour or _hour_price(gpu)
    for name, value in {"usd_per_million": token_price, "usd_per_million_training": training, "usd_per_hour": hour}.items():
        if value is None:
            unknown = gpu if name == "usd_per_hour" else model
            raise FtkitError(f"serving_cost: prices.json knows no {name} for {unknown!r}; pass {name}=")
    rate = _dated(usd_per_million)
    rent = "" if usd_per_hour else say(" (as of {as_of})").format(**prices()["gpus"][gpu])
    return ServingCost(
        model=model,
        gpu=gpu,
        months=months,
        hosted_training_usd=training_tokens * training / 1e6,
        usd_per_request=(input_tokens * token_price[0] + output_tokens * token_price[1]) / 1e6,
        gpu_training_usd=tuple(hours * usd for hours, usd in zip(training_hours, hour)),
        gpu_usd_per_month=tuple(HOURS_PER_MONTH * usd for usd in hour),
        requests_per_gpu=requests_per_second * 3600 * HOURS_PER_MONTH,
        prices=say(
            f"${token_price[0]:g} in and ${token_price[1]:g} out per million tokens{rate}; "
            f"${hour[0]:g}–{hour[1]:g} per GPU hour{rent}."
        ),
    )


def _token_price(model: str, tuned: bool) -> tuple[float, float] | None:
    found = prices()["inference"]["models"].get(model)
    return None if found is None else tuple(found["tuned" if tuned else "base"])


def _hour_price(gpu: str) -> Bounds | None:
    found = prices()["gpus"].get(gpu, {})
    return (found["usd_per_hour_low"], found["usd_per_hour_high"]) if found.get("usd_per_hour_low") is not None else None


def _about(n: float) -> str:
    """Two digits: no price is known better.

    >>> _about(5_408_488)
    '5,400,000'
    """
    return f"{float(f'{n:.2g}'):,.0f}"


def _dated(said: tuple[float, float] | None) -> str:
    table = prices()["inference"]
    return say(", as you said") if said else say(" (as of {as_of}, {source})").format(**table)
