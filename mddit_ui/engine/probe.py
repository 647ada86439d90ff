"""Watch one full-depth run: how alike features are, how fast residuals change."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import Calibration, GenerationConfig
from mddit_ui.engine.acting import Call, Hook, Run, StepEvent
from mddit_ui.engine.adapters import call_arguments, seed_steps
from mddit_ui.engine.hooks import attach
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.sampling import sample, with_scheduler
from mddit_ui.engine.streams import Tensors, copies, learn
from mddit_ui.metrics.features import change, cosine, norm
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
        seen = Seen(steps, sites, ages)

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
            step_similarity=seen.mean("step_similarity"),
            site_similarity=seen.mean("site_similarity"),
            residual_change=seen.mean("residual_change"),
            residual_size=seen.mean("residual_size"),
            prompts=config.prompts,
        )


class Seen:
    """The statistics of all cells; those with several calls a step are averaged over the calls."""

    def __init__(self, steps: int, sites: int, ages: int) -> None:
        shapes = {
            "step_similarity": (steps, sites),
            "site_similarity": (steps, sites),
            "residual_change": (ages, steps, sites),
            "residual_size": (steps, sites),
        }
        self.ages = ages
        self.sums = {name: np.zeros(shape) for name, shape in shapes.items()}
        self.counts = {name: np.zeros(shape, int) for name, shape in shapes.items()}

    def add(self, name: str, where: tuple[int, ...], value: float) -> None:
        self.sums[name][where] += value
        self.counts[name][where] += 1

    def mean(self, name: str) -> np.ndarray:
        """NaN where nothing was seen."""
        count = self.counts[name]
        return np.where(count > 0, self.sums[name] / np.maximum(count, 1), np.nan)


class ProbeHook(Hook):
    """Runs its block untouched and compares what comes out with what went in and with the steps before."""

    def __init__(self, run: Run, index: int, seen: Seen) -> None:
        super().__init__()
        self.run = run
        self.index = index
        self.seen = seen
        self.outputs: dict[str, Tensors] = {}  # of the step before, for each call of a step
        self.residuals: dict[str, deque[Tensors]] = {}  # newest first

    def new_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        before = copies(module, args, kwargs)
        output = self.original(module, *args, **kwargs)
        streams = self.run.streams.get(self.index)
        if streams is None:
            streams = self.run.streams[self.index] = learn(module, args, kwargs, output, before)
        inputs, outputs = streams.inputs((), before), streams.outputs(output)
        residual = tuple(
            None if one is None or two is None else one - two for one, two in zip(outputs, inputs, strict=True)
        )
        cell = (self.run.step, self.index)
        slot = self.run.slot
        self.seen.add("site_similarity", cell, cosine(outputs, inputs))
        self.seen.add("residual_size", cell, float((norm(residual) / norm(inputs).clamp(min=1e-12)).mean()))
        if slot in self.outputs:
            self.seen.add("step_similarity", cell, cosine(outputs, self.outputs[slot]))
        older = self.residuals.setdefault(slot, deque(maxlen=self.seen.ages))
        for age, old in enumerate(older):
            self.seen.add("residual_change", (age, *cell), change(residual, old))
        older.appendleft(residual)
        self.outputs[slot] = outputs
        return output
