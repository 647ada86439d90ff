"""The schema, as the ordered steps that made it; docs/storage.md says what each table holds."""

import sqlite3
from collections.abc import Callable


def searches_and_evaluations(connection: sqlite3.Connection) -> None:
    connection.execute("""
        CREATE TABLE searches (
            id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'stopped', 'done', 'failed')),
            wanted TEXT NOT NULL CHECK (wanted IN ('run', 'pause', 'stop')),
            config TEXT NOT NULL,
            locked TEXT,
            error TEXT NOT NULL DEFAULT '',
            reference TEXT,
            baselines TEXT NOT NULL DEFAULT '{}',
            finalists TEXT NOT NULL DEFAULT '{}',
            calibration TEXT,
            worker_pid INTEGER,
            worker_started TEXT,
            heartbeat REAL
        ) STRICT""")
    connection.execute("CREATE INDEX searches_by_age ON searches (created)")
    connection.execute("""
        CREATE TABLE evaluations (
            search TEXT NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            digest TEXT NOT NULL,
            policy_rows TEXT NOT NULL,
            budget REAL NOT NULL,
            score TEXT NOT NULL,
            objective REAL,
            seconds REAL NOT NULL,
            PRIMARY KEY (search, number),
            UNIQUE (search, digest)
        ) STRICT, WITHOUT ROWID""")
    connection.execute("""
        CREATE TABLE generations (
            search TEXT NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
            generation INTEGER NOT NULL,
            population TEXT NOT NULL,
            evaluations INTEGER NOT NULL,
            PRIMARY KEY (search, generation)
        ) STRICT, WITHOUT ROWID""")


def runs(connection: sqlite3.Connection) -> None:
    connection.execute("""
        CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            images INTEGER NOT NULL,
            record TEXT NOT NULL
        ) STRICT""")
    connection.execute("CREATE INDEX runs_by_age ON runs (created)")


def ratios_of_evaluations(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE evaluations ADD COLUMN keep TEXT")


def no_plans_before(connection: sqlite3.Connection) -> None:
    """Searches of before go on with the starts that they had."""
    connection.execute(
        "UPDATE searches SET config = json_set(config, '$.plans', 0) WHERE json_extract(config, '$.plans') IS NULL"
    )


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    searches_and_evaluations,
    runs,
    ratios_of_evaluations,
    no_plans_before,
)
