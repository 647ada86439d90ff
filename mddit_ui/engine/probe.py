"""Watch one full-depth run: how alike features are, how fast residuals change."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.acting import Hook
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.hooks import attach
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.run import Call, Run, StepEvent
from mddit_ui.engine.sampling import sample, with_scheduler
from mddit_ui.engine.streams import Tensors, copies, learn
from mddit_ui.metrics.features import change, cosine, difference, norm
from mddit_ui.models.loading import LoadedModel


def probe(
    loaded: LoadedModel,
    config: GenerationConfig,
    *,
    ages: int = 4,
    on_step: Callable[[StepEvent], None] | None = None,
) -> Calibration:
    """What one full-depth run tells about every (step, site) cell; see ``Calibration``.

    Args:
        ages: how many steps back residuals are compared; that many of each site's are held during the run.

    Raises:
        ConfigError: ``ages`` is not positive, or the request does not fit the model.
    """
    if ages < 1:
        raise ConfigError(f"A probe compares residuals of at least 1 step before, got ages={ages}.")
    with loaded.lock:
        measured = measure(loaded, config)
        steps, sites = len(measured.timesteps), len(measured.table.sites)
        seen = Seen(steps, sites, ages, config.images)

        def observe(call: Call) -> None:
            if on_step is not None and call.is_first:
                on_step(StepEvent(call.step, steps))

        def hook(run: Run, index: int) -> Hook:
            return ProbeHook(run, index, seen)

        arguments = call_arguments(loaded, config)
        with with_scheduler(loaded, config), attach(loaded.pipe, None, observe, hook):
            seed_steps(loaded.pipe.scheduler, arguments["generator"])
            sample(loaded, arguments)
        return Calibration(
            model=loaded.spec.id,
            sites=measured.table.sites,
            timesteps=measured.timesteps,
            prompts=config.prompts or loaded.spec.captions(config),
            spreads=seen.spreads(),
            **seen.means(),
        )


class Seen:
    """The statistics of all cells, by image; calls of one step (guidance) are averaged.

    Numbers stay where they were made until all are there, so that an accelerator is never waited for.
    """

    def __init__(self, steps: int, sites: int, ages: int, images: int) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {
            "step_similarity": (steps, sites),
            "site_similarity": (steps, sites),
            "residual_change": (ages, steps, sites),
            "residual_size": (steps, sites),
        }
        self.ages = ages
        self.images = images
        self.found: dict[str, list[tuple[tuple[int, ...], torch.Tensor]]] = {name: [] for name in self.shapes}

    def add(self, name: str, where: tuple[int, ...], values: torch.Tensor, rows: int) -> None:
        """Values by row of a block's batch, where the transformer got ``rows`` rows: (guidance x images) of them.

        A block may see more rows than the transformer (frames of a video): those of one image follow each other.
        """
        if rows % self.images == 0 and len(values) % rows == 0:
            by_image = values.reshape(rows // self.images, self.images, -1).mean((0, 2))
        else:  # nobody can tell whose they are
            by_image = values.mean().expand(self.images)
        self.found[name].append((where, by_image))

    def by_image(self, name: str) -> np.ndarray:
        """(..., images); NaN where nothing was seen."""
        sums = np.zeros((*self.shapes[name], self.images))
        counts = np.zeros((*self.shapes[name], 1))
        if self.found[name]:
            for (where, _), values in zip(self.found[name], _together(self.found[name]), strict=True):
                sums[where] += values
                counts[where] += 1
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def means(self) -> dict[str, np.ndarray]:
        return {name: self.by_image(name).mean(-1) for name in self.shapes}

    def spreads(self) -> dict[str, np.ndarray]:
        """Standard deviations over the images."""
        return {name: self.by_image(name).std(-1) for name in self.shapes}


def _together(found: list[tuple[tuple[int, ...], torch.Tensor]]) -> np.ndarray:
    return torch.stack([values for _, values in found]).double().cpu().numpy()


class ProbeHook(Hook):
    """Runs its block untouched and compares what comes out with what went in and with the steps before."""

    def __init__(self, run: Run, index: int, seen: Seen) -> None:
        super().__init__()
        self.run = run
        self.index = index
        self.seen = seen
        self.outputs: dict[str, tuple[Tensors, torch.Tensor]] = {}  # of the step before and their norms, for each call
        self.residuals: dict[str, deque[Tensors]] = {}  # newest first

    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        streams = self.run.streams.get(self.index)
        before = copies(module, args, kwargs) if streams is None or streams.mutates else None
        output = self.original(module, *args, **kwargs)
        if streams is None:
            streams = self.run.streams[self.index] = learn(module, args, kwargs, output, before or {})
        inputs = streams.inputs(args, kwargs) if before is None else streams.inputs((), before)
        self._compare(inputs, streams.outputs(output))
        return output

    def _compare(self, inputs: Tensors, outputs: Tensors) -> None:
        slot, rows = self.run.slot, _rows(self.run)
        cell = (self.run.step, self.index)
        residual = difference(outputs, inputs)
        size, of_input, of_output = norm(residual), norm(inputs), norm(outputs)
        self.seen.add("site_similarity", cell, cosine(outputs, inputs, (of_output, of_input)), rows)
        self.seen.add("residual_size", cell, size / of_input.clamp(min=1e-12), rows)
        if slot in self.outputs:
            earlier, of_earlier = self.outputs[slot]
            self.seen.add("step_similarity", cell, cosine(outputs, earlier, (of_output, of_earlier)), rows)
        older = self.residuals.setdefault(slot, deque(maxlen=self.seen.ages))
        for age, old in enumerate(older):
            self.seen.add("residual_change", (age, *cell), change(residual, old, size), rows)
        older.appendleft(residual)
        self.outputs[slot] = outputs, of_output


def _rows(run: Run) -> int:
    """The batch of this call of the transformer."""
    slot = run.slots[run.slot]
    first = slot.args[0] if slot.args else slot.kwargs.get("hidden_states", next(iter(slot.kwargs.values())))
    return len(first)
