"""Fine-tuning as a service, over OpenAI's protocol. Light: the openai client is imported only once it is needed.

One seam: the official client and a base_url. The service may be the kit's own on this machine, a compatible
provider, or OpenAI where the account still may.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ftkit.data import Chat, Dataset, Split
from ftkit.errors import BudgetError, DataError, RecipeError
from ftkit.estimate import Estimate, estimate
from ftkit.hosted.endpoints import Endpoint, endpoint, local_service, openai
from ftkit.lang import say
from ftkit.run import Recipe, Run, require

__all__ = ["Endpoint", "Hosted", "endpoint", "local_service", "openai"]

EPOCHS, BATCH_SIZES = (1, 50), (1, 256)
"""The protocol's limits, both ends allowed."""

LONGEST_SUFFIX, LARGEST_SEED = 64, 2**31 - 1

LEAST_EXAMPLES = 10
"""A job with fewer training rows fails."""


@dataclass(frozen=True, kw_only=True)
class Hosted(Recipe):
    """Supervised fine-tuning by a service: upload, start, follow, use. Introduced in lesson 01.

    >>> Hosted(endpoint=endpoint("https://llm.example/v1"), base="some-model", epochs=3).epochs
    3
    """

    endpoint: Endpoint
    """Who trains: `local_service()`, `endpoint(base_url)` or `openai()`."""
    base: str | None = None
    """The model to start from; None: the first one the endpoint lists."""
    epochs: int | str = "auto"
    """How often each row is seen, 1 to 50."""
    batch_size: int | str = "auto"
    """Rows per optimiser step, 1 to 256."""
    learning_rate_multiplier: float | str = "auto"
    """Scales the learning rate the service would choose."""
    suffix: str | None = None
    """Becomes part of the tuned model's name."""
    seed: int | None = None
    """Same seed and job, same result, as far as the service keeps that promise."""
    usd_per_million: float | None = None
    """Price of a million training tokens, where prices.json does not know it or is out of date."""

    resumable: ClassVar[bool] = True

    def __post_init__(self):
        if isinstance(self.endpoint, dict):  # out of recipe.json
            object.__setattr__(self, "endpoint", Endpoint.from_dict(self.endpoint))
        good = isinstance(self.endpoint, Endpoint)
        require(good, "Hosted: endpoint must be local_service(), endpoint(url) or openai()")
        for name, (low, high) in {"epochs": EPOCHS, "batch_size": BATCH_SIZES}.items():
            value = getattr(self, name)
            good = value == "auto" or (type(value) is int and low <= value <= high)
            require(good, f"Hosted: {name} must be 'auto' or a whole number from {low} to {high}; got {value!r}")
        rate = self.learning_rate_multiplier
        good = rate == "auto" or (isinstance(rate, (int, float)) and rate > 0)
        require(good, f"Hosted: learning_rate_multiplier must be 'auto' or above 0; got {rate!r}")
        good = self.suffix is None or 1 <= len(self.suffix) <= LONGEST_SUFFIX
        require(good, f"Hosted: suffix must have 1 to {LONGEST_SUFFIX} characters; got {self.suffix!r}")
        good = self.seed is None or 0 <= self.seed <= LARGEST_SEED
        require(good, f"Hosted: seed must be from 0 to {LARGEST_SEED}; got {self.seed!r}")
        good = self.usd_per_million is None or self.usd_per_million >= 0
        require(good, f"Hosted: usd_per_million must be 0 or more; got {self.usd_per_million!r}")

    def estimate(self, split: Split) -> Estimate:
        """Tokens and dollars of training on ``split.train``, as ranges; asks nobody and sends nothing."""
        return self.cost(split.train)

    def cost(self, train: Dataset) -> Estimate:
        """The estimate for these training rows."""
        free = self.usd_per_million is None and not self.endpoint.spends
        return estimate(train, self.epochs, self.base, 0.0 if free else self.usd_per_million)

    def train(
        self, split: Split, *, watch=None, folder=None, background: bool = False, max_usd: float | None = None
    ) -> Run:
        """A finished run, as `Recipe.train`; an interrupted one cancels the job, and then there is no model.

        Args:
            max_usd: the most this may cost; required where the endpoint may spend money. Compared with the upper
                end of the estimate before anything is sent.

        Raises:
            BudgetError: no limit given where money may be spent, no price known, or the estimate exceeds the limit.
            EndpointError: the service refused, failed, or is out of reach.
        """
        self._check(split)
        if self.endpoint.spends or max_usd is not None:
            within_budget(self.estimate(split), max_usd)
        return super().train(split, watch=watch, folder=folder, background=background)

    def base_model(self):
        """The model before fine-tuning, as a `HostedModel`."""
        from ftkit.hosted import jobs  # openai

        return jobs.HostedModel(self.endpoint, self.base or jobs.first_model(self.endpoint))

    def load(self, folder: Path):
        """The tuned model of the run in ``folder``; a local service that has ended is started again."""
        from ftkit.hosted import jobs  # openai

        return jobs.tuned_model(self.endpoint, Path(folder))

    def _check(self, split: Split) -> None:
        super()._check(split)
        for row in (*split.train, *split.val):
            if not isinstance(row, Chat):
                raise DataError(f"{row.where or split.train.name}: Hosted learns from chats; got {type(row).__name__}")
        if len(split.train) < LEAST_EXAMPLES:
            rows = say(f"{split.train.name}: {len(split.train)} training rows")
            raise DataError(f"{rows}; the service wants {LEAST_EXAMPLES} or more")
        if self.endpoint.spends and self.base is None:
            raise RecipeError("Hosted: name the base= to train where it may cost money; its price depends on it")

    def _train(self, train, val, run: Run) -> None:
        from ftkit.hosted import jobs  # openai

        jobs.train(self, train, val, run)


def within_budget(
    cost: Estimate,
    max_usd: float | None,
    verb: str = "train",
    less: str = "use fewer rows or epochs",
    price: str = "Hosted(usd_per_million=…)",
) -> None:
    """Raise BudgetError unless the upper end of the estimate is known and within ``max_usd``.

    The last three are the words for what would spend, how to spend less, and how to tell an unknown price.
    """
    if max_usd is None:
        raise BudgetError(f"{verb}: this endpoint may charge you; pass max_usd= to allow it. Estimate: {cost}")
    if cost.usd_high is None:
        raise BudgetError(f"{verb}: cannot keep within ${max_usd:,.2f}: {cost.price}; pass {price}")
    if cost.usd_high > max_usd:
        raise BudgetError(
            f"{verb}: may cost up to ${cost.usd_high:,.2f}, more than max_usd=${max_usd:,.2f}; {say(less)}, or raise the "
            f"limit. Estimate: {cost}"
        )
