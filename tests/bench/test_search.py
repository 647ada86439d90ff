"""The table of searches on the tiny model: all its lines, in their order."""

import json

from mddit_ui.bench import search as bench
from tests.tiny import PROMPTS


def test_the_table(tiny_pixart, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PROMPTS", tmp_path)
    for name in ("search", "holdout"):
        (tmp_path / f"{name}.json").write_text(json.dumps(list(PROMPTS)))
    bench.main(["--model", tiny_pixart, "--steps", "4", "--budget", "0.6", "--evaluations", "8", "--images", "2"])
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert table[0] == ["policies", "evaluations", "budget", "CLIP score", "PSNR, dB"]
    assert table[2][:3] == ["full depth", "", "1.000"]
    assert table[3][0] == "every 2"
    assert [row[:2] for row in table[-9:]] == [
        [name, n] for name in ("cma-es", "random", "sep-cma-es") for n in ("2", "4", "8")
    ]
    assert all(float(row[2]) <= 0.6 for row in table[-9:])
