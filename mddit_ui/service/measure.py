"""Measure a policy on many prompts: how well its pictures show them, how near they are to full depth and to real ones.

Every batch is kept under ``data_dir()/measurements`` as soon as it is there: a measurement that was interrupted goes
on, and one that was made is only read.
"""

import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.inpainting import Inpainting
from mddit_ui.core.paths import atomic_write, data_dir
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, ModelSpec, Record, SchedulerName
from mddit_ui.core.tokens import TokenChoice
from mddit_ui.engine.packing import Packing
from mddit_ui.metrics.clip import ClipScorer
from mddit_ui.metrics.distribution import cmmd
from mddit_ui.metrics.fidelity import latent_error, psnr, ssim
from mddit_ui.metrics.negatives import NEGATIVES, hard_negatives
from mddit_ui.models.loading import load, weights_stamp
from mddit_ui.models.registry import get_model
from mddit_ui.service.batches import batches
from mddit_ui.service.generate import MAX_PSNR, generate

VERSION = 1  # of what is kept of a batch; a new number makes old files unread
REAL_FILE = "real.npy"  # (n, d) in a model's folder: its CLIP's embeddings of real pictures


@dataclass(frozen=True)
class Trial:
    """What to make: picture i has ``prompts[i]`` and ``seeds[i]``."""

    model: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    guidance_scale: float
    scheduler: SchedulerName = "default"
    given: Inpainting | None = None  # what each picture is painted on

    def __post_init__(self) -> None:
        if not self.prompts or len(self.prompts) != len(self.seeds):
            raise ConfigError(f"Expected prompts and a seed for each, got {len(self.prompts)} and {len(self.seeds)}.")

    @classmethod
    def of(cls, model_id: str, prompts: tuple[str, ...], *, seed: int = 0, **more: Any) -> "Trial":
        """The model's own steps and guidance where nothing else is said; seeds count up from ``seed``."""
        spec = get_model(model_id)
        settings = {"steps": spec.steps, "guidance_scale": spec.guidance_scale, **more}
        return cls(spec.id, tuple(prompts), tuple(range(seed, seed + len(prompts))), **settings)

    def request(self, part: slice = slice(None)) -> GenerationConfig:
        """Some of the pictures at one time, or all."""
        spec = get_model(self.model)
        return GenerationConfig(
            prompts=self.prompts[part],
            seeds=self.seeds[part],
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            scheduler=self.scheduler,
            height=spec.height,
            width=spec.width,
        )

    def batches(self) -> Iterator[GenerationConfig]:
        return map(self.request, batches(len(self.prompts)))

    def givens(self) -> Iterator[Inpainting | None]:
        """What the pictures of each batch are painted on."""
        for part in batches(len(self.prompts)):
            yield None if self.given is None else Inpainting(self.given.images[part], self.given.masks[part])


@dataclass(frozen=True)
class Way:
    """How a model runs, beside its policy.

    Args:
        name: tells it from other ways, where measurements are kept; "" for the plain one.
        around: what is put on the transformer while it runs.
        tokens: see ``engine.hooks.apply_policy``.
        packing: see ``engine.packing.packed``.
    """

    name: str = ""
    around: Callable[[Any], AbstractContextManager] = nullcontext
    tokens: TokenChoice = "routers"
    packing: Packing = "off"


PLAIN = Way()
PACKED = Way("packed", packing="exact")  # the same up to rounding, in two thirds of the time


class Measurement(Record):
    """Means over the images; ``None`` where there was nothing to measure with.

    ``clip_error``: standard error of the CLIP score. ``accuracy``: share of the pictures whose own caption the CLIP
    likes best, among 15 that are wrong in one attribute or among those of all classes. ``psnr`` (dB), ``ssim`` and
    ``latent_error`` against full depth with the same seeds; ``psnr_error``: standard error. ``cmmd`` against real
    pictures. ``wall_seconds``: of all images, as it happened to be; a machine that is busy makes it larger.
    """

    images: int
    clip_score: float | None = None
    clip_error: float | None = None
    clip_backbone: str = ""
    accuracy: float | None = None
    psnr: float | None = None
    psnr_error: float | None = None
    ssim: float | None = None
    latent_error: float | None = None
    cmmd: float | None = None
    macs: float = 0.0
    full_macs: float = 0.0
    wall_seconds: float = 0.0
    clip_scores: tuple[float, ...] = ()  # one an image
    psnrs: tuple[float, ...] = ()  # likewise

    @property
    def budget(self) -> float:
        return self.macs / self.full_macs


def measure(
    trial: Trial,
    policy: Policy | None = None,
    *,
    way: Way = PLAIN,
    on_image: Callable[[int, int], None] | None = None,
) -> Measurement:
    """All that is known of a policy (``None``: full depth) on the pictures of a trial.

    Args:
        way: how it runs otherwise.
        on_image: called with (images done, images in all) between batches; may raise ``Cancelled``.
    """
    spec = get_model(trial.model)
    parts = []
    done = 0
    for config, given in zip(trial.batches(), trial.givens(), strict=True):
        parts.append(_batch(spec, policy, config, given, way))
        done += config.images
        if on_image is not None:
            on_image(done, len(trial.prompts))
    return _joined(spec, parts)


