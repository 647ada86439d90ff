"""Bad candidates leave early: who is behind the others after some of the prompts is not finished."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mddit_ui.core.records import Score

Objective = Callable[[Score], float]


@dataclass(frozen=True)
class Race:
    """What the policies of one generation must have reached to go on.

    Args:
        rungs: (images, least objective on so many first images), rising.
    """

    objective: Objective
    rungs: tuple[tuple[int, float], ...] = ()

    def ends(self, images: int) -> list[int]:
        """After how many images to look, and all of them."""
        return [*(rung for rung, _ in self.rungs if rung < images), images]

    def leaves(self, score: Score) -> bool:
        """Whether a policy with this score on its first images is not worth the others."""
        least = dict(self.rungs).get(score.images)
        return least is not None and not self.objective(score) >= least


@dataclass(frozen=True)
class Racing:
    """Successive halving, Jamieson and Talwalkar 2016 (arXiv 1502.07943), against the generations before.

    What a candidate has to reach depends on earlier generations alone, so it needs nobody beside it, may be evaluated
    in any order, and does the same again when the search is taken up.

    Args:
        images: of a whole evaluation; rungs: of its first parts, rising; () for no race.
        share: of the others that must be worse; least: finished evaluations before the first race.
        window: how many of the last evaluations count.
    """

    images: int
    rungs: tuple[int, ...] = ()
    share: float = 0.5
    least: int = 16
    window: int = 40

    @classmethod
    def halving(cls, images: int) -> "Racing":
        """A look after a quarter and after half of the images."""
        return cls(images, tuple(sorted({images // 4, images // 2} - {0, images})))

    def race(self, objective: Objective, before: Sequence[Score]) -> Race:
        """The race of the next generation, given all scores before it in their order."""
        finished = [score for score in before if score.images == self.images and score.clip_scores]
        if not self.rungs or len(finished) < self.least:
            return Race(objective)
        return Race(objective, tuple((rung, self._bar(objective, before, rung)) for rung in self.rungs))

    def value(self, objective: Objective, score: Score, before: Sequence[Score]) -> float:
        """The objective; of a candidate that left, what it would have been, and never among the better half.

        To its objective on the first images is added what all images gave more than those, to the others.
        """
        value = objective(score)
        finished = [each for each in before if each.images == self.images and each.clip_scores][-self.window :]
        if score.images >= self.images or not finished:
            return value
        whole = np.array([objective(each) for each in finished])
        part = np.array([objective(first(each, score.images)) for each in finished])
        return float(min(value + np.mean(whole - part), np.quantile(whole, self.share)))

    def _bar(self, objective: Objective, before: Sequence[Score], rung: int) -> float:
        there = [score for score in before if score.images >= rung and score.clip_scores][-self.window :]
        return float(np.quantile([objective(first(score, rung)) for score in there], self.share))


def first(score: Score, images: int) -> Score:
    """The score of the first images alone, from the values of each."""
    clip, psnr = score.clip_scores[:images], score.psnrs[:images]
    return Score(
        clip_score=float(np.mean(clip)) if clip else None,
        clip_backbone=score.clip_backbone,
        clip_scores=clip,
        psnr=float(np.mean(psnr)) if psnr else None,
        psnrs=psnr,
        images=images,
    )
