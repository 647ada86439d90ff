"""A search for policies that carry outputs: what it starts from, what it keeps, and that it goes on exactly."""

from collections.abc import Iterator

import pytest

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import SearchConfig
from mddit_ui.service.worker import run
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.service.toy_worker import TOY

CONFIG = SearchConfig(
    model="toy-0", prompts=("a", "b"), budget=0.5, evaluations=30, population=5, carry="output", steps=20
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    open_db().close()


def lines(search: str) -> list[tuple]:
    return [(each.policy_rows, each.digest, each.objective) for each in store.evaluations(open_db(), search)]


def test_it_starts_from_skip_cache_and_goes_on_exactly() -> None:
    whole = store.create(open_db(), CONFIG)
    assert run(whole, TOY) == 0
    made = lines(whole)
    assert len(made) == 30
    assert all(Policy.from_rows(rows, carry="output").digest == digest for rows, digest, _ in made)
    first = made[0][0]
    assert first[1][0] == "#"
    assert "=" in first[1][1:-1]  # the outer blocks run, the middle is cached

    torn = store.create(open_db(), CONFIG)
    store.keep_calibration(open_db(), torn, TOY.calibrate(CONFIG))
    for row in store.evaluations(open_db(), whole)[:11]:
        store.add_evaluation(open_db(), torn, row)
    assert run(torn, TOY) == 0
    assert lines(torn) == made


def test_what_is_carried_is_part_of_what_is_asked() -> None:
    assert SearchConfig.from_dict(CONFIG.to_dict()) == CONFIG
    old = {key: value for key, value in CONFIG.to_dict().items() if key != "carry"}
    assert SearchConfig.from_dict(old).carry == "residual"
    other = store.create(open_db(), CONFIG.replace(carry="residual"))
    assert run(other, TOY) == 0
    assert all(Policy.from_rows(rows).digest == digest for rows, digest, _ in lines(other))
