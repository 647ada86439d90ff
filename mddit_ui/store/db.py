"""The SQLite file: checked when it is opened, migrated, written in short transactions."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from mddit_ui.core.errors import StoreError
from mddit_ui.core.paths import data_dir, sweep
from mddit_ui.store.migrations import MIGRATIONS

FILE_NAME = "mddit.sqlite3"
BUSY_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class Database:
    """One connection to the file, shared by the threads of this process.

    Args:
        path: the file; images lie in ``runs/`` beside it.
        notice: what a person should know about the opening ("was damaged, the backup is used"); empty when all is well.
    """

    path: Path
    connection: sqlite3.Connection
    notice: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a SELECT.

        Raises:
            StoreError: the file can't be read.
        """
        with self.lock, _as_store_error():
            return self.connection.execute(sql, values).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is in the file when the block ends, or nothing if it raises.

        ``BEGIN IMMEDIATE`` takes the write lock at once, so what the block reads can't change under it.

        Raises:
            StoreError: the disk is full, or another process held the lock for too long.
        """
        with self.lock, _as_store_error():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def backup(self) -> Path:
        """Copy the file, as of now, to ``<file>.backup``; a damaged file is replaced by it at the next opening."""
        target = _backup_path(self.path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            with self.lock, _as_store_error(), closing(sqlite3.connect(temporary)) as copy:
                self.connection.backup(copy)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return target

    def close(self) -> None:
        """End the connection; the next ``open_db`` makes another."""
        with self.lock:
            self.connection.close()
        _opened.cache_clear()


def open_db(path: Path | None = None) -> Database:
    """The database of ``path`` (default: ``mddit.sqlite3`` in ``data_dir()``), made when it isn't there.

    One connection a process and file. A damaged file is moved aside and its last backup takes its place; the notice
    of the result says so.

    Raises:
        StoreError: the file was written by a newer version, or is something else.
    """
    path = (Path(path) if path else data_dir() / FILE_NAME).resolve()
    with _OPENING:
        if not path.exists():
            _opened.cache_clear()
        return _opened(path)


_OPENING = threading.Lock()


@lru_cache(maxsize=8)
def _opened(path: Path) -> Database:
    path.parent.mkdir(parents=True, exist_ok=True)
    for folder in (path.parent, path.parent / "runs", path.parent / "calibrations"):
        sweep(folder)
    notice = _put_damaged_file_aside(path)
    try:
        connection = _connect(path)
        _migrate(connection, path)
    except sqlite3.Error as error:
        raise StoreError(f"Can't open {path.name}: {error}.") from None
    return Database(path, connection, notice)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > len(MIGRATIONS):
        connection.close()
        raise StoreError(
            f"{path.name} was written by a newer version (schema {version}, this one knows {len(MIGRATIONS)}); "
            "update the app, or point MDDIT_DATA to another folder."
        )
    if version == len(MIGRATIONS):
        return
    if version:
        before = path.with_name(f"{path.name}.schema-{version}")
        before.unlink(missing_ok=True)
        connection.execute("VACUUM INTO ?", (str(before),))
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection)  # another process may have been first
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.execute("ROLLBACK")
        connection.close()
        raise StoreError(f"{path.name} is a database of another program; point MDDIT_DATA to another folder.")
    for migrate in MIGRATIONS[version:]:
        migrate(connection)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _put_damaged_file_aside(path: Path) -> str:
    """Move a damaged file away and put its backup there; returns what was done, for people."""
    if not path.exists() or not (damage := _damage(path)):
        return ""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    os.replace(path, aside)
    for suffix in ("-wal", "-shm"):
        leftover = path.with_name(path.name + suffix)
        if leftover.exists():
            os.replace(leftover, aside.with_name(aside.name + suffix))
    backup = _backup_path(path)
    if backup.exists() and not _damage(backup):
        shutil.copy2(backup, path)
        return f"The database was damaged ({damage}); it is now {aside.name}, and the last backup is used."
    return f"The database was damaged ({damage}); it is now {aside.name}, and a new one was started."


def _damage(path: Path) -> str:
    """Why the file can't be trusted; empty when it can. SQLite's own check calls an emptied file sound."""
    if path.stat().st_size == 0:
        return "it was empty" if _backup_path(path).exists() else ""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise StoreError(f"Can't open {path.name}: {error}.") from None
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else found.splitlines()[0]


def _backup_path(path: Path) -> Path:
    return path.with_name(path.name + ".backup")


@contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"The store can't be used: {error}.") from error
