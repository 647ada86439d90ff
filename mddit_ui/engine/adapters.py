"""How each pipeline wants to be called: one door for all of them."""

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import diffusers
import torch

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig
from mddit_ui.models.loading import LoadedModel

MAX_EMBEDDINGS = 8  # sets of prompts whose embeddings are kept


@dataclass(frozen=True)
class Adapter:
    """What is special about a pipeline.

    Args:
        encoded: what ``encode_prompt`` returns, as arguments of the call; () where prompts go in as text.
        fixed: arguments that are always passed.
        guidance: the argument for guidance, if it needs an empty prompt beside it; else it is ``guidance_scale``.
        latent: ``output_type="latent"`` gives latents that the VAE takes as they are; else the pipeline decodes, and
            the latents are seen where the VAE gets them.
    """

    encoded: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    guidance: str = ""
    latent: bool = False


_MASKED = ("prompt_embeds", "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask")
_EXACT_SIZE = {"use_resolution_binning": False, "clean_caption": False}
ADAPTERS: dict[str, Adapter] = {
    "PixArtAlphaPipeline": Adapter(_MASKED, _EXACT_SIZE, latent=True),
    "PixArtSigmaPipeline": Adapter(_MASKED, _EXACT_SIZE, latent=True),
    "SanaPipeline": Adapter(_MASKED, _EXACT_SIZE, latent=True),
    "HunyuanDiTPipeline": Adapter(fixed={"use_resolution_binning": False}),
    "QwenImagePipeline": Adapter(guidance="true_cfg_scale"),
}

_SCHEDULERS = {
    "dpm++": "DPMSolverMultistepScheduler",
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lcm": "LCMScheduler",
}
_FLOW_SCHEDULERS = {
    "dpm++": "DPMSolverMultistepScheduler",
    "euler": "FlowMatchEulerDiscreteScheduler",
    "heun": "FlowMatchHeunDiscreteScheduler",
    "lcm": "FlowMatchLCMScheduler",
}


def adapter(pipe: Any) -> Adapter:
    return ADAPTERS.get(type(pipe).__name__, Adapter())


def make_scheduler(original: Any, name: str) -> Any:
    """A fresh scheduler by its name in ``GenerationConfig``, with the noise schedule of the model's own one.

    Raises:
        ConfigError: the model was trained for flow matching, where that sampler does not exist.
    """
    if name == "default":
        return type(original).from_config(original.config)
    is_flow = "FlowMatch" in type(original).__name__ or original.config.get("prediction_type") == "flow_prediction"
    table = _FLOW_SCHEDULERS if is_flow else _SCHEDULERS
    if name not in table:
        raise ConfigError(f"The sampler {name!r} does not fit a flow-matching model; choose {', '.join(table)}.")
    more: dict[str, Any] = {}
    if is_flow:
        shift = original.config.get("shift") or original.config.get("flow_shift") or 1.0
        diffusion = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": shift}
        more = diffusion if name == "dpm++" else {"shift": shift}
    return getattr(diffusers, table[name]).from_config(original.config, **more)


def seed_steps(scheduler: Any, generators: list[torch.Generator]) -> None:
    """Give a sampler that adds noise the images' own generators, also where the pipeline forgets to pass them.

    Without them the noise would come from torch's global state: other pictures in every run.
    """
    step = scheduler.step
    if "generator" not in inspect.signature(step).parameters:
        return

    @functools.wraps(step)
    def seeded(model_output: Any, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("generator") is None and not args:
            spare = [torch.Generator().manual_seed(0) for _ in range(len(sample) - len(generators))]
            kwargs["generator"] = generators + spare  # DiT carries a second copy of the batch along, unused
        return step(model_output, timestep, sample, *args, **kwargs)

    scheduler.step = seeded


def call_arguments(loaded: LoadedModel, config: GenerationConfig) -> dict[str, Any]:
    """The keyword arguments of ``pipe(...)`` for a config: what this pipeline's signature takes.

    Raises:
        ConfigError: classes for a model that takes prompts, or a class that the model does not have.
    """
    pipe = loaded.pipe
    special = adapter(pipe)
    accepted = set(inspect.signature(type(pipe).__call__).parameters)
    takes_classes = "class_labels" in accepted
    if config.classes and not takes_classes:
        raise ConfigError(f"{loaded.spec.id} takes prompts; the request gives classes.")
    arguments = {
        "num_inference_steps": config.steps,
        "guidance_scale": None if special.guidance else config.guidance_scale,
        "height": config.height,
        "width": config.width,
        "generator": [torch.Generator().manual_seed(seed) for seed in config.image_seeds],
        "output_type": "latent" if special.latent else "pt",
        **special.fixed,
        **loaded.spec.call,
    }
    arguments = {name: value for name, value in arguments.items() if name in accepted}
    if takes_classes:
        return {**arguments, "class_labels": _classes(loaded, config)}
    if special.encoded:
        return {**arguments, "prompt": None, "negative_prompt": None, **_embeddings(loaded, config, special)}
    if special.guidance:
        empty = [" "] * config.images if config.guidance_scale > 1 else None
        arguments |= {special.guidance: config.guidance_scale, "negative_prompt": empty}
    return {**arguments, "prompt": list(config.prompts)}


def _embeddings(loaded: LoadedModel, config: GenerationConfig, special: Adapter) -> dict[str, torch.Tensor | None]:
    """The encoded prompts, kept so that runs with the same prompts skip the text encoder."""
    guided = config.guidance_scale > 1
    kept = loaded.memo.setdefault("embeddings", {})
    key = (config.prompts, guided)
    if key not in kept:
        with torch.no_grad():
            encoded = loaded.pipe.encode_prompt(
                list(config.prompts), do_classifier_free_guidance=guided, **_for_encoder(loaded)
            )
        while len(kept) >= MAX_EMBEDDINGS:
            del kept[next(iter(kept))]
        kept[key] = dict(zip(special.encoded, encoded, strict=True))
    return dict(kept[key])


def _for_encoder(loaded: LoadedModel) -> dict[str, Any]:
    accepted = inspect.signature(loaded.pipe.encode_prompt).parameters
    return {name: value for name, value in loaded.spec.call.items() if name in accepted}


def _classes(loaded: LoadedModel, config: GenerationConfig) -> list[int]:
    numbers = loaded.spec.numbers(config)
    config_of_model: Any = loaded.transformer.config
    count = len(loaded.spec.classes) or config_of_model.get("num_embeds_ada_norm")
    if count is not None and max(numbers) >= count:
        raise ConfigError(f"{loaded.spec.id} knows the classes 0 to {count - 1}; got {max(numbers)}.")
    return list(numbers)
