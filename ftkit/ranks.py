"""Which process this is when several train together: torchrun and ``accelerate launch`` say so in the environment."""

import os


def world_size() -> int:
    """How many processes train together; 1 when nothing launched several."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def rank() -> int:
    """This process's number among them, from 0."""
    return int(os.environ.get("RANK") or 0) if world_size() > 1 else 0


def leads() -> bool:
    """Whether this process is the one that writes the run's folder and speaks."""
    return rank() == 0
