"""The file survives damage, full disks, other versions and other processes."""

import sqlite3
import subprocess
import sys
import time

import pytest

from mddit_ui.core.errors import StoreError
from mddit_ui.core.records import SearchConfig
from mddit_ui.store import searches
from mddit_ui.store.db import open_db
from mddit_ui.store.migrations import MIGRATIONS

CONFIG = SearchConfig(model="tiny", prompts=("a",))


def test_one_connection_a_file(db):
    assert open_db(db.path) is db


def test_a_deleted_file_is_made_again(tmp_path):
    first = open_db(tmp_path / "x.sqlite3")
    for path in tmp_path.iterdir():
        path.unlink()
    second = open_db(tmp_path / "x.sqlite3")
    assert second is not first
    assert searches.recent(second) == []


def test_the_schema_is_at_its_version_and_in_wal_mode(db):
    assert db.rows("PRAGMA user_version")[0][0] == len(MIGRATIONS)
    assert db.rows("PRAGMA journal_mode")[0][0] == "wal"


def test_a_transaction_that_raises_leaves_nothing(db):
    def two_writes():
        with db.write() as connection:
            connection.execute("INSERT INTO runs VALUES ('a', 0.0, 1, '{}')")
            raise KeyError

    with pytest.raises(KeyError):
        two_writes()
    assert db.rows("SELECT * FROM runs") == []


def test_older_schemas_are_migrated_and_kept_aside(tmp_path):
    path = tmp_path / "old.sqlite3"
    with sqlite3.connect(path) as old:
        MIGRATIONS[0](old)
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO searches (id, created, state, wanted, config) VALUES ('a', 0.0, 'done', 'run', '{}')")
    old.close()
    db = open_db(path)
    assert db.rows("SELECT id FROM searches")[0]["id"] == "a"
    assert db.rows("SELECT * FROM runs") == []
    assert (tmp_path / "old.sqlite3.schema-1").exists()
    db.close()


def test_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "new.sqlite3"
    with sqlite3.connect(path) as new:
        new.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        new.execute("CREATE TABLE t (a)")
    new.close()
    with pytest.raises(StoreError, match="newer version"):
        open_db(path)


def test_another_programs_database_is_refused(tmp_path):
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(StoreError, match="another program"):
        open_db(path)


DAMAGE = {
    "emptied": lambda raw: b"",
    "cut in half": lambda raw: raw[: len(raw) // 2],
    "another header": lambda raw: b"x" * 100 + raw[100:],
    "noise in the pages": lambda raw: raw[:4096] + bytes(range(256)) * 16 + raw[8192:],
    "not SQLite": lambda raw: b"hello" * 1000,
    "one page": lambda raw: raw[:4096],
    "the header alone": lambda raw: raw[:100],
    "zeros in the middle": lambda raw: raw[:8192] + bytes(8192) + raw[16384:],
    "pages in another order": lambda raw: raw[:4096] + raw[8192:] + raw[4096:8192],
    "its first half twice": lambda raw: raw[: len(raw) // 8192 * 4096] * 2,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("with_backup", [True, False])
def test_a_damaged_file_is_moved_aside_and_its_backup_used(tmp_path, damage, with_backup):
    path = tmp_path / "mddit.sqlite3"
    db = open_db(path)
    search = searches.create(db, CONFIG)
    if with_backup:
        db.backup()
    db.close()
    raw = damage(path.read_bytes())
    path.write_bytes(raw)

    began = time.perf_counter()
    again = open_db(path)
    assert time.perf_counter() - began < 3
    kept = [row.id for row in searches.recent(again)]
    assert kept == ([search] if with_backup else [])
    if raw or with_backup:  # an empty file beside no backup is a new one
        assert "damaged" in again.notice
        assert [aside.read_bytes() for aside in tmp_path.glob("*.damaged-*[0-9]")] == [raw]
    again.close()


def test_a_full_disk_is_an_error_and_nothing_is_lost(db):
    search = searches.create(db, CONFIG)
    pages = db.rows("PRAGMA page_count")[0][0]
    db.rows(f"PRAGMA max_page_count = {pages + 1}")

    def fill():
        for _ in range(1000):
            searches.create(db, CONFIG)

    with pytest.raises(StoreError, match="full"):
        fill()
    db.rows("PRAGMA max_page_count = 100000")
    searches.create(db, CONFIG)
    assert search in {row.id for row in searches.recent(db, 10_000)}
    assert db.rows("PRAGMA quick_check")[0][0] == "ok"


WRITER = """
import sys, time
from pathlib import Path
from mddit_ui.core.records import SearchConfig
from mddit_ui.store import searches
from mddit_ui.store.db import open_db

db, slowest = open_db(Path(sys.argv[1])), 0.0
for _ in range(100):
    began = time.perf_counter()
    search = searches.create(db, SearchConfig(model="tiny", prompts=("a",)))
    assert searches.claim(db, search, 1, "x", alive=lambda pid, started: True)
    searches.release(db, search, 1, "done")
    slowest = max(slowest, time.perf_counter() - began)
print(slowest)
"""


def test_processes_write_side_by_side(tmp_path):
    """Four of them, 300 transactions each: none fails, none waits for long."""
    path = tmp_path / "shared.sqlite3"
    open_db(path).close()
    command = [sys.executable, "-c", WRITER, path]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    slowest = [float(writer.communicate()[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    assert max(slowest) < 10  # what a writer waits for the others before it gives up
    db = open_db(path)
    assert db.rows("SELECT count(*) FROM searches WHERE state = 'done'")[0][0] == 400
    db.close()
    print(f"4 x 300 transactions, the slowest three {max(slowest):.3f} s")
