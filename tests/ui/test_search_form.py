"""What the form of a new search refuses before anything is started."""

import numpy as np
import pytest

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.service import catalog, searches
from mddit_ui.ui.tabs import search_form

STEPS = 4
FORM = ("a red ball", 0, "cma-es", search_form.BOTH, False)  # captions, least budget, optimiser, closeness, racing


@pytest.mark.parametrize(("warm", "locks"), [(True, ""), (False, "#")])
def test_a_grid_of_parts_is_no_start(tiny_pixart, tmp_path, monkeypatch, warm, locks):
    monkeypatch.setenv("MDDIT_DATA", str(tmp_path))
    view = catalog.describe(tiny_pixart, STEPS)
    parts = Policy(np.ones((STEPS, 2 * len(view.sites)), np.int8))
    locks = locks and "/".join(["?" * parts.actions.shape[1]] * (STEPS - 1) + ["#" * parts.actions.shape[1]])
    with pytest.raises(SearchError, match=f"has {len(view.sites)}, the grid {2 * len(view.sites)} rows"):
        search_form.begin(
            tiny_pixart, parts, STEPS, 2.5, "default", locks, 50, 5, 1, *FORM, warm, bool(locks), "residual"
        )
    assert not searches.recent()
