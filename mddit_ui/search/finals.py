"""The best of many on a few pictures is lucky: fresh pictures, and more of them, choose among a few finalists."""

from collections.abc import Callable, Iterable, Mapping

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import MAX_WORK, GenerationConfig, Score
from mddit_ui.search.loop import Evaluation

FINALISTS = 4  # besides the best starting policy
FRESH_IMAGES = 24  # at least; docs/LOG.md has what fewer of them miss
FRESH_SEEDS = 1_000_003  # between the seeds of a picture and those of its repetitions (torch on a CPU heeds 32 bits)


def finalists(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Those with the highest finite objectives, best first, and the best starting policy: it was not chosen by luck."""
    finite = [each for each in evaluations if each.objective == each.objective]
    order = sorted(finite, key=lambda each: -each.objective)
    starts = [each for each in order if each.generation == 0]
    return list({each.number: each for each in order[:FINALISTS] + starts[:1]}.values())


def fresh(request: GenerationConfig) -> GenerationConfig:
    """The pictures that choose: those of a search with other seeds, each several times where they are few."""
    most = MAX_WORK // (request.height * request.width * request.steps * request.images)
    times = max(min(-(-FRESH_IMAGES // request.images), most), 1)
    seeds = [seed + time * FRESH_SEEDS for time in range(1, times + 1) for seed in request.image_seeds]
    return request.replace(
        prompts=request.prompts * times, classes=request.classes * times, seeds=tuple(seed % 2**63 for seed in seeds)
    )


def ranked(
    among: Iterable[Evaluation], again: Mapping[Policy, Score], objective: Callable[[Score], float]
) -> list[Evaluation]:
    """Finalists by their scores on fresh pictures, ``again``, best first."""

    def value(each: Evaluation) -> float:
        found = objective(again[each.policy])
        return found if found == found else -float("inf")

    return sorted(among, key=lambda each: -value(each))
