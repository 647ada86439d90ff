"""Locked cells: in words, in a link, in what a preset makes, and in what the server says of a stroke."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.policy import Policy, repair
from mddit_ui.core.records import GenerationConfig
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.ui.locks import keep_locked, locks_of
from mddit_ui.ui.measured import MEASURED, Measured
from mddit_ui.ui.painting import confirm
from mddit_ui.ui.state import Session, pack, unpack

POLICY = Policy.from_rows(["##", "#=", ".="])


def test_the_text_beside_the_grid_is_read() -> None:
    assert locks_of("??/?=/.?", POLICY) == ("??", "?=", ".?")


@pytest.mark.parametrize("text", ["", None, "??/??/??", "??/??", "???/???/???", "?/??/??"])
def test_no_locks_or_those_of_another_grid_are_none(text: object) -> None:
    assert locks_of(text, POLICY) is None
    assert locks_of("#?/??/??", None) is None


def test_a_lock_whose_cell_has_changed_is_dropped() -> None:
    assert locks_of("?./?=/??", POLICY) == ("??", "?=", "??")


@pytest.mark.parametrize("text", [7, ["??"], "<b>", "x" * 500_000])
def test_what_is_no_text_of_locks_is_refused(text: object) -> None:
    with pytest.raises(ConfigError, match="reload"):
        locks_of(text, POLICY)


tables = st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(0, 2**32 - 1))


@given(tables)
@settings(max_examples=60)
def test_a_preset_leaves_locked_cells(shape: tuple[int, int, int]) -> None:
    steps, blocks, seed = shape
    rng = np.random.default_rng(seed)
    painted, made = (Policy(repair(rng.choice([-1, 0, 1], (steps, blocks)).astype(np.int8))) for _ in range(2))
    mask = rng.random((steps, blocks)) < 0.5
    rows = [
        "".join(letter if fixed else "?" for letter, fixed in zip(row, line, strict=True))
        for row, line in zip(painted.rows, mask, strict=True)
    ]
    kept = keep_locked(made, painted, rows)
    assert (kept.actions[mask] == painted.actions[mask]).all()
    assert keep_locked(made, painted, None) is made


def test_locks_travel_in_the_link() -> None:
    config = GenerationConfig(prompts=("a",), steps=3)
    session = Session("m", POLICY, config, ("??", "?=", "??"))
    assert unpack(pack(session)) == session
    assert unpack(pack(Session("m", POLICY, config))).locked is None


def test_the_server_repairs_and_counts(tiny_pixart: str) -> None:
    cached = np.full((1, 3, 4), 0.01)
    name = MEASURED.keep(Sensitivity(cached, np.full((3, 4), 0.25)))
    said = confirm({"model": tiny_pixart, "rows": ["#=##", "#===", "#.##"], "measured": name})
    assert said is not None
    assert said["rows"] == ["####", "#===", "#.##"]
    assert 0 < said["share"] < 1
    assert said["macs"] == pytest.approx(said["share"] * said["full"])
    assert said["peak_bytes"] > 0
    assert said["closeness"] == pytest.approx(1 - np.sqrt((3 * 0.01 + 0.25) / 12))
    assert confirm({"model": tiny_pixart, "rows": ["####"], "measured": name})["closeness"] is None  # type: ignore[index]


@pytest.mark.parametrize(
    "request_",
    [
        None,
        [],
        {"rows": "##"},
        {"model": "tiny-pixart", "rows": [1]},
        {"model": "tiny-pixart", "rows": ["#x##"]},
        {"model": "tiny-pixart", "rows": ["##"]},
        {"model": "no such model", "rows": ["####"]},
    ],
)
def test_what_is_no_policy_of_the_model_is_not_confirmed(tiny_pixart: str, request_: object) -> None:
    assert confirm(request_) is None


def test_the_oldest_measurement_is_forgotten() -> None:
    kept = Measured(most=2)
    all_ = [Sensitivity(np.full((1, 2, 2), size), np.ones((2, 2))) for size in (0.1, 0.2, 0.3)]
    names = [kept.keep(each) for each in all_]
    assert [kept.find(name) for name in names] == [None, all_[1], all_[2]]
    assert kept.keep(Sensitivity(np.full((1, 2, 2), 0.3), np.ones((2, 2)))) == names[2]


def test_locked_cells_keep_their_share_of_the_tokens() -> None:
    painted = Policy.from_rows(["##", "##"], keep=np.array([[0.5, 0.5], [0.5, 1.0]]))
    kept = keep_locked(Policy.full(2, 2), painted, ("#?", "??"))
    assert kept.keep is not None
    assert kept.keep.tolist() == [[0.5, 1], [1, 1]]
    assert keep_locked(Policy.full(2, 2), painted, ("??", "?#")).keep is None
