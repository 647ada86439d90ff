"""Subsets on a real (tiny) model, and that nothing is chosen by the hold-out set."""

import json
from pathlib import Path

import pytest

from mddit_ui.cli.main import main
from mddit_ui.core.errors import SearchError
from mddit_ui.core.records import SearchConfig
from mddit_ui.service import catalog, holdout, searches
from mddit_ui.service.measure import Trial
from mddit_ui.service.subset import find, policies_to_rank
from mddit_ui.train.captions import parse_caption
from tests.tiny import PROMPTS


def test_the_policies_are_legal_different_and_of_many_budgets(tiny_pixart: str):
    view = catalog.describe(tiny_pixart, 6)
    made = policies_to_rank(view, 20)
    assert len({policy.digest for policy in made}) > 15
    budgets = [policy.budget(view.mac_table) for policy in made]
    assert min(budgets) < 0.45
    assert max(budgets) > 0.7
    assert made == policies_to_rank(view, 20)


def test_the_verb(tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    prompts, out = tmp_path / "prompts.txt", tmp_path / "few.json"
    prompts.write_text("\n".join(f"{PROMPTS[0]} {number}" for number in range(5)))
    argv = ["subset", "--model", tiny_pixart, "--steps", "3", "--policies", "8", "--sizes", "2", "5"]
    argv += ["--prompts", str(prompts), "--images", "5", "-o", str(out)]
    assert main([*argv, "--json"]) == 0
    two, all_of_them = json.loads(capsys.readouterr().out)["sizes"]
    assert json.loads(out.read_text()) == two["prompts"]
    assert len(set(two["prompts"])) == 2
    assert all_of_them["tau_unseen"] == 1
    assert -1 <= two["tau_unseen"] <= 1
    assert main(argv) == 0
    assert two["prompts"][0] in capsys.readouterr().out


def test_nothing_is_chosen_by_the_hold_out_set(tiny_pixart: str):
    """No training shows these scenes, no search and no subset takes these captions, however they are written."""
    assert len(set(holdout.captions())) == 500
    assert all(parse_caption(text).is_held_out() for text in holdout.captions())
    caption = "  " + holdout.captions()[7].upper()
    with pytest.raises(SearchError, match="1 of the 2 prompts"):
        searches.start(SearchConfig(model=tiny_pixart, prompts=(PROMPTS[0], caption)))
    with pytest.raises(SearchError, match="hold-out"):
        find(Trial.of(tiny_pixart, (caption,)), (1,))
    searched = json.loads((holdout.PROMPTS / "search.json").read_text())
    holdout.refuse(searched)
