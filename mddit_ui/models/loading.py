"""The only place that holds weights: pipelines, loaded once a process."""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError

from mddit_ui.core.errors import ModelError
from mddit_ui.core.records import ModelSpec
from mddit_ui.models import hub, routed_dit, skip_dit  # noqa: F401  diffusers finds classes that somebody has imported
from mddit_ui.models.registry import get_model

MAX_LOADED = 2  # pipelines kept at one time; the one that was asked for longest ago goes first


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A pipeline with its weights, ready to run; hold ``lock`` while running it or changing it."""

    spec: ModelSpec
    pipe: Any
    device: str
    dtype: str
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    memo: dict[Any, Any] = field(default_factory=dict, repr=False)  # what the engine remembers of it (embeddings, MACs)

    @property
    def transformer(self) -> torch.nn.Module:
        return self.pipe.transformer


_loaded: OrderedDict[str, LoadedModel] = OrderedDict()
_lock = threading.Lock()


def load(id: str) -> LoadedModel:
    """The pipeline of a model id; the same object for every caller. Safetensors only, no remote code.

    Raises:
        ModelError: unknown id, nothing to download from, no transformer in it, or not enough memory.
    """
    spec = get_model(id)
    with _lock:
        if spec.source in _loaded:
            _loaded.move_to_end(spec.source)
            return _loaded[spec.source]
        while len(_loaded) >= MAX_LOADED:
            _loaded.popitem(last=False)
        _loaded[spec.source] = loaded = _load(spec)
        return loaded


def unload() -> None:
    """Let go of all weights."""
    with _lock:
        _loaded.clear()


def weights_stamp(spec: ModelSpec) -> str:
    """Something that changes when the weights of a local model do; the hub id of others."""
    folder = Path(spec.source)
    if not folder.is_dir():
        return spec.source
    files = sorted(folder.glob("**/*.safetensors"))
    return ";".join(f"{file.relative_to(folder)} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)


def pick_device() -> str:
    """``$MDDIT_DEVICE``, else "cuda", "mps" or "cpu", whichever is there."""
    wish = os.environ.get("MDDIT_DEVICE", "")
    if wish:
        return wish
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(device: str) -> torch.dtype:
    """``$MDDIT_DTYPE``, else half precision on a GPU and float32 elsewhere.

    A CPU that multiplies bfloat16 is faster in it (1.6 times with AMX), for a loss that closeness to full depth shows:
    about 1 of 52 dB. Searches have ``engine.packing``, which is faster still, and nearer.
    """
    wish = os.environ.get("MDDIT_DTYPE", "")
    if wish:
        if wish not in ("float32", "float16", "bfloat16"):
            raise ModelError(f"MDDIT_DTYPE is {wish!r}; expected float32, float16 or bfloat16.")
        return getattr(torch, wish)
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32


def precision() -> str:
    """What models run in on this machine, for people: "float32 on cpu"."""
    device = pick_device()
    return f"{str(pick_dtype(device)).removeprefix('torch.')} on {device}"


def _load(spec: ModelSpec) -> LoadedModel:
    device = pick_device()
    dtype = pick_dtype(device)
    local = Path(spec.source).is_dir() or not _can_download(spec)
    try:
        with _quiet():
            pipe = DiffusionPipeline.from_pretrained(
                spec.source, dtype=dtype, use_safetensors=True, local_files_only=local
            )
        pipe = pipe.to(device)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise ModelError(f"Can't load {spec.id}: {reason}") from error
    if not isinstance(getattr(pipe, "transformer", None), torch.nn.Module):
        raise ModelError(
            f"{spec.id} is a {type(pipe).__name__}, which has no transformer; choose a diffusion transformer."
        )
    for component in pipe.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval().requires_grad_(False)
    pipe.set_progress_bar_config(disable=True)
    return LoadedModel(spec, pipe, device, str(dtype).removeprefix("torch."))


def _can_download(spec: ModelSpec) -> bool:
    """Whether the hub can be asked for a model; if not, the one in the cache has to do.

    Raises:
        ModelError: it is not there either.
    """
    try:
        hub.ask(spec.source)
    except ModelError as error:
        if hub.is_here(spec.source):
            return False
        raise ModelError(f"Can't load {spec.id}: it is not on this machine, and {error}.") from None
    return True


class _quiet:
    """Without the progress bars of diffusers and transformers."""

    def __enter__(self) -> None:
        from transformers.utils import logging as transformers_logging

        self.was_on = (diffusers_logging.is_progress_bar_enabled(), transformers_logging.is_progress_bar_enabled())
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        from transformers.utils import logging as transformers_logging

        if self.was_on[0]:
            diffusers_logging.enable_progress_bar()
        if self.was_on[1]:
            transformers_logging.enable_progress_bar()
