"""Score policies: one on many prompts, or many on a few prompts for a search."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from mddit_ui.core.errors import NotFiniteError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, RunResult, Score
from mddit_ui.engine.memo import Memo
from mddit_ui.engine.packing import Packing
from mddit_ui.search.racing import Race
from mddit_ui.search.ray_pool import RayPool
from mddit_ui.service.batches import batches
from mddit_ui.service.generate import generate, score
from mddit_ui.service.pool import Pool

Request = tuple[str, GenerationConfig, bool]  # what ``make_evaluator`` takes


def evaluate(
    model_id: str,
    policy: Policy | None,
    config: GenerationConfig,
    *,
    reference: RunResult | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> Score:
    """The score of a policy over all prompts of a config, against full depth with the same seeds.

    Args:
        reference: the full-depth run, if it is there already; else it is made.
        on_image: called with (images done, images in all) between batches; may raise ``Cancelled``.
    """
    total = config.images * (1 if reference is not None else 2)

    def done(before: int) -> Callable[[int], None]:
        return lambda images: on_image(before + images, total) if on_image is not None else None

    if reference is None:
        reference = _generate(model_id, None, config, done(0))
        result = _generate(model_id, policy, config, done(config.images))
    else:
        result = _generate(model_id, policy, config, done(0))
    return score(model_id, result, config, reference=reference)


class Evaluator:
    """Scores policies on one set of prompts and seeds; what they have in common is made once.

    That is full depth, the text embeddings, and the blocks of their first steps as far as those are equal.

    Args:
        quick: all of them, full depth too, are run a little less exactly on a CPU; see ``engine.packing``.
    """

    def __init__(self, model_id: str, config: GenerationConfig, *, quick: bool = False) -> None:
        self.model_id = model_id
        self.config = config
        self.packing: Packing = "quick" if quick else "exact"
        self.memo = Memo()
        self.reference = _generate(model_id, None, config, packing=self.packing)
        self.reference_score = score(model_id, self.reference, config, reference=self.reference)

    def __call__(self, policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]:
        """Each policy with its score; ``Score()`` where its pictures are not finite."""
        for policy in policies:
            yield policy, self.score(policy, race)

    def score(self, policy: Policy, race: Race | None = None) -> Score:
        """On all images; on the first of them where the policy leaves the race."""
        ends = [self.config.images] if race is None else race.ends(self.config.images)
        results: list[RunResult] = []
        for start, end in pairwise([0, *ends]):
            try:
                part = _part(self.config, slice(start, end))
                results.append(_generate(self.model_id, policy, part, memo=self.memo, packing=self.packing))
            except NotFiniteError:
                return Score()
            found = score(
                self.model_id, _joined(results), _part(self.config, slice(end)), reference=_first(self.reference, end)
            )
            if race is not None and race.leaves(found):
                break
        return found


@lru_cache(maxsize=2)
def make_evaluator(model_id: str, config: GenerationConfig, quick: bool = False) -> Evaluator:
    """The evaluator of a model and a request, made once a process: full depth and the text embeddings are made here."""
    return Evaluator(model_id, config, quick=quick)


class PooledEvaluator:
    """As ``Evaluator``, bit for bit, in the processes of a pool or the actors of a cluster."""

    def __init__(self, pool: Pool | RayPool, model_id: str, config: GenerationConfig, *, quick: bool = False) -> None:
        self._pool = pool
        self._request: Request = (model_id, config, quick)
        self._scored = partial(_scored, self._request)  # one for all calls: the pool learns how long it takes

    @property
    def reference_score(self) -> Score:
        ((_, found),) = self._pool.map(_reference, [self._request])
        return found

    def __call__(self, policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]:
        for (policy, _), found in self._pool.map(self._scored, ((policy, race) for policy in policies)):
            yield policy, found


def _reference(request: Request) -> Score:
    return make_evaluator(*request).reference_score


def _scored(request: Request, asked: tuple[Policy, Race | None]) -> Score:
    return make_evaluator(*request).score(*asked)


def _generate(
    model_id: str,
    policy: Policy | None,
    config: GenerationConfig,
    done: Callable[[int], None] | None = None,
    memo: Memo | None = None,
    packing: Packing = "off",
) -> RunResult:
    """All images of a config, in batches; ``memo``: what they share with other policies."""
    results = []
    for part in batches(config.images):
        batch = _part(config, part)
        shared = None if memo is None else memo.part((batch.prompts, batch.classes, batch.image_seeds))
        results.append(generate(model_id, policy, batch, memo=shared, packing=packing))
        if done is not None:
            done(part.stop)
    return _joined(results)


def _part(config: GenerationConfig, part: slice) -> GenerationConfig:
    """Some of the images of a request."""
    return config.replace(prompts=config.prompts[part], classes=config.classes[part], seeds=config.image_seeds[part])


def _first(result: RunResult, images: int) -> RunResult:
    return replace(result, images=result.images[:images], latents=result.latents[:images])


def _joined(results: Sequence[RunResult]) -> RunResult:
    return replace(
        results[0],
        images=np.concatenate([result.images for result in results]),
        latents=np.concatenate([result.latents for result in results]),
        wall_seconds=sum(result.wall_seconds for result in results),
        transformer_seconds=sum(result.transformer_seconds for result in results),
        macs=sum(result.macs for result in results),
        full_macs=sum(result.full_macs for result in results),
        peak_cache_bytes=max(result.peak_cache_bytes for result in results),
    )
