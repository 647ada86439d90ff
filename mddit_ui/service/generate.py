"""Make pictures, and say how good they are."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mddit_ui.core.inpainting import Inpainting
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, RunResult, Score
from mddit_ui.core.tokens import TokenChoice
from mddit_ui.engine.memo import Memo, Part
from mddit_ui.engine.packing import Packing
from mddit_ui.engine.run import StepEvent
from mddit_ui.engine.runner import generate as run
from mddit_ui.metrics.clip import ClipScorer
from mddit_ui.metrics.fidelity import latent_error, psnr, ssim
from mddit_ui.models.loading import load
from mddit_ui.models.registry import get_model

MAX_PSNR = 100.0  # stands for "equal" in means and records, which know no infinity


def generate(
    model_id: str,
    policy: Policy | None,
    config: GenerationConfig,
    *,
    on_step: Callable[[StepEvent], None] | None = None,
    previews: bool = False,
    memo: Memo | Part | None = None,
    tokens: TokenChoice = "routers",
    inpainting: Inpainting | None = None,
    packing: Packing = "off",
) -> RunResult:
    """Pictures of a config under a policy (``None``: full depth); ``on_step`` may raise ``Cancelled``."""
    return run(
        load(model_id),
        policy,
        config,
        on_step=on_step,
        previews=previews,
        memo=memo,
        tokens=tokens,
        inpainting=inpainting,
        packing=packing,
    )


def score(model_id: str, result: RunResult, config: GenerationConfig, *, reference: RunResult | None = None) -> Score:
    """How good the pictures of a run are; against ``reference`` (full depth, same seeds) if it is given."""
    spec = get_model(model_id)
    captions = spec.captions(config)
    values: dict[str, Any] = {}
    if spec.clip and captions:
        scorer = ClipScorer.load(spec.clip)
        scores = scorer.score(result.images, captions)
        values = {
            "clip_score": float(scores.mean()),
            "clip_backbone": scorer.backbone,
            "clip_scores": tuple(scores.tolist()),
        }
    if reference is not None:
        closeness = np.minimum(psnr(result.images, reference.images), MAX_PSNR)
        values |= {
            "psnr": float(closeness.mean()),
            "psnrs": tuple(closeness.tolist()),
            "ssim": float(ssim(result.images, reference.images).mean()),
            "latent_error": float(latent_error(result.latents, reference.latents).mean()),
        }
    return Score(images=len(result.images), **values)
