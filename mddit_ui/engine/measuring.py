"""What one evaluation of a model costs, told by a run of its pipeline in which nothing is computed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import ConfigError, ModelError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.adapters import adapter, call_arguments
from mddit_ui.engine.macs import Count, Counter, meta_twin
from mddit_ui.engine.sampling import sample, with_scheduler
from mddit_ui.models.loading import LoadedModel
from mddit_ui.models.routed_dit import is_routed
from mddit_ui.models.sites import find_sites


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one evaluation of the model costs, for one image, guidance counted."""

    table: MacTable  # of the blocks
    residual_bytes: tuple[int, ...]  # one residual of each block
    timesteps: tuple[float, ...]  # of the run that was asked for
    branches: MacTable | None = None  # of the branches of the blocks, where they have any
    without_attention: MacTable | None = None  # ``table`` as ECAD counts; see ``macs.Count``
    rest: Mapping[str, float] = field(default_factory=dict)  # ``table.rest_macs`` by parts of the transformer


def measure(loaded: LoadedModel, config: GenerationConfig) -> Measurement:
    """What one evaluation of the model costs: counted in a run of the pipeline in which nothing is computed."""
    with loaded.lock:
        timesteps = _timesteps(loaded, config)
        key = ("measurement", config.height, config.width, config.guidance_scale > 1)
        if key not in loaded.memo:
            loaded.memo[key] = _measure(loaded, config)
        return replace(loaded.memo[key], timesteps=timesteps)


def measure_macs(loaded: LoadedModel, config: GenerationConfig) -> MacTable:
    """MACs of one model evaluation (one image, guidance counted)."""
    return measure(loaded, config).table


def measure_around(loaded: LoadedModel, config: GenerationConfig) -> dict[str, float]:
    """MACs of one image outside of the transformer, once a run: its text encoders, and its VAE's decoder."""
    counted: dict[str, float] = {}

    def counting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            with FlopCounterMode(display=False) as counter:
                output = original(*args, **kwargs)
            counted[name] = counted.get(name, 0.0) + counter.get_total_flops() / 2
            return output

        return forward

    with loaded.lock, ExitStack() as stack:
        kept = loaded.memo.pop("embeddings", {})  # prompts are encoded anew
        stack.callback(loaded.memo.__setitem__, "embeddings", kept)
        for name, module in loaded.pipe.components.items():
            if isinstance(module, torch.nn.Module) and name.startswith("text_encoder"):
                stack.enter_context(_calling(module, counting(name, module.forward)))
        _, latents = _dry_run(loaded, config.replace(steps=2, scheduler="default"), _shaped(loaded))
        return {**counted, "vae": _decoding(loaded.pipe.vae, latents)}


@torch.no_grad()
def _decoding(vae: Any, latents: torch.Tensor) -> float:
    """MACs of decoding, on the meta device where the VAE can do without numbers."""
    twin: Any = meta_twin(vae)
    for module, device in ((twin, "meta"), (vae, latents.device)):
        try:
            with FlopCounterMode(display=False) as counter:
                module.decode(latents.to(device, vae.dtype))
            break
        except (RuntimeError, NotImplementedError, TypeError):
            if module is vae:
                raise
    return counter.get_total_flops() / 2


