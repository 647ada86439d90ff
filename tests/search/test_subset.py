"""FlashEval on tables of scores whose truth is known."""

import numpy as np
import pytest

from mddit_ui.core.errors import SearchError
from mddit_ui.search.subset import compare, find_subset, kendall


def table(policies: int = 40, prompts: int = 64, telling: int = 16, seed: int = 0) -> np.ndarray:
    """Some prompts tell policies apart, the others are noise."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=(policies, 1))
    noise = rng.normal(size=(policies, prompts))
    return np.where(np.arange(prompts) < telling, quality + 0.3 * noise, noise)


def test_kendall_by_hand():
    truth = np.array([1.0, 2.0, 3.0, 4.0])
    rankings = np.array([truth, -truth, [1, 2, 4, 3], [2, 2, 2, 2], [1, 1, 3, 4]])
    assert kendall(rankings, truth) == pytest.approx([1, -1, 4 / 6, 0, 5 / 6])


def test_it_finds_the_prompts_that_tell():
    chosen = find_subset(table(), 8, draws=500)
    assert len(set(chosen.prompts)) == 8
    assert sum(prompt < 16 for prompt in chosen.prompts) >= 5  # 2 by chance
    assert find_subset(table(), 8, draws=500) == chosen  # the same seed finds the same


def test_on_unseen_policies_eight_found_are_as_good_as_random_ones_of_twice_the_size():
    """Not of four times the size: 0.68 against 0.76, when several splits judge."""
    pairs = [compare(table(seed=seed), (8, 16), draws=500, splits=4) for seed in range(5)]
    found = np.array([(eight.found, eight.random, many.random) for eight, many in pairs])
    eight, chance_of_eight, chance_of_many = found.mean(0)
    assert eight > chance_of_eight + 0.1
    assert eight >= chance_of_many


def test_where_the_truth_has_a_tie_nothing_is_asked():
    assert kendall(np.array([1.0, 3.0, 2.0]), np.array([1.0, 2.0, 2.0])) == 1
    assert kendall(np.array([2.0, 1.0, 3.0]), np.array([1.0, 2.0, 2.0])) == 0


def test_all_prompts_agree_with_themselves():
    (all_of_them,) = compare(table(10, 6), (6,), draws=10)
    assert all_of_them.found == all_of_them.random == 1


@pytest.mark.parametrize(("scores", "size"), [(table(), 65), (table(2), 8), (table() * np.nan, 8), (table(), 0)])
def test_what_can_not_be_ranked_is_refused(scores: np.ndarray, size: int):
    with pytest.raises(SearchError, match="Expected finite scores"):
        find_subset(scores, size)
    with pytest.raises(SearchError):
        compare(scores[:5], (8,))
