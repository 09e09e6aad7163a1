"""An A/B test with users: the base model for one half, the tuned model for the other, and an honest verdict.

    test = ft.ABTest("runs/tone.jsonl")
    model = {"base": base, "tuned": tuned}[test.arm("user-17")]      # the same user, the same arm, always
    test.log("user-17", quality=4, satisfaction=1, completed=True)   # on disk when this returns
    test.result()

Users are what is drawn, so users are what is counted: several outcomes of one user are averaged first.
"""

from ftkit.abtest.outcomes import ABTest
from ftkit.abtest.planning import Simulation, power, simulate, users_per_arm
from ftkit.abtest.result import ABResult, Effect, effect, mismatch

__all__ = ["ABResult", "ABTest", "Effect", "Simulation", "effect", "mismatch", "power", "simulate", "users_per_arm"]
