"""A database of every released schema opens, holds what it held, and can be worked with."""

import sqlite3
from pathlib import Path

import pytest

from mddit_ui.store import runs, searches
from mddit_ui.store.db import open_db
from mddit_ui.store.migrations import MIGRATIONS

SCHEMAS = Path(__file__).with_name("schemas")
SEARCH = f"{1:032x}"


def test_there_is_a_fixture_for_every_schema():
    assert sorted(int(path.stem) for path in SCHEMAS.glob("*.sql")) == list(range(1, len(MIGRATIONS) + 1))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_it_opens_and_goes_on(tmp_path, version):
    path = tmp_path / "old.sqlite3"
    old = sqlite3.connect(path)
    old.executescript((SCHEMAS / f"{version}.sql").read_text())
    old.close()

    db = open_db(path)
    row = searches.get(db, SEARCH)
    assert (row.state, row.config.prompts, row.locked) == ("paused", ("a red ring", "a blue ball"), ("#?", "??"))
    assert (row.config.least_budget, row.config.method) == (None, "cma-es")  # what it did before there was a choice
    assert row.config.plans == (5 if version >= 4 else 0)
    assert row.baseline_budgets == {"every 2": 0.506}
    assert row.best.score.clip_scores == (30.0, 31.0)
    first, second = searches.evaluations(db, SEARCH)
    assert (first.objective, first.policy_rows) == (30.5, ("##", "=="))
    assert (first.keep, second.keep) == ([[1.0, 0.5], [1.0, 1.0]] if version >= 3 else None, None)
    assert second.objective != second.objective
    assert searches.queue(db, SEARCH, only_if=("paused",))
    kept = [record.id for record in runs.recent(db)]
    assert kept == (["f" * 32] if version >= 2 else [])
    assert db.rows("PRAGMA quick_check")[0][0] == "ok"
    assert (tmp_path / f"old.sqlite3.schema-{version}").exists() == (version < len(MIGRATIONS))
    db.close()
