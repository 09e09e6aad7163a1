"""Intervals that may be looked at after every user: the cure for peeking.

A fixed-sample 95 % interval misses the truth once in twenty looks; look often enough and it will. These miss it at all,
at any look, in at most one test of twenty. The normal mixture: Robbins 1970; as the mixture sequential probability ratio
test of A/B testing, Johari, Pekelis and Walsh 2015 (arXiv:1512.04922); asymptotic for data that are not normal,
Waudby-Smith et al. 2021 (arXiv:2103.06476).
"""

from math import exp, log, sqrt

ALPHA = 0.05

LEAST_USERS = 25
"""In each arm, before the first look: with fewer, a mean is not yet near enough to normal."""


def half_width(variance: float, mixing: float, alpha: float = ALPHA) -> float:
    """Half of the interval around a difference of means whose estimate has ``variance`` V now.

    √(2·V·(V + τ²)/τ² · ln(√((V + τ²)/V) / α)), where τ is ``mixing``: the size of difference that is worth seeing. It
    is narrowest for such differences, and valid whatever τ is, if it was chosen before looking.

    >>> round(half_width(0.02**2, mixing=0.05), 3), round(1.96 * 0.02, 3)
    (0.061, 0.039)
    """
    spread = variance + mixing**2
    return sqrt(2 * variance * spread / mixing**2 * log(sqrt(spread / variance) / alpha))


def always_valid_p(difference: float, variance: float, mixing: float) -> float:
    """One over the mixture likelihood ratio, 1 at most: the alpha at which the interval would just touch zero."""
    spread = variance + mixing**2
    return min(1.0, sqrt(spread / variance) * exp(-((difference * mixing) ** 2) / (2 * variance * spread)))
