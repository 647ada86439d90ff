"""The best of many is partly lucky: a few finalists are scored on fresh seeds, and both results choose the best."""

from collections.abc import Callable, Iterable, Mapping

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score
from mddit_ui.search.loop import Evaluation

FINALISTS = 4
FRESH_SEEDS = 1_000_003  # added to the seeds of a search (torch on a CPU heeds 32 bits)


def finalists(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Those with the highest finite objectives, best first."""
    finite = [each for each in evaluations if each.objective == each.objective]
    return sorted(finite, key=lambda each: -each.objective)[:FINALISTS]


def ranked(
    among: Iterable[Evaluation], again: Mapping[Policy, Score], objective: Callable[[Score], float]
) -> list[Evaluation]:
    """Finalists by the sum of both objectives, best first; ``again``: their scores on fresh seeds."""

    def both(each: Evaluation) -> float:
        value = objective(again[each.policy])
        return each.objective + value if value == value else -float("inf")

    return sorted(among, key=lambda each: -both(each))
