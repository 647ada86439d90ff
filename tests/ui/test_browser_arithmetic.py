"""The arithmetic in the browser gives what core gives, on random tables."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.cost import MacTable
from mddit_ui.core.plan import plan
from mddit_ui.core.policy import LETTERS, Action, Policy, ages, repair
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.core.tokens import BINS
from mddit_ui.ui.grid import SENT_AGES, STATIC, GridView, as_content
from mddit_ui.ui.locks import keep_locked

CASES = 60


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.goto("about:blank")
    for name in ("policy.js", "grid_tools.js"):
        page.add_script_tag(content=(STATIC / name).read_text())
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


def test_macs_of_a_share_of_the_tokens(page: Page) -> None:
    rng = np.random.default_rng(4)
    for cells in tables()[:30]:
        cells = repair(cells)
        sites = cells.shape[1]
        keep = np.where(cells == Action.COMPUTE, rng.uniform(0.05, 1, cells.shape).round(4), 1.0)
        routed = np.sort(rng.random((len(BINS), sites)), 0)[::-1]
        routed[0] = 1
        table = MacTable(tuple(map(str, range(sites))), np.arange(1.0, sites + 1), 2.0, routed)
        policy = Policy(cells, keep=keep.astype(np.float32))
        content = as_content(GridView(policy, table))
        got = page.evaluate(
            """({rows, keep, site_macs, rest_macs, routed}) => {
              const table = tableFromRows(rows, null, keep);
              return [keepRows(table), Array.from(tallyOf(table, site_macs, rest_macs, routed).bySite)];
            }""",
            content,
        )
        assert got[0] == (None if (keep == 1).all() else content["keep"])
        assert got[1] == pytest.approx(table.by_site(cells, policy.keep), rel=1e-4)


def test_predicted_errors_and_closeness(page: Page) -> None:
    rng = np.random.default_rng(1)
    for index, cells in enumerate(tables()[:20]):
        cells = repair(cells)
        small = 10.0 ** -(index % 4)  # closeness from nearly 1 down to its floor
        sensitivity = Sensitivity(small * rng.random((12, *cells.shape)), small * rng.random(cells.shape))
        content = as_content(GridView(Policy(cells), sensitivity=sensitivity))
        got = page.evaluate(
            """([rows, sensitivity]) => {
              const table = tableFromRows(rows), ages = agesOf(table);
              return [predictedError(table, ages, sensitivity), closenessOf(table, ages, sensitivity)];
            }""",
            [content["rows"], content["sensitivity"]],
        )
        young = ages(cells).max() <= SENT_AGES  # beyond, the browser grows the last error that it was sent
        if young:
            assert got[0] == pytest.approx(float(sensitivity.total(cells)), rel=0.01)
            assert got[1] == pytest.approx(float(sensitivity.closeness(cells)), abs=0.005)


def test_old_residuals_grow_as_a_calibration_says(page: Page) -> None:
    """Ages beyond the sent ones: core lets the change of a residual grow with its age, so the error with its square."""
    size, change = np.array([[0.5, 0.2]] * 30), np.full((4, 30, 2), 0.01) * np.arange(1, 5)[:, None, None]
    alike = np.ones((30, 2))
    sensitivity = Sensitivity.from_calibration(
        Calibration("m", ("a", "b"), tuple(range(30, 0, -1)), alike, alike, change, size)
    )
    cells = np.zeros((30, 2), np.int8)
    cells[0] = 1
    content = as_content(GridView(Policy(cells), sensitivity=sensitivity))
    got = page.evaluate(
        "([rows, s]) => { const t = tableFromRows(rows); return predictedError(t, agesOf(t), s); }",
        [content["rows"], content["sensitivity"]],
    )
    assert ages(cells).max() > SENT_AGES
    assert got == pytest.approx(float(sensitivity.total(cells)), rel=0.01)


def test_locked_cells_survive_every_repair(page: Page) -> None:
    """The browser's repair and that of locks.py find the same table, and neither changes a locked cell."""
    rng = np.random.default_rng(9)
    for cells in tables()[:30]:
        painted = Policy(repair(cells))
        mask = rng.random(cells.shape) < 0.4
        locked = [
            "".join(letter if fixed else "?" for letter, fixed in zip(row, line, strict=True))
            for row, line in zip(painted.rows, mask, strict=True)
        ]
        other = np.where(mask, painted.actions, rng.choice([-1, 0], cells.shape)).astype(np.int8)
        got = page.evaluate(
            """([rows, locked]) => {
              const table = tableFromRows(rows, locked);
              repairTable(table);
              return [rowsFromTable(table), lockedRows(table)];
            }""",
            [["".join(LETTERS[Action(cell)] for cell in row) for row in other.tolist()], locked],
        )
        made = keep_locked(Policy.full(*cells.shape), painted, locked)
        assert (made.actions[mask] == painted.actions[mask]).all()
        after = Policy.from_rows(got[0])  # legal, or this raises
        assert (after.actions[mask] == painted.actions[mask]).all()
        assert got[1] == (locked if mask.any() else None)