def _measure(loaded: LoadedModel, config: GenerationConfig) -> Measurement:
    transformer = loaded.transformer
    blocks = [site.name for site in find_sites(transformer)]
    try:
        branches = [site.name for site in find_sites(transformer, "branch")]
    except ModelError:
        branches = []
    counters = {kind: Counter(transformer, names) for kind, names in (("block", blocks), ("branch", branches)) if names}
    counted: dict[str, list[Count]] = {kind: [] for kind in counters}
    routed: list[np.ndarray] = []  # shares of each call; equal calls, equal weights
    sizes: list[tuple[int, ...]] = []  # of one residual of each block, for each call

    def count(*args: Any, **kwargs: Any) -> Any:
        for kind, counter in counters.items():
            counted[kind].append(counter.count(args, kwargs))
        if is_routed(transformer):
            routed.append(counters["block"].by_tokens(args, kwargs))
        sizes.append(tuple(counters["block"].site_bytes.values()))
        return counted["block"][-1].output

    evaluations = len(_dry_run(loaded, config.replace(steps=2, scheduler="default"), count)[0])
    calls = counted["block"]
    table = _per_evaluation([call.table for call in calls], evaluations)
    return Measurement(
        table=replace(table, routed=np.mean(routed, 0)) if routed else table,
        residual_bytes=tuple(round(sum(of_calls) / evaluations) for of_calls in zip(*sizes, strict=True)),
        timesteps=(),
        branches=_per_evaluation([call.table for call in counted["branch"]], evaluations) if branches else None,
        without_attention=_per_evaluation([call.without_attention for call in calls], evaluations),
        rest={part: sum(call.rest.get(part, 0.0) for call in calls) / evaluations for part in calls[0].rest},
    )


def _timesteps(loaded: LoadedModel, config: GenerationConfig) -> tuple[float, ...]:
    """The timesteps of a run, one for each model evaluation.

    Raises:
        ConfigError: the pipeline can't work with that sampler.
    """
    if adapter(loaded.pipe).latent:
        with with_scheduler(loaded, config):
            loaded.pipe.scheduler.set_timesteps(config.steps)
            return tuple(float(t) for t in loaded.pipe.scheduler.timesteps)
    # Many pipelines set the noise levels themselves, by the size of the image or by a rule of their own.
    key = ("timesteps", config.scheduler, config.steps, config.height, config.width)
    if key not in loaded.memo:
        try:
            loaded.memo[key] = _dry_run(loaded, config, _shaped(loaded))[0]
        except (ValueError, TypeError) as error:
            if config.scheduler == "default":
                raise
            raise ConfigError(
                f"The sampler {config.scheduler!r} does not fit {type(loaded.pipe).__name__}; choose another one. "
                f"({str(error).strip().splitlines()[0][:200]})"
            ) from error
    return loaded.memo[key]


def _shaped(loaded: LoadedModel) -> Callable[..., Any]:
    """Answers every call of the transformer with the shape of its output."""
    counter = Counter(loaded.transformer, ())
    outputs: list[Any] = []

    def answer(*args: Any, **kwargs: Any) -> Any:
        if not outputs:
            outputs.append(counter.count(args, kwargs).output)
        return outputs[0]

    return answer


def _dry_run(
    loaded: LoadedModel, config: GenerationConfig, answer: Callable[..., Any]
) -> tuple[tuple[float, ...], torch.Tensor]:
    """Run the pipeline for one image with zeros, in the shape of what ``answer`` gives, for the model's output.

    Gives the timesteps of the run, and its latents.
    """
    transformer = loaded.transformer
    one = config.replace(prompts=config.prompts[:1], classes=config.classes[:1], seeds=config.seeds[:1])

    def forward(*args: Any, **kwargs: Any) -> Any:
        return tree_map(lambda value: _zeros(value, loaded.device), answer(*args, **kwargs))

    with with_scheduler(loaded, one), _calling(transformer, forward):
        latents, _ = sample(loaded, call_arguments(loaded, one))
        return tuple(float(t) for t in loaded.pipe.scheduler.timesteps), latents


@contextmanager
def _calling(module: torch.nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """The module with another forward for a moment."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before


def _per_evaluation(counted: list[MacTable], evaluations: int) -> MacTable:
    site_macs = np.sum([table.site_macs for table in counted], 0) / evaluations
    return MacTable(counted[0].sites, site_macs, sum(table.rest_macs for table in counted) / evaluations)


def _zeros(value: Any, device: str) -> Any:
    if not isinstance(value, torch.Tensor) or not value.is_meta:
        return value
    return torch.zeros(value.shape, dtype=value.dtype, device=device)
