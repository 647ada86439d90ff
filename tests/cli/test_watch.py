"""What the bar of a watched search says."""

import io
from argparse import Namespace

import pytest
from tqdm import tqdm

from mddit_ui.cli.watch import BAR, budget_of, report, summary, words
from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.store.search_rows import EvaluationRow, SearchRow

SCORE = Score(clip_score=31.256, clip_backbone="tiny", psnr=22.04, images=2)
BEST = EvaluationRow(3, 0, ("##", "#="), "0" * 16, 0.4984, SCORE, 1.5, 2.0)


def row(done: int = 12, **more) -> SearchRow:
    config = SearchConfig(model="tiny", prompts=("a ball",), budget=0.5, evaluations=40, **more.pop("config", {}))
    facts = {
        "id": "ab" * 16, "created": 0.0, "state": "running", "wanted": "run", "config": config, "error": "",
        "done": done, "generation": 1, "best": BEST, "reference": SCORE, "baselines": {},
        "baseline_budgets": {}, "finalists": {},
        "seconds_left": 75.0, "evaluations_per_minute": 22.4, "locked": None, "worker_pid": None, "worker_started": "",
        "heartbeat": None,
    }  # fmt: skip
    return SearchRow(**{**facts, **more})


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (row(), "best CLIP 31.26 PSNR 22.0 at budget 0.498, 22.4 a minute, 1:15 left"),
        (row(seconds_left=None, evaluations_per_minute=None), "best CLIP 31.26 PSNR 22.0 at budget 0.498"),
        (row(0, best=None), "scoring well-known schedules"),
        (row(0, best=None, reference=None), "loading the model, making the pictures of full depth"),
        (row(40), "scoring the best once more, on fresh pictures"),
        (row(20, generation=0, finalists={"full": SCORE}), "scoring the best once more, on fresh pictures"),
    ],
)
def test_words(search: SearchRow, says: str):
    assert words(search) == says


def test_the_bar():
    out = io.StringIO()
    with tqdm(total=40, file=out, bar_format=BAR, ncols=120, initial=12, ascii=True) as bar:
        bar.set_description_str("best so far")
    assert "12/40 |######              | best so far" in out.getvalue()


def test_budgets_as_they_are_given():
    assert budget_of(row()) == "0.5"
    assert budget_of(row(config={"least_budget": 0.3})) == "0.3:0.5"


def test_the_report_says_what_chose_the_best(capsys: pytest.CaptureFixture[str]):
    again = Score(clip_score=30.5, clip_backbone="tiny", psnr=21.0, images=24)
    judged = row(40, state="done", finalists={"3": again, "full": Score(clip_score=31.0, clip_backbone="tiny")})
    report(row(finalists={"3": again, "full": SCORE}), Namespace(json=False))  # it has been judged as a start
    before = capsys.readouterr().out
    report(judged, Namespace(json=False))
    after = capsys.readouterr().out
    assert "best (number 3, a starting policy, budget 0.498): CLIP 31.26" in before
    assert "fresh" not in before
    assert "on fresh pictures, which chose it: CLIP 30.50 (tiny), PSNR 21.00 dB; full depth: CLIP 31.00 (tiny)" in after
    assert summary(row())["best"]["fresh"] is None
    assert summary(judged)["best"]["fresh"]["images"] == 24
