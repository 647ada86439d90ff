"""A fresh database for each test."""

import pytest

from mddit_ui.store.db import open_db


@pytest.fixture
def db(tmp_path):
    database = open_db(tmp_path / "mddit.sqlite3")
    yield database
    database.close()
