"""What a browser keeps of a visit is checked; runs, pairs and tables are made from the store."""

import csv
import io
import uuid

import numpy as np
import pytest

from mddit_ui.core.errors import ConfigError, StoreError
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import to_dict
from mddit_ui.core.records import GenerationConfig, RunRecord, Score
from mddit_ui.store import runs as store
from mddit_ui.store.db import open_db
from mddit_ui.ui import visit
from mddit_ui.ui.parts import asked
from mddit_ui.ui.quotas import Quotas, quotas
from mddit_ui.ui.tabs import compare

FULL = Policy.full(2, 2, name="full depth")
HALF = Policy.from_rows(["##", "=="], name="=half")


def save(policy: Policy, macs: float, seconds: float, clip: float, reference: str = "") -> str:
    record = RunRecord(
        id=uuid.uuid4().hex,
        created=0.0,
        model="m",
        policy=to_dict(policy),
        config=GenerationConfig(prompts=("a", "a"), seeds=(4, 5), steps=2),
        score=Score(clip_score=clip, clip_scores=(clip - 1, clip + 1), psnr=30.0, images=2),
        wall_seconds=seconds,
        macs=macs,
        full_macs=100.0,
        peak_cache_bytes=0,
        reference=reference,
    )
    store.save(open_db(), record, np.zeros((2, 8, 8, 3), np.uint8))
    return record.id


def test_a_pair_says_time_and_macs_as_ratios() -> None:
    full = save(FULL, 100.0, 2.0, 30.0)
    half = save(HALF, 50.0, 1.6, 29.0, full)
    pair = visit.pair_again(half)
    rows = {name: change for name, _, _, change, _ in pair.rows}
    assert rows == {"Time": "1.25× as fast", "MACs": "2.00× fewer", "CLIP score": "-1.00"}
    assert pair.captions == ("seed 4 · CLIP 29.0 → 28.0", "seed 5 · CLIP 31.0 → 30.0")
    assert pair.names == ("Full depth", "=half")
    assert pair.left is not None and pair.left.shape == (2, 8, 8, 3)  # noqa: PT018


def test_a_slower_policy_is_said_to_be_slower() -> None:
    full = save(FULL, 100.0, 1.0, 30.0)
    slow = save(HALF, 200.0, 2.0, 30.0, full)
    rows = {name: (change, tone) for name, _, _, change, tone in visit.pair_again(slow).rows}
    assert rows["Time"] == ("0.50× as fast", "bad")
    assert rows["MACs"] == ("2.00× as many", "bad")


def test_the_table_and_the_csv_hold_all_runs() -> None:
    full = save(FULL, 100.0, 2.0, 30.0)
    half = save(HALF, 50.0, 1.0, 29.0, full)
    lines = visit.lines([full, half, "0" * 32])  # the last one is not in the store any more
    assert [line.id for line in lines] == [full, half]
    assert [line.speed for line in lines] == [None, 2.0]
    _, table = compare.shown_runs([full, half])
    assert [row.key for row in table.rows] == [half, full]  # newest first
    assert table.rows[0].picture.startswith("data:image/webp;base64,")
    rows = list(csv.DictReader(io.StringIO(compare.csv_of(lines))))
    assert rows[1]["policy"] == "'=half"  # no formula for a spreadsheet
    assert (rows[1]["speed"], rows[1]["compared_with"], rows[1]["seeds"]) == ("2.0", "full depth", "4 5")


@pytest.mark.parametrize("stored", [None, "x", 7, {"a": 1}, [1, None, "../../etc/passwd", "f" * 33], [["a"]]])
def test_what_a_browser_stored_may_be_anything(stored: object) -> None:
    assert visit.known(stored) == []
    assert visit.lines(stored) == []


def test_a_visit_forgets_its_oldest_runs() -> None:
    past: list[str] = []
    for _ in range(visit.MOST_RUNS + 5):
        past = visit.more(past, uuid.uuid4().hex)
    assert len(past) == visit.MOST_RUNS


def test_an_unknown_run_is_said() -> None:
    with pytest.raises(StoreError):
        visit.pair_again("0" * 32)


@pytest.mark.parametrize(
    ("config", "box"),
    [
        (GenerationConfig(prompts=("a", "a", "a"), seeds=(1, 2, 3)), ("a", 3)),
        (GenerationConfig(prompts=("a", "b"), seeds=(1,)), ("a\nb", 1)),
        (GenerationConfig(classes=(7,)), ("7", 1)),
    ],
)
def test_a_request_comes_back_into_the_boxes(config: GenerationConfig, box: tuple[str, int]) -> None:
    assert asked(config) == box


def test_quotas_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert quotas() == Quotas()
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert quotas().searches == 1
    monkeypatch.setenv("MDDIT_MAX_STEPS", "10")
    with pytest.raises(ConfigError, match="10 steps at most; you asked for 11"):
        quotas().check_request(GenerationConfig(prompts=("a",), steps=11))
    assert quotas().check_request(GenerationConfig(prompts=("a",), steps=10)).steps == 10
    monkeypatch.setenv("MDDIT_MAX_STEPS", "ten")
    with pytest.raises(ConfigError, match="whole number"):
        quotas()
