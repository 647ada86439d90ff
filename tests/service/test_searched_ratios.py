"""A search with ratios of tokens as further genes: what it keeps, that it meets the budget and goes on exactly."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import SearchConfig
from mddit_ui.core.tokens import BINS
from mddit_ui.service.worker import Model, Prepared, run
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from tests.service.toy_worker import TOY

CONFIG = SearchConfig(
    model="toy-0", prompts=("a", "b"), budget=0.5, evaluations=30, population=8, steps=20, ratios=True
)


@contextmanager
def prepare(config: SearchConfig, locked: Any) -> Iterator[Prepared]:
    """The toy, whose blocks cost as much as they keep (and do the same)."""
    with TOY.prepare(config, locked) as made:
        table = replace(made.space.table, routed=np.tile(np.array(BINS)[:, None], 8))
        yield replace(made, space=replace(made.space, table=table))


ROUTED = Model(prepare, TOY.calibrate)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    open_db().close()


def lines(search: str) -> list[tuple]:
    return [(each.policy_rows, each.keep, each.digest, each.budget) for each in store.evaluations(open_db(), search)]


def test_ratios_are_searched_kept_and_replayed() -> None:
    whole = store.create(open_db(), CONFIG)
    assert run(whole, ROUTED) == 0
    made = lines(whole)
    assert len(made) == 30
    assert any(keep is not None for _, keep, _, _ in made)
    assert all(Policy.from_rows(rows, keep=keep).digest == digest for rows, keep, digest, _ in made)
    assert all(budget <= 0.5 * (1 + 1e-9) for *_, budget in made)

    torn = store.create(open_db(), CONFIG)
    store.keep_calibration(open_db(), torn, ROUTED.calibrate(CONFIG))
    for row in store.evaluations(open_db(), whole)[:13]:
        store.add_evaluation(open_db(), torn, row)
    assert run(torn, ROUTED) == 0
    assert lines(torn) == made


@pytest.mark.parametrize(
    ("config", "model", "reason"),
    [(CONFIG, TOY, "no token routers"), (CONFIG.replace(method="genetic"), ROUTED, "not by genetic")],
)
def test_what_can_not_be_searched_says_so(config: SearchConfig, model: Model, reason: str) -> None:
    search = store.create(open_db(), config)
    assert run(search, model) != 0
    row = store.get(open_db(), search)
    assert row.state == "failed"
    assert reason in row.error
