"""One process at one search: when it goes on, waits, or ends."""

import os
import shutil
import time
from collections.abc import Callable

from mddit_ui.core.errors import StoreError
from mddit_ui.service.processes import alive, parent
from mddit_ui.store import searches as store
from mddit_ui.store.db import Database
from mddit_ui.store.search_rows import State

LEAST_FREE_BYTES = 200_000_000
ROOM_SECONDS = 5  # between two looks whether there is room on the disk again
BACKUP_SECONDS = 600


class Ended(Exception):
    """The process should go, and leave the search in ``state``."""

    def __init__(self, state: State, error: str = "") -> None:
        self.state: State = state
        self.error = error


class Shift:
    """A worker's lease, its ear for what people want, its care for the disk."""

    def __init__(self, db: Database, search_id: str) -> None:
        self.db, self.id, self.pid = db, search_id, os.getpid()
        self.terminated = False
        self.parent = parent()
        self.backed_up = time.monotonic()

    def check(self) -> None:
        """Called between two pieces of work. Raises ``Ended`` when this process should go."""
        if not self.db.path.exists():
            raise Ended("failed", "The data folder was deleted.")
        self._wait_for_room()
        wanted = store.beat(self.db, self.id, self.pid)
        if wanted == "stop":
            raise Ended("stopped")
        if wanted == "pause" or self.terminated:
            raise Ended("paused")
        if self.parent is not None and not alive(*self.parent):
            raise Ended("paused", "The app that it belonged to has ended; press Resume to go on.")
        if time.monotonic() - self.backed_up > BACKUP_SECONDS:
            self.db.backup()
            self.backed_up = time.monotonic()

    def _wait_for_room(self) -> None:
        """On a full disk nothing can be kept: wait until there is room again, or until the person wants otherwise."""
        if not self.disk_is_full():
            return
        store.note(self.db, self.id, "The disk is nearly full; the search waits until there is room.")
        while self.disk_is_full():
            time.sleep(ROOM_SECONDS)
            if self.terminated or store.wanted(self.db, self.id) != "run":
                raise Ended("paused", "The disk is nearly full; make room, then press Resume.")
        store.note(self.db, self.id, "")

    def keep(self, write: Callable[[], None]) -> None:
        """Write what must not be lost; when the disk has no room for it, as soon as there is."""
        while True:
            try:
                return write()
            except StoreError:
                if not self.disk_is_full():
                    raise
                self._wait_for_room()

    def disk_is_full(self) -> bool:
        return shutil.disk_usage(self.db.path.parent).free < LEAST_FREE_BYTES

    def goes_on(self) -> bool:
        """As ``check``, for those who first have to finish what they have begun; ``check`` tells them why."""
        try:
            self.check()
        except Ended:
            return False
        return True

    def terminate(self, *_: object) -> None:
        self.terminated = True