def pictures(trial: Trial, policy: Policy | None = None) -> np.ndarray:
    """(n, h, w, 3) uint8: the pictures of a trial themselves, for strips; not kept but for full depth."""
    spec = get_model(trial.model)
    return np.concatenate(
        [
            _batch(spec, None, config)["images"] if policy is None else generate(spec.id, policy, config).images
            for config in trial.batches()
        ]
    )


def _batch(
    spec: ModelSpec, policy: Policy | None, config: GenerationConfig, given: Inpainting | None = None, way: Way = PLAIN
) -> dict[str, np.ndarray]:
    """What is known of one batch, an entry an image but for the sums; from its file if there is one."""
    path = _path(spec, policy, config, [each for each in (given.digest if given else "", way.name) if each])
    if (kept := _read(path)) is not None:
        return kept
    full = None if policy is None and way is PLAIN else _batch(spec, None, config, given)
    with way.around(load(spec.id).transformer):
        result = generate(spec.id, policy, config, tokens=way.tokens, inpainting=given, packing=way.packing)
    found: dict[str, Any] = _judged(spec, config, result.images)
    if full is None:
        found |= {"images": result.images, "latents": result.latents}
    else:
        found |= {
            "psnr": np.minimum(psnr(result.images, full["images"]), MAX_PSNR),
            "ssim": ssim(result.images, full["images"]),
            "latent_error": latent_error(result.latents, full["latents"]),
        }
    found |= {
        name: np.float64(getattr(result, name)) for name in ("macs", "full_macs", "wall_seconds")
    } | {"count": np.float64(config.images)}  # fmt: skip
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **found)
    atomic_write(path, buffer.getvalue())
    return found


def _judged(spec: ModelSpec, config: GenerationConfig, images: np.ndarray) -> dict[str, np.ndarray]:
    """What a CLIP says of the pictures."""
    captions = spec.captions(config)
    if not spec.clip or not captions:
        return {}
    scorer = ClipScorer.load(spec.clip)
    seen = scorer.embed_images(images)
    found = {"embeddings": seen.astype(np.float32), "clip": 100 * (seen * scorer.embed_texts(captions)).sum(-1)}
    options = [_wrong(spec, caption) for caption in captions]
    if all(options):
        rivals = [scorer.embed_texts(texts) @ image for texts, image in zip(options, seen, strict=True)]
        found["right"] = np.array([own > 100 * rival.max() for own, rival in zip(found["clip"], rivals, strict=True)])
    return found


def _wrong(spec: ModelSpec, caption: str) -> list[str]:
    """Captions that a picture of ``caption`` should not be mistaken for; [] where none are known."""
    if spec.classes:
        return [label.caption for label in spec.classes if label.caption and label.caption != caption]
    attributes = (spec.grammar or {}).get("attributes")
    if not attributes or len(hard_negatives(attributes, caption)) < NEGATIVES:
        return []
    return hard_negatives(attributes, caption, NEGATIVES, np.random.default_rng(zlib.crc32(caption.encode())))


def _joined(spec: ModelSpec, parts: list[dict[str, np.ndarray]]) -> Measurement:
    def mean(name: str) -> float | None:
        return float(joined(name).mean()) if all(name in part for part in parts) else None

    def error(name: str) -> float | None:
        if mean(name) is None or len(joined(name)) < 2:
            return None
        return float(joined(name).std(ddof=1) / len(joined(name)) ** 0.5)

    def joined(name: str) -> np.ndarray:
        return np.concatenate([part[name] for part in parts])

    def total(name: str) -> float:
        return float(sum(part[name] for part in parts))

    real = Path(spec.source) / REAL_FILE
    near = "embeddings" in parts[0] and real.is_file() and total("count") >= 2
    return Measurement(
        images=int(total("count")),
        clip_score=mean("clip"),
        clip_error=error("clip"),
        clip_backbone=ClipScorer.load(spec.clip).backbone if "clip" in parts[0] else "",
        clip_scores=tuple(joined("clip").tolist()) if "clip" in parts[0] else (),
        accuracy=mean("right"),
        psnr=mean("psnr"),
        psnr_error=error("psnr"),
        psnrs=tuple(joined("psnr").tolist()) if "psnr" in parts[0] else (),
        ssim=mean("ssim"),
        latent_error=mean("latent_error"),
        cmmd=cmmd(joined("embeddings"), np.load(real, allow_pickle=False)) if near else None,
        macs=total("macs"),
        full_macs=total("full_macs"),
        wall_seconds=total("wall_seconds"),
    )


def _path(spec: ModelSpec, policy: Policy | None, config: GenerationConfig, more: list[str]) -> Path:
    question = [
        VERSION, spec.id, weights_stamp(spec), spec.clip, policy.digest if policy else "full", config.to_dict(), *more,
    ]  # fmt: skip
    name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]
    return data_dir() / "measurements" / name[:2] / f"{name}.npz"


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """``None`` if there is no such file, or a torn or foreign one, which goes."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, BadZipFile):
        path.unlink(missing_ok=True)
        return None
