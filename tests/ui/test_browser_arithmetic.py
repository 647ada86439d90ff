"""The arithmetic in the browser gives what core gives, on random tables."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from mddit_ui.core.cost import MacTable
from mddit_ui.core.plan import plan
from mddit_ui.core.policy import LETTERS, Action, Policy, ages, repair
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.ui.grid import STATIC, GridView, as_content

CASES = 60


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.goto("about:blank")
    page.add_script_tag(content=(STATIC / "policy.js").read_text())
    yield page
    page.close()


def tables() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    shapes = rng.integers(1, 12, (CASES, 2))
    return [rng.choice([-1, 0, 0, 1], size).astype(np.int8) for size in shapes]


def test_repair_ages_residuals_and_macs(page: Page) -> None:
    cases, expected = [], []
    for index, cells in enumerate(tables()):
        legal = repair(cells)
        macs = np.arange(1, cells.shape[1] + 1, dtype=float)
        table = MacTable(tuple(f"b{site}" for site in range(cells.shape[1])), macs, float(index))
        rows = ["".join(LETTERS[Action(cell)] for cell in row) for row in cells.tolist()]
        cases.append({"rows": rows, "macs": macs.tolist(), "rest": float(index)})
        expected.append(
            {
                "rows": list(Policy(legal).rows),
                "ages": ages(legal).ravel().tolist(),
                "peak": plan(Policy(legal)).peak_residuals,
                "share": table.budget(legal),
                "byStep": table.by_step(legal).tolist(),
                "bySite": table.by_site(legal).tolist(),
            }
        )
    got = page.evaluate(
        """(cases) => cases.map(({rows, macs, rest}) => {
          const table = tableFromRows(rows);
          repairTable(table);
          const tally = tallyOf(table, macs, rest);
          return {rows: rowsFromTable(table), ages: Array.from(agesOf(table)), peak: peakResiduals(table),
            share: tally.share, byStep: Array.from(tally.byStep), bySite: Array.from(tally.bySite)};
        })""",
        cases,
    )
    for mine, right in zip(got, expected, strict=True):
        assert mine["share"] == pytest.approx(right.pop("share"))
        mine.pop("share")
        assert mine == right


def test_predicted_errors(page: Page) -> None:
    rng = np.random.default_rng(1)
    cells = repair(rng.choice([-1, 0, 0, 1], (7, 5)).astype(np.int8))
    sensitivity = Sensitivity(rng.random((7, 7, 5)), rng.random((7, 5)))
    content = as_content(GridView(Policy(cells), sensitivity=sensitivity))
    got = page.evaluate(
        """([rows, sensitivity]) => {
          const table = tableFromRows(rows);
          return predictedError(table, agesOf(table), sensitivity);
        }""",
        [content["rows"], content["sensitivity"]],
    )
    assert got == pytest.approx(float(sensitivity.total(cells)), rel=0.01)
