"""What the engine is timed on: a model with its pipeline, or a large shape with random weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import DiTTransformer2DModel, PixArtTransformer2DModel
from torch import nn

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.macs import Counter
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.sampling import sample, with_scheduler
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.sites import find_sites


@dataclass(frozen=True, eq=False)
class Subject:
    """A transformer that can be run again and again.

    Args:
        target: what a policy is applied to: a pipeline, or the transformer itself.
        steps: model evaluations of a run; images: of a run.
        table: MACs of one evaluation, all images, guidance counted.
        residual_bytes: (sites,) one residual, all images.
        run: one run; what it gives (latents).
    """

    title: str
    transformer: nn.Module
    target: Any
    steps: int
    images: int
    table: MacTable
    residual_bytes: np.ndarray
    run: Callable[[], torch.Tensor]

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device


def of_model(loaded: LoadedModel, config: GenerationConfig) -> Subject:
    """A model in its pipeline; decoding is left out where the pipeline lets us."""
    measured = measure(loaded, config)

    def run() -> torch.Tensor:
        with loaded.lock, with_scheduler(loaded, config):
            arguments = call_arguments(loaded, config)
            seed_steps(loaded.pipe.scheduler, arguments["generator"])
            return sample(loaded, arguments)[0]

    one = measured.table
    return Subject(
        title=f"{loaded.spec.id}, {loaded.dtype} on {loaded.device}",
        transformer=loaded.transformer,
        target=loaded.pipe,
        steps=len(measured.timesteps),
        images=config.images,
        table=MacTable(one.sites, one.site_macs * config.images, one.rest_macs * config.images),
        residual_bytes=np.array(measured.residual_bytes) * config.images,
        run=run,
    )


class Shape(NamedTuple):
    """The size of a model, without its weights."""

    kind: str  # "dit" or "pixart"
    blocks: int
    heads: int
    width_of_head: int
    sizes: tuple[int, ...]  # pixels a side
    words: tuple[int, int] = (0, 0)  # (n, d) that the text encoder gives


SHAPES = {
    "dit-xl-2": Shape("dit", 28, 16, 72, (256, 512)),
    "pixart-xl-2": Shape("pixart", 28, 16, 72, (256, 512, 1024), (120, 4096)),
    "tiny-dit": Shape("dit", 2, 2, 8, (64,)),
    "tiny-pixart": Shape("pixart", 2, 2, 8, (64,), (4, 16)),
}


def of_shape(name: str, size: int, *, steps: int, images: int, device: str, dtype: torch.dtype) -> Subject:
    """A transformer with random weights, guided, called as its pipeline would call it.

    Raises:
        ConfigError: no such shape.
    """
    if name not in SHAPES:
        raise ConfigError(f"No shape {name[:40]!r}; known are {', '.join(SHAPES)}.")
    shape = SHAPES[name]
    torch.manual_seed(0)
    with torch.device(device):
        transformer = nn.Module.to(_build(shape, size), dtype).eval().requires_grad_(False)
        latents = torch.randn(2 * images, 4, size // 8, size // 8, dtype=dtype)
        more = _conditions(shape, 2 * images, dtype)
    names = [site.name for site in find_sites(transformer)]
    timesteps = torch.linspace(999, 0, steps).long().to(device)

    @torch.no_grad()
    def run() -> torch.Tensor:
        output = latents
        for timestep in timesteps:
            output = transformer(latents, timestep=timestep.expand(2 * images), return_dict=False, **more)[0]
        return output

    counter = Counter(transformer, names)
    table = counter.count((latents,), {"timestep": timesteps[:1].expand(2 * images), **more}).table
    return Subject(
        title=f"{name} at {size} px, random weights, {str(dtype).removeprefix('torch.')} on {device}",
        transformer=transformer,
        target=transformer,
        steps=steps,
        images=images,
        table=table,
        residual_bytes=np.array(list(counter.site_bytes.values())),
        run=run,
    )


def _build(shape: Shape, size: int) -> Any:
    common: dict[str, Any] = {
        "num_layers": shape.blocks,
        "num_attention_heads": shape.heads,
        "attention_head_dim": shape.width_of_head,
        "sample_size": size // 8,
        "in_channels": 4,
        "out_channels": 8,
    }
    if shape.kind == "dit":
        return DiTTransformer2DModel(**common, num_embeds_ada_norm=1000, norm_elementwise_affine=False)
    width = shape.heads * shape.width_of_head
    return PixArtTransformer2DModel(
        **common, cross_attention_dim=width, caption_channels=shape.words[1], use_additional_conditions=False
    )


def _conditions(shape: Shape, rows: int, dtype: torch.dtype) -> dict[str, Any]:
    if shape.kind == "dit":
        return {"class_labels": torch.arange(rows) % 1000}
    return {
        "encoder_hidden_states": torch.randn(rows, *shape.words, dtype=dtype),
        "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
    }
