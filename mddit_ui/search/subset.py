"""Few prompts that rank policies as many do: FlashEval, Zhao et al. 2024 (arXiv 2403.16379).

Random sets of prompts are drawn; those that rank the policies most like all prompts together vote for their members;
the prompts with the most votes are drawn from again, until few are left. No prompt is good alone: a set is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mddit_ui.core.errors import SearchError

DRAWS = 4000  # sets a round
VOTERS = 0.05  # share of them that vote
SHRINK = 0.7  # share of the prompts that is left after a round
SPLITS = 10  # of the policies, into those that choose and those that judge


@dataclass(frozen=True)
class Subset:
    """A chosen set: indices of its prompts, and how well it ranks the policies that it was chosen on."""

    prompts: tuple[int, ...]
    tau: float


def kendall(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(...) Kendall's tau of rankings (..., policies) with that of ``truth`` (policies,); a tie is half right, and
    where the truth has one, nothing is asked."""
    one, other = np.triu_indices(len(truth), 1)
    right = np.sign(truth[one] - truth[other])
    one, other, right = one[right != 0], other[right != 0], right[right != 0]
    return (np.sign(scores[..., one] - scores[..., other]) * right).mean(-1)


def find_subset(scores: np.ndarray, size: int, *, seed: int = 0, draws: int = DRAWS) -> Subset:
    """The set of ``size`` prompts that ranks the policies most like all of them do.

    Args:
        scores: (policies, prompts), finite.

    Raises:
        SearchError: fewer prompts than ``size``, or fewer than three policies.
    """
    policies, prompts = scores.shape
    if not (1 <= size <= prompts and policies >= 3 and np.isfinite(scores).all()):
        raise SearchError(
            f"Expected finite scores of 3 policies or more on {size} prompts or more, got {policies} and {prompts}."
        )
    rng = np.random.default_rng(seed)
    truth = scores.mean(1)
    pool = np.arange(prompts)
    best = Subset(tuple(pool[:size].tolist()), -2.0)
    while True:
        sets = draw(rng, pool, size, draws)
        taus = kendall(means(scores, sets), truth)
        order = np.argsort(-taus, kind="stable")
        if taus[order[0]] > best.tau:
            best = Subset(tuple(sorted(sets[order[0]].tolist())), float(taus[order[0]]))
        left = max(int(len(pool) * SHRINK), size)
        if left == len(pool):
            return best
        votes = np.bincount(sets[order[: max(round(VOTERS * draws), 1)]].ravel(), minlength=prompts)
        pool = np.sort(pool[np.argsort(-votes[pool], kind="stable")[:left]])


def draw(rng: np.random.Generator, pool: np.ndarray, size: int, count: int) -> np.ndarray:
    """(count, size) sets of different prompts."""
    return pool[np.argsort(rng.random((count, len(pool))), axis=1)[:, :size]]


def means(scores: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """(sets, policies) score of each policy on each set."""
    return np.stack([policy[sets].mean(1) for policy in scores], axis=1)


@dataclass(frozen=True)
class Trust:
    """How well sets of one size rank policies that nothing was chosen on: Kendall's tau with the ranking by all
    prompts, mean over several splits of the policies.

    Args:
        chosen: the set that was found on all policies.
        found: of sets found on some of them; random: of random sets; random_high: their 95 % quantile.
    """

    size: int
    chosen: Subset
    found: float
    random: float
    random_high: float


def compare(
    scores: np.ndarray,
    sizes: Sequence[int],
    *,
    unseen: float = 0.5,
    seed: int = 0,
    draws: int = DRAWS,
    splits: int = SPLITS,
) -> list[Trust]:
    """A subset of each size; what to expect of it is told by others, found on some policies and judged on the rest.

    Args:
        scores: (policies, prompts); unseen: share of the policies that subsets are judged on.
    """
    count = round(unseen * len(scores))
    if min(count, len(scores) - count) < 3:
        raise SearchError(f"Expected 6 policies or more to choose a subset on and to judge it, got {len(scores)}.")
    made = []
    for size in sizes:
        taus = np.array([_judged(scores, size, count, seed + split, draws) for split in range(splits)])
        found, random, random_high = taus.mean(0).tolist()
        made.append(Trust(size, find_subset(scores, size, seed=seed, draws=draws), found, random, random_high))
    return made


def _judged(scores: np.ndarray, size: int, count: int, seed: int, draws: int) -> tuple[float, float, float]:
    """Of one split: (of the set that was found, of random ones, their 95 % quantile)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(scores))
    others, own = scores[order[:count]], scores[order[count:]]
    chosen = find_subset(own, size, seed=seed, draws=draws)
    truth = others.mean(1)
    by_chance = kendall(means(others, draw(rng, np.arange(scores.shape[1]), size, draws)), truth)
    (found,) = kendall(means(others, np.array([chosen.prompts])), truth)
    return float(found), float(by_chance.mean()), float(np.quantile(by_chance, 0.95))
