"""Both loops score the same policies alike, and their rates are printed."""

import json

import pytest

from mddit_ui.bench import throughput as bench
from tests.tiny import PROMPTS


@pytest.mark.slow
def test_the_two_loops_agree(tiny_pixart, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PROMPTS", tmp_path)
    monkeypatch.setenv("MDDIT_PROCESSES", "1")
    (tmp_path / "search.json").write_text(json.dumps(list(PROMPTS)))
    sizes = ["--steps", "4", "--budget", "0.6", "--images", "2", "--evaluations", "6", "--naive", "2"]
    assert bench.main(["--model", tiny_pixart, *sizes]) == 0
    printed = capsys.readouterr().out
    assert "2 prompts, 4 steps, budget 0.6" in printed
    assert "times as many" in printed
