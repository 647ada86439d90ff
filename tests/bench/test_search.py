"""The table of searches on the tiny model: all its lines, in their order; a second run makes nothing again."""

import json
import shutil

import numpy as np
import pytest

from mddit_ui.bench import search as bench
from mddit_ui.bench.page import paired
from mddit_ui.bench.search_lines import DEFAULT, START, Judgement, Line, verdicts
from mddit_ui.core.errors import SearchError
from mddit_ui.search.objective import Objective
from tests.tiny import PROMPTS


def test_the_table_and_its_second_run(tiny_pixart, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PROMPTS", tmp_path)
    for name in ("search", "holdout"):
        (tmp_path / f"{name}.json").write_text(json.dumps(list(PROMPTS)))
    names = ["cma-es", "genetic racing"]
    arguments = ["--model", tiny_pixart, "--steps", "4", "--budgets", "0.6", "--evaluations", "8", "--images", "2"]
    arguments += ["--seeds", "2", "--methods", *names, "--folder", str(tmp_path / "kept"), "--tables-only"]
    page = tmp_path / "results.md"
    arguments[:0] = ["--target", str(page)]
    bench.main([*arguments[:-1], "--searches-only"])
    assert capsys.readouterr().out == ""
    bench.main(arguments)
    printed = capsys.readouterr()
    text = page.read_text()
    assert printed.out.strip() in text
    (picture,) = (tmp_path / "results").glob("*.svg")
    assert f"](results/{picture.name})" in text
    assert picture.read_text().startswith("<svg")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert table[0][:4] == ["policies", "evaluations", "searches", "budget"]
    assert table[2][:4] == ["full depth", "", "1", "1.000"]
    assert table[3][0] == "every 2"
    assert [row[:3] for row in table[-2:]] == [[name, "8", "2"] for name in names]
    assert all(float(row[3]) <= 0.6 for row in table[-3:])
    (start,) = [row for row in table if row[0].startswith("best start")]
    assert (start[5], start[7]) == ("+0.00 ± 0.00", "+0.00 ± 0.00")
    verdicts = [
        line for line in text.splitlines() if line.startswith("- cma-es after 8 evaluations (2 searches) beside")
    ]
    assert [line.partition(":")[0].split(" beside ")[1] for line in verdicts] == [
        start[0].partition(":")[0],
        "genetic racing after 8 evaluations (2 searches)",
    ]

    assert "CLIP score + 2 x PSNR" in text  # two prompts
    assert all(" objective " in line for line in verdicts)

    (kept,) = (tmp_path / "kept").iterdir()
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    shutil.rmtree(kept)
    bench.main(arguments)
    assert capsys.readouterr().out == printed.out
    assert before == {path.name: path.read_bytes() for path in kept.iterdir()}  # from what lies beside the results
    cut = kept / "cma-es-2-by-8.jsonl"
    cut.write_bytes(b"".join(before[cut.name].splitlines(keepends=True)[:6])[:-20])  # killed while it wrote
    bench.main(arguments)
    assert capsys.readouterr().out == printed.out
    rows = [json.loads(line) for line in cut.read_text().splitlines()]
    assert sorted(row["number"] for row in rows) == list(range(1, 9))  # what the other searches know comes first
    assert {name: len(content) for name, content in before.items() if name != cut.name} == {
        path.name: path.stat().st_size for path in kept.iterdir() if path != cut
    }

    with pytest.raises(SearchError, match="No search of these methods is kept"):
        bench.main([*arguments[:-1], "--kept-only", "--methods", "random"])


def test_a_mark_takes_the_searches_that_reach_it(tiny_pixart, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "PROMPTS", tmp_path)
    for name in ("search", "holdout"):
        (tmp_path / f"{name}.json").write_text(json.dumps(list(PROMPTS)))
    monkeypatch.setattr(bench, "MARKS", (3, 6))
    common = ["--target", str(tmp_path / "results.md"), "--model", tiny_pixart, "--steps", "4", "--budgets", "0.6"]
    common += ["--images", "2", "--folder", str(tmp_path / "kept")]
    bench.main([*common, "--searches-only", "--seeds", "1", "--evaluations", "8", "--methods", "cma-es"])
    bench.main([*common, "--searches-only", "--seeds", "2", "--evaluations", "6", "--methods", "cma-es", "random"])
    kept = {path: path.read_bytes() for path in (tmp_path / "kept").glob("*/*-by-*.jsonl")}
    capsys.readouterr()
    bench.main([*common, "--kept-only", "--seeds", "3", "--evaluations", "8", "--methods", "cma-es", "random"])
    rows = [line.split(" | ")[:3] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[-5:] == [
        ["| cma-es", "3", "2"],
        ["| cma-es", "6", "2"],
        ["| cma-es", "8", "1"],
        ["| random", "3", "2"],
        ["| random", "6", "2"],
    ]
    assert kept == {path: path.read_bytes() for path in kept}  # no search went on


def test_gains_are_paired():
    mean, error = paired(np.array([2.0, 4.0, 9.0]), np.array([1.0, 2.0, 6.0]))
    assert mean == 2.0
    assert error == pytest.approx(1 / np.sqrt(3))


def test_a_verdict_has_the_error_of_the_pictures_and_of_the_searches():
    def judged(*clip: float) -> Judgement:
        return Judgement(np.array(clip), np.zeros(2))

    start = Line(START, 0, 0.5, (judged(1, 1),))
    ours = Line(DEFAULT, 100, 0.5, (judged(1, 2), judged(3, 4)))  # over the start [1, 2]; means of 1.5 and 3.5
    (said,) = verdicts([start, ours], Objective(0.5))
    error = np.hypot(0.5, 1.0)
    assert said == (
        f"- {DEFAULT} after 100 evaluations (2 searches) beside {START}: "
        f"objective +1.500 ± 0.500 (ahead; ± {error:.3f}), CLIP score +1.500 ± 0.500 (ahead; ± {error:.3f}), "
        "PSNR +0.000 ± 0.000 (even; ± 0.000)."
    )


@pytest.mark.slow
def test_the_predictor_and_the_throughput_follow_the_tables(tiny_pixart, tmp_path, monkeypatch, capsys):
    for module in (bench, bench.sensitivity, bench.throughput):
        monkeypatch.setattr(module, "PROMPTS", tmp_path)
    monkeypatch.setenv("MDDIT_PROCESSES", "1")
    for name in ("search", "holdout"):
        (tmp_path / f"{name}.json").write_text(json.dumps(list(PROMPTS)))
    arguments = ["--model", tiny_pixart, "--steps", "4", "--budgets", "0.6", "--evaluations", "6", "--images", "2"]
    assert bench.main([*arguments, "--seeds", "1", "--methods", "random", "--folder", str(tmp_path / "kept")]) == 0
    printed = capsys.readouterr().out
    assert printed.index("best start") < printed.index("rank correlation") < printed.index("times as many")