TOOLS = """([rows, locked, call]) => {
  const table = tableFromRows(rows, locked);
  const result = new Function("table", "return " + call)(table);
  return [rowsFromTable(table).join("/"), result === undefined ? null : result];
}"""


@pytest.mark.parametrize(
    ("rows", "call", "expected"),
    [
        ("####/####/####", "paintBox(table, boxOf({step: 2, site: 1}, {step: 1, site: 2}), CACHE)", "####/#==#/#==#"),
        ("####/####/####", "paintLine(table, {step: 0, site: 0}, {step: 2, site: 2}, SKIP)", ".###/#.##/##.#"),
        ("##.#/#..#/.###", "flood(table, {step: 0, site: 2}, COMPUTE)", "####/####/.###"),
        ("##.#/#..#/.###", "flood(table, {step: 0, site: 0}, SKIP)", "...#/...#/.###"),
        ("##/##/##/##/##", "everyNth(table, wholeOf(table), 2, CACHE)", "##/==/##/==/##"),
        ("##/##/##/##/##", "everyNth(table, boxOf({step: 1, site: 1}, {step: 4, site: 1}), 3, SKIP)",
         "##/##/#./#./##"),
        ("##/#./.#/##/##/##", "repeatSteps(table, boxOf({step: 1, site: 0}, {step: 2, site: 1}))",
         "##/#./.#/#./.#/#."),
        ("###/##./#../...", "mirror(table, wholeOf(table), false)", ".../#../##./###"),
        ("###/##./#../...", "mirror(table, wholeOf(table), true)", "###/.##/..#/..."),
    ],
)  # fmt: skip
def test_tools_by_hand(page: Page, rows: str, call: str, expected: str) -> None:
    got, _ = page.evaluate(TOOLS, [rows.split("/"), None, call])
    assert got == expected


def test_no_tool_changes_a_locked_cell(page: Page) -> None:
    rows, locked = "#=./##=/.##/###", ["???", "?#?", "??#", "???"]
    calls = ["paintBox(table, wholeOf(table), SKIP)", "everyNth(table, wholeOf(table), 2, CACHE)",
             "mirror(table, wholeOf(table), true)", "mirror(table, wholeOf(table), false)",
             "repeatSteps(table, boxOf({step: 0, site: 0}, {step: 0, site: 2}))",
             "flood(table, {step: 1, site: 1}, SKIP)",
             "shiftSteps(table, boxOf({step: 0, site: 0}, {step: 2, site: 2}), 1)"]  # fmt: skip
    for call in calls:
        got, _ = page.evaluate(TOOLS, [rows.split("/"), locked, call])
        lines = got.split("/")
        assert (lines[1][1], lines[2][2]) == ("#", "#"), call


def test_a_shift_moves_along_time_and_back(page: Page) -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        steps, sites = rng.integers(2, 9, 2)
        letters = ["".join(rng.choice(list("#=."), sites)) for _ in range(steps)]
        first = int(rng.integers(0, steps - 1))
        last, by = int(rng.integers(first, steps)), int(rng.integers(-9, 10))
        box = {"step0": first, "step1": last, "site0": 0, "site1": int(sites) - 1}
        got, now = page.evaluate(TOOLS, [letters, None, f"shiftSteps(table, {json.dumps(box)}, {by})"])
        moved = now["step0"] - first
        assert moved == max(-first, min(int(steps) - 1 - last, by))
        assert got.split("/")[now["step0"] : now["step1"] + 1] == letters[first : last + 1]
        assert sorted(got.split("/")) == sorted(letters)  # whole steps change places; none is lost
        back, _ = page.evaluate(TOOLS, [got.split("/"), None, f"shiftSteps(table, {json.dumps(now)}, {-moved})"])
        assert back.split("/") == letters
