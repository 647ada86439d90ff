"""The best of many on a few pictures is lucky: fresh pictures, and more of them, choose among a few finalists.

They choose twice: round which starting policy the search goes, and what it has found in the end.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

import numpy as np

from mddit_ui.core.policy import Policy
from mddit_ui.core.records import MAX_WORK, GenerationConfig, Score
from mddit_ui.search.loop import Evaluation

FINALISTS = 4  # and as many starting policies
FRESH_IMAGES = 24  # at least; docs/LOG.md has what fewer of them miss
CLEAR = 2.0  # standard errors by which a planned start has to be ahead: the best of a few is lucky
FRESH_SEEDS = 1_000_003  # between the seeds of a picture and those of its repetitions (torch on a CPU heeds 32 bits)


def finalists(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Those with the highest finite objectives, best first, and the best starting policies.

    These are the finalists of the starts alone, too, so that they are judged before the search goes on.
    """
    finite = [each for each in evaluations if each.objective == each.objective]
    order = sorted(finite, key=lambda each: -each.objective)
    starts = [each for each in order if each.generation == 0]
    return list({each.number: each for each in order[:FINALISTS] + starts[:FINALISTS]}.values())


def fresh(request: GenerationConfig) -> GenerationConfig:
    """The pictures that choose: those of a search with other seeds, each several times where they are few."""
    most = MAX_WORK // (request.height * request.width * request.steps * request.images)
    times = max(min(-(-FRESH_IMAGES // request.images), most), 1)
    seeds = [seed + time * FRESH_SEEDS for time in range(1, times + 1) for seed in request.image_seeds]
    return request.replace(
        prompts=request.prompts * times, classes=request.classes * times, seeds=tuple(seed % 2**63 for seed in seeds)
    )


class Jury:
    """Ranks finalists by their scores on fresh pictures, each policy scored once.

    Args:
        evaluate: scores policies on the fresh pictures.
        objective: of a score; higher is better, NaN is worst.
        known: scores from before, by digest.
        keep: called with each new score, as soon as it is known.
    """

    def __init__(
        self,
        evaluate: Callable[[Iterable[Policy]], Iterator[tuple[Policy, Score]]],
        objective: Callable[[Score], float],
        known: Mapping[str, Score],
        keep: Callable[[Evaluation, Score], None],
    ) -> None:
        self._evaluate, self._objective, self._keep = evaluate, objective, keep
        self._scores = dict(known)

    def __call__(self, evaluations: Iterable[Evaluation]) -> list[Evaluation]:
        """The finalists of these evaluations, best first; of equals, the one that was better before."""
        among = finalists(evaluations)
        if new := {each.policy: each for each in among if each.policy.digest not in self._scores}:
            for policy, score in self._evaluate(new):
                self._scores[policy.digest] = score
                self._keep(new[policy], score)
        return sorted(among, key=self._loss)

    def starts(self, given: Sequence[Evaluation], planned: Sequence[Evaluation]) -> list[Evaluation]:
        """The best starts, best first; planned ones only where they are clearly ahead of the best of those given."""
        ranked = self(given)
        if not ranked:  # none of them gave finite pictures
            return self(planned)
        if not planned:
            return ranked
        best = self._values(ranked[0])
        clear = [each for each in self([*given, *planned]) if each in planned and _clear(self._values(each), best)]
        return [*clear, *ranked]

    def _values(self, evaluation: Evaluation) -> np.ndarray:
        """(images,) objective of each fresh picture."""
        score = self._scores[evaluation.policy.digest]
        each = zip_longest(score.clip_scores, score.psnrs)
        return np.array([self._objective(Score(clip_score=clip, psnr=psnr)) for clip, psnr in each])

    def _loss(self, evaluation: Evaluation) -> float:
        value = self._objective(self._scores[evaluation.policy.digest])
        return -value if value == value else float("inf")


def _clear(values: np.ndarray, others: np.ndarray) -> bool:
    """Whether pictures are better by more than twice the standard error of the mean; never where some are missing."""
    if len(values) != len(others) or len(values) < 2:
        return False
    gains = values - others
    return bool(gains.mean() > CLEAR * gains.std(ddof=1) / np.sqrt(len(gains)))
