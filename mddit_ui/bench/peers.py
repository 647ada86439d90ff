"""Other caches on the same model, and a policy of whole steps at the MACs that each of them takes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mddit_ui.bench.subjects import Subject
from mddit_ui.bench.timing import Arrangement, Spread, interleaved, macs_of, speed_up
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.cachedit import is_installed
from mddit_ui.engine.caches import METHODS, under
from mddit_ui.engine.hooks import attach
from mddit_ui.engine.sampling import decode
from mddit_ui.metrics.fidelity import latent_error, psnr
from mddit_ui.models.loading import LoadedModel

UNTOUCHED = "untouched"
HALVINGS = 7  # of the interval in which a threshold is looked for

Knob = Callable[[float], Arrangement]  # a cache by its one number


class Row(NamedTuple):
    """One cache at work; errors are means over the images, against full depth."""

    name: str
    budget: float  # MACs counted in the run / MACs of the untouched model
    speed_up: Spread
    psnr: float
    latent_error: float


@dataclass(frozen=True)
class Peer:
    """A cache whose MACs are set by one number: a threshold (found by halving), or one of several values."""

    name: str
    knob: Knob
    values: Sequence[float] = ()
    highest: float = 1.0


def peers(loaded: LoadedModel, steps: int) -> list[Peer]:
    """Those that are installed."""

    def knob(method: str, number: str, **fixed: float) -> Knob:
        return lambda value: lambda: under(loaded, METHODS[method].put_on, steps=steps, **fixed, **{number: value})

    found = [
        Peer("diffusers FirstBlockCache", knob("first-block-cache", "threshold")),
        Peer("diffusers TaylorSeer, order 1", knob("taylorseer", "interval", warmup=2, order=1), (2, 3, 4, 5)),
    ]
    if is_installed():
        found.append(Peer("cache-dit DBCache F1B0", knob("cache-dit", "threshold", warmup=2)))
        found.append(Peer("cache-dit DBCache F1B0, TaylorSeer", knob("cache-dit", "threshold", warmup=2, order=1)))
    return found


def measure(
    loaded: LoadedModel,
    config: GenerationConfig,
    subject: Subject,
    budget: float,
    rounds: int,
    same_macs: Callable[..., Policy],
) -> list[Row]:
    """Each cache at about ``budget``, then the policy that ``same_macs(table, steps, budget)`` makes of its MACs."""
    full, reference = macs_of(subject, nullcontext)
    arrangements: dict[str, Arrangement] = {}
    for peer in peers(loaded, subject.steps):
        value = _setting(subject, peer, budget * full)
        name = f"{peer.name}, {value:.3g}"
        arrangements[name] = peer.knob(value)
        policy = same_macs(subject.table, subject.steps, macs_of(subject, arrangements[name])[0] / full)
        arrangements[f"policy at the MACs of {name}"] = _under(subject, policy)
    seen = {name: macs_of(subject, arrangement) for name, arrangement in arrangements.items()}
    seconds = interleaved(subject, {UNTOUCHED: nullcontext, **arrangements}, rounds)
    pictures = decode(loaded, reference)
    return [
        Row(
            name,
            macs / full,
            speed_up(seconds, name, UNTOUCHED),
            float(np.minimum(psnr(decode(loaded, latents), pictures), 100).mean()),
            float(latent_error(_array(latents), _array(reference)).mean()),
        )
        for name, (macs, latents) in seen.items()
    ]


def markdown(rows: Sequence[Row], subject: Subject) -> Iterator[str]:
    yield f"{subject.title}, {subject.images} images, {subject.steps} steps; MACs as counted in the run"
    yield ""
    yield "| cache | budget | promised by MACs | speed-up | of the promise | PSNR, dB | latent error |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        speed, error = row.speed_up
        speeds = f"{1 / row.budget:.3f} | {speed:.3f} | {speed * row.budget:.1%} +- {error * row.budget:.1%}"
        yield f"| {row.name} | {row.budget:.3f} | {speeds} | {row.psnr:.2f} | {row.latent_error:.2e} |"


def _setting(subject: Subject, peer: Peer, macs: float) -> float:
    """The number at which a cache comes nearest to these MACs."""

    def counted(value: float) -> float:
        return macs_of(subject, peer.knob(value))[0]

    if peer.values:
        return min(peer.values, key=lambda value: abs(counted(value) - macs))
    low, high = 0.0, peer.highest  # a higher threshold computes less
    tried: dict[float, float] = {}
    for _ in range(HALVINGS):
        value = (low + high) / 2
        tried[value] = counted(value)
        low, high = (value, high) if tried[value] > macs else (low, value)
    return min(tried, key=lambda value: abs(tried[value] - macs))


def _under(subject: Subject, policy: Policy) -> Arrangement:
    return lambda: attach(subject.target, policy)


def _array(latents: torch.Tensor) -> np.ndarray:
    return latents.float().cpu().numpy()
