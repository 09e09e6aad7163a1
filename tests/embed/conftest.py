import pytest

from embed_helpers import TOPICS, pairs
from ftkit.embed import Embed
from ftkit.events import Step


@pytest.fixture(scope="session")
def split():
    from ftkit.data import Split

    return Split(pairs(TOPICS[:12]), pairs(TOPICS[12:16]), pairs(TOPICS[16:]))


@pytest.fixture(scope="session")
def recipe():
    return Embed(batch_size=4, max_length=32)  # 12 rows: three steps


@pytest.fixture(scope="session")
def run(recipe, split, tmp_path_factory):
    """One real, tiny run of all-MiniLM-L6-v2, for every test that only looks at what it left."""
    run = recipe.train(split, folder=tmp_path_factory.mktemp("embed") / "run")
    assert [event.step for event in run.history if isinstance(event, Step)] == [1, 2, 3], "the fixture itself is alive"
    return run


@pytest.fixture(scope="session")
def base(recipe):
    return recipe.base_model()
