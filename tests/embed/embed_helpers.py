"""Made-up pairs, a topic each."""

from ftkit.data import Dataset, Pair

TOPICS = tuple(
    "invoice password parcel refund printer keyboard holiday contract garden kettle bicycle library concert recipe "
    "passport umbrella mattress camera ladder piano".split()
)


def pairs(topics=TOPICS, name="made-up") -> Dataset:
    return Dataset(tuple(Pair(f"where is my {topic}", f"help.{topic}.find(owner, place)") for topic in topics), name)
