"""Several processes (torchrun, accelerate launch) that take each optimiser step together, as one process would.

Accelerate gives every process its part of a batch and adds up the gradients. Here is the rest: a last batch that is the
same size for all. `ftkit.trainer` has the decisions that all take at the same step.
"""

from collections.abc import Iterator

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler

from ftkit.local.chat import IGNORE


def empty_row(pad_token_id: int) -> dict[str, list[int]]:
    """A row in which nothing is learnt. It fills the last batch, where accelerate would repeat rows from the start."""
    return {"input_ids": [pad_token_id] * 2, "labels": [IGNORE] * 2}


class Filled(Sampler):
    """The order of the rows that one process would take, then the empty row (number ``rows``) up to a whole batch."""

    def __init__(self, rows: int, batch_size: int, seed: int):
        self.shuffled = SeedableRandomSampler(range(rows), data_seed=seed)
        self.rows, self.fill = rows, -rows % batch_size

    def __iter__(self) -> Iterator[int]:
        yield from self.shuffled
        yield from [self.rows] * self.fill

    def __len__(self) -> int:
        return self.rows + self.fill

    def set_epoch(self, epoch: int) -> None:
        self.shuffled.set_epoch(epoch)
