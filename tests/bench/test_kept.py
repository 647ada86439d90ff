"""What a bench keeps of its searches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mddit_ui.bench.kept import kept_jury, kept_search, known_first, read
from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score
from mddit_ui.search.loop import Evaluation, Task
from mddit_ui.search.racing import Race
from mddit_ui.search.space import Space

SPACE = Space(MacTable(("a", "b"), np.full(2, 1.0), 0.0), 2, 0.5)
LINE = '{"number": %d, "generation": 0, "name": "", "rows": ["##", "=="], "score": {}, "objective": %d, "seconds": 1}\n'


def test_what_two_processes_wrote_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    path.write_text(LINE % (1, 5) + LINE % (2, 6) + LINE % (1, 5) + LINE % (3, 7) + '{"number": 4, "gen')
    assert [(each.number, each.objective) for each in read(path, SPACE)] == [(1, 5), (2, 6), (3, 7)]


def test_a_search_does_not_go_on_from_another_one(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    path.write_text(LINE % (1, 5) + LINE.replace('"generation": 0', '"generation": 3') % (2, 6))
    start = SPACE.policy(np.array([[1.0, 0.0], [0.0, 1.0]]))

    def evaluate(wanted, race=None):
        yield from ((policy, Score(clip_score=1.0, images=1)) for policy in wanted)

    task = Task([start], lambda ranked, restarts: None, evaluate, lambda score: score.clip_score, 9)
    before = path.read_text()
    for which in (task, replace(task, evaluate=lambda wanted, race=None: iter(()))):
        with pytest.raises(SearchError, match="another version"):
            kept_search(path, SPACE, which)
        assert path.read_text() == before


def test_fresh_scores_are_made_once(tmp_path: Path) -> None:
    policies = [Policy.from_rows(["##", row]) for row in ("==", "#=", "##")]
    found = [Evaluation(number, 0, policy, Score(), -number, 1.0) for number, policy in enumerate(policies)]
    asked: list[Policy] = []

    def evaluate(wanted):
        for policy in wanted:
            asked.append(policy)
            yield policy, Score(clip_score=float(len(asked)), images=1)

    def jury():
        return kept_jury(tmp_path / "finals.jsonl", evaluate, lambda score: score.clip_score)

    assert [each.number for each in jury()(found[:2])] == [1, 0]
    assert [each.number for each in jury()(found)] == [2, 1, 0]
    assert asked == policies


def test_only_what_no_search_has_scored_is_evaluated() -> None:
    policies = [Policy.from_rows(["##", row]) for row in ("==", "#=", "##")]
    asked: list[Policy] = []

    def evaluate(wanted, race=None):
        for policy in wanted:
            asked.append(policy)
            yield policy, Score(clip_score=1.0, images=1)

    known = {policies[1]: Score(clip_score=7.0, images=1)}
    found = dict(known_first(known, evaluate)(policies))
    assert asked == [policies[0], policies[2]]
    assert [found[policy].clip_score for policy in policies] == [1.0, 7.0, 1.0]

    asked.clear()  # in a race the score is that of the first pictures
    race = Race(lambda score: score.clip_score, ((1, 0.5),))
    assert [score.clip_score for _, score in known_first(known, evaluate)(policies, race)] == [1.0] * 3
    assert asked == policies
