"""What models there are, and what a run of one would cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from mddit_ui.core.cost import MacTable
from mddit_ui.core.records import GenerationConfig, ModelSpec, SchedulerName
from mddit_ui.engine.measuring import measure, measure_around
from mddit_ui.models.loading import load, precision
from mddit_ui.models.registry import get_model, list_models
from mddit_ui.models.skip_dit import long_skips

__all__ = ["ModelView", "around", "describe", "get_model", "list_models", "one_image", "precision"]


@dataclass(frozen=True, eq=False)
class ModelView:
    """A model and the grid of a run of it.

    Args:
        sites: names of the columns, in the order in which they run.
        timesteps: (rows,) one for each model evaluation (Heun makes 2 n - 1 of n steps).
        mac_table: one evaluation, one image, guidance counted.
        residual_bytes: one site's residual for one image, guidance counted; the largest where they differ.
        without_attention: ``mac_table`` by ECAD's convention, which leaves the products of attention out.
        rest: what ``mac_table.rest_macs`` is made of.
        skips: (from, to) columns of the long skip branches.
        numbers: precision and device that were chosen for this machine, for people.
        branches: the same run with a column for each branch of a block, where the blocks have any.
    """

    spec: ModelSpec
    sites: tuple[str, ...]
    timesteps: tuple[float, ...]
    mac_table: MacTable
    residual_bytes: int
    without_attention: MacTable | None = None
    rest: Mapping[str, float] = field(default_factory=dict)
    skips: tuple[tuple[int, int], ...] = ()
    numbers: str = ""
    branches: "ModelView | None" = None

    def of_width(self, columns: int) -> "ModelView":
        """The grid for a policy of so many columns: that of the branches, if it fits, else that of the blocks."""
        finer = self.branches
        return finer if finer is not None and columns == len(finer.sites) != len(self.sites) else self


def describe(model_id: str, steps: int, scheduler: str = "default") -> ModelView:
    """The grid of a model at its own size and guidance. Loads it."""
    loaded = load(model_id)
    measured = measure(loaded, one_image(loaded.spec, steps, scheduler))
    view = ModelView(
        spec=loaded.spec,
        sites=measured.table.sites,
        timesteps=measured.timesteps,
        mac_table=measured.table,
        residual_bytes=max(measured.residual_bytes, default=0),
        without_attention=measured.without_attention,
        rest=measured.rest,
        skips=_skips(loaded.transformer, measured.table.sites),
        numbers=f"{loaded.dtype} on {loaded.device}",
    )
    if (parts := measured.branches) is None:
        return view
    finer = replace(view, sites=parts.sites, mac_table=parts, without_attention=None, rest={}, skips=())
    return replace(view, branches=finer)


def _skips(transformer: Any, sites: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((sites.index(read), sites.index(reader)) for read, reader in long_skips(transformer, sites).items())


def around(model_id: str) -> dict[str, float]:
    """MACs of one image outside of the transformer, once a run: text encoders, VAE. Loads the model."""
    loaded = load(model_id)
    return measure_around(loaded, one_image(loaded.spec, 2, "default"))


def one_image(spec: ModelSpec, steps: int, scheduler: str = "default") -> GenerationConfig:
    """The smallest request that a model takes, to ask what a run of it is like."""
    subject: dict[str, Any] = {"prompts": ("a",)} if spec.conditioning == "prompt" else {"classes": (0,)}
    return GenerationConfig(
        **subject,
        steps=steps,
        guidance_scale=spec.guidance_scale,
        scheduler=cast(SchedulerName, scheduler),  # checked by the record
        height=spec.height,
        width=spec.width,
    )
