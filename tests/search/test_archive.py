"""The archive keeps the best for every budget, and only grows."""

import math

from hypothesis import given
from hypothesis import strategies as st

from mddit_ui.search.archive import Archive

POINTS = st.lists(st.tuples(st.integers(1, 9).map(lambda n: n / 10), st.sampled_from([math.nan, 1.0, 2.0, 3.0, 4.0])))


def test_by_hand():
    archive = Archive.of([(0.5, 2.0, "a"), (0.3, 1.0, "b"), (0.4, 2.0, "c"), (0.9, 2.0, "d"), (0.9, 3.0, "e")])
    assert [item for _, _, item in archive.points] == ["b", "c", "e"]
    assert [archive.within(budget) for budget in (0.2, 0.3, 0.39, 0.4, 0.8, 1.0)] == [None, "b", "b", "c", "c", "e"]
    assert archive.add(0.35, math.nan, "x") is archive


@given(points=POINTS)
def test_it_is_the_best_for_every_budget_and_never_gets_worse(points):
    numbered = [(budget, objective, number) for number, (budget, objective) in enumerate(points)]
    archive = Archive()
    for count, point in enumerate(numbered, 1):
        before, archive = archive, archive.add(*point)
        for budget in (0.05, 0.1, 0.5, 0.55, 0.9, 1.0):
            possible = [each for each in numbered[:count] if each[0] <= budget and each[1] == each[1]]
            found = archive.within(budget)
            assert (found is None) == (not possible)
            if found is not None:
                assert numbered[found][1] == max(each[1] for each in possible)
                earlier = before.within(budget)
                assert earlier is None or numbered[found][1] >= numbered[earlier][1]
    assert Archive.of(numbered) == archive
