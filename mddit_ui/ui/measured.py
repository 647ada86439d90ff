"""The measurements that grids on screens refer to: the browser names one, and need not send it back."""

import hashlib
import threading
from collections import OrderedDict

from mddit_ui.core.sensitivity import Sensitivity

MOST = 64


class Measured:
    """The last few sensitivities, each under a hash of its numbers; the oldest is forgotten first."""

    def __init__(self, most: int = MOST):
        self.most = most
        self._kept: OrderedDict[str, Sensitivity] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, sensitivity: Sensitivity) -> str:
        """The name under which it can be found; the same one for the same measurement."""
        name = hashlib.sha256(sensitivity.skipped.tobytes() + sensitivity.cached.tobytes()).hexdigest()[:32]
        with self._lock:
            self._kept[name] = sensitivity
            self._kept.move_to_end(name)
            if len(self._kept) > self.most:
                self._kept.popitem(last=False)
            return name

    def find(self, name: str) -> Sensitivity | None:
        """What was kept under a name; nothing if it is unknown, forgotten, or of a server before this one."""
        with self._lock:
            return self._kept.get(name)


MEASURED = Measured()
