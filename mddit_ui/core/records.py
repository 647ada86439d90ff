"""The frozen records that travel between the rooms; every bound of an outside value stands here, once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    ValidationError,
    model_validator,
)

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.policy import MAX_SITES, MAX_STEPS, Carry, Policy

MAX_WORK = 2**35  # pixels x steps x images of one request: 1,000 pictures of 1024 px at 32 steps

Prompt = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
PolicyRow = Annotated[str, StringConstraints(min_length=1, max_length=MAX_SITES)]
SchedulerName = Literal["default", "dpm++", "ddim", "euler", "heun", "lcm"]

MethodName = Literal["cma-es", "sep-cma-es", "genetic", "nsga-2", "catcma", "random"]


class Record(BaseModel):
    """A frozen value, compared by value; unknown keys, wrong types, NaN, values out of bounds are ``ConfigError``."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _one_clear_line(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            raise _config_error(cls.__name__, error) from None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """From plain JSON values, with the same checks as the constructor."""
        return cls.model_validate(dict(content))

    def replace(self, **changes: Any) -> Self:
        """Another record with some values changed, checked again."""
        return self.model_validate({**dict(self), **changes})


class ClassLabel(Record):
    """One class of a class-conditional model: a short name, and the caption by which a CLIP judges its pictures."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    caption: Annotated[str, StringConstraints(max_length=2000)] = ""


class ModelSpec(Record):
    """What the registry knows of a model before it is loaded.

    ``source`` is a hub id (``owner/name``) or a folder; ``id`` is the path of a folder that lies in none of the known
    places; ``conditioning`` says whether a run takes prompts or classes; ``call`` holds arguments that its pipeline is
    always called with (such as ``max_sequence_length``).
    """

    id: Annotated[str, Field(pattern=r"^([A-Za-z0-9][\w./-]{0,199}|/[^\x00-\x1f]{0,199})$")]
    source: str
    title: str = ""
    description: str = ""
    family: str = ""
    conditioning: Literal["prompt", "class"] = "prompt"
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    guidance_scale: Annotated[float, Field(ge=0, le=50)] = 4.5
    height: Annotated[int, Field(ge=16, le=4096)] = 512
    width: Annotated[int, Field(ge=16, le=4096)] = 512
    licence: str = ""
    clip: str = ""  # id of the CLIP that judges it: a folder in assets/models, or "backbone:pretrained" of open_clip
    call: dict[str, bool | int | float | str] = {}
    grammar: dict[str, Any] | None = None  # words and template of a model that knows a closed language only
    classes: Annotated[tuple[Annotated[ClassLabel, Field(strict=False)], ...], Field(strict=False)] = ()

    def class_of(self, text: str) -> int:
        """The class that a prompt means: its number, its name or its caption.

        Raises:
            ConfigError: none of them.
        """
        plain = text.strip()
        if plain.isdecimal() and len(plain) < 7:
            return int(plain)
        for number, label in enumerate(self.classes):
            if plain.lower() in (label.name.lower(), label.caption.lower()):
                return number
        known = ", ".join(label.name for label in self.classes[:3])
        raise ConfigError(
            f"{self.id} draws classes; expected the number of one{f' or its name ({known}, ...)' if known else ''}, "
            f"got {plain[:80]!r}."
        )

    def numbers(self, config: "GenerationConfig") -> tuple[int, ...]:
        """The class of each image of a request; prompts are read by ``class_of``."""
        return config.classes or tuple(self.class_of(prompt) for prompt in config.prompts)

    def captions(self, config: "GenerationConfig") -> tuple[str, ...]:
        """What each picture of a request should show, in words; () where that is not known."""
        if self.conditioning == "prompt":
            return config.prompts
        numbers = self.numbers(config)
        found = tuple(self.classes[number].caption for number in numbers if number < len(self.classes))
        return found if len(found) == len(numbers) and all(found) else ()


class GenerationConfig(Record):
    """One request for pictures: image i has ``prompts[i]`` (or ``classes[i]``) and ``seeds[i]``.

    One seed stands for all images. ``height`` and ``width`` in pixels.
    """

    prompts: Annotated[tuple[Prompt, ...], Field(strict=False, max_length=256)] = ()
    classes: Annotated[tuple[Annotated[int, Field(ge=0, lt=100_000)], ...], Field(strict=False, max_length=256)] = ()
    seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=256)] = (0,)
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    guidance_scale: Annotated[float, Field(ge=0, le=50)] = 4.5
    scheduler: SchedulerName = "default"
    height: Annotated[int, Field(ge=16, le=4096, multiple_of=8)] = 128
    width: Annotated[int, Field(ge=16, le=4096, multiple_of=8)] = 128

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if bool(self.prompts) == bool(self.classes):
            raise ConfigError("Give prompts or classes, one of the two.")
        if len(self.seeds) not in (1, self.images):
            raise ConfigError(f"Give one seed, or one for each of the {self.images} images; got {len(self.seeds)}.")
        if self.height * self.width * self.steps * self.images > MAX_WORK:
            raise ConfigError("This is too much work for one request; ask for fewer images, steps or pixels.")
        return self

    @property
    def images(self) -> int:
        return len(self.prompts) or len(self.classes)

    @property
    def image_seeds(self) -> tuple[int, ...]:
        """One seed an image."""
        return self.seeds * self.images if len(self.seeds) == 1 else self.seeds


class SearchConfig(Record):
    """Everything that fixes a search: the same config asks and evaluates the same policies.

    ``budget``: at most that; with ``least_budget`` the policies are spread from that one to it. ``start``: rows of a
    policy that it starts from too, besides those that it makes itself; cut to the budget where it costs more.
    ``carry``: what the cached cells of all its policies reuse. ``closeness``: points of CLIP score that one dB of PSNR
    against full depth is worth, 0 for the CLIP score alone; ``None`` for a tie-breaker that suits so many prompts.
    ``plans``: starts, at most, that are planned with what the ones before have shown of the calibration.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    prompts: Annotated[tuple[Prompt, ...], Field(strict=False, min_length=1, max_length=256)]
    image_seeds: Annotated[tuple[Seed, ...], Field(strict=False, min_length=1, max_length=256)] = (0,)
    steps: Annotated[int, Field(ge=2, le=200)] = 20
    guidance_scale: Annotated[float, Field(ge=0, le=50)] = 4.5
    scheduler: SchedulerName = "default"
    budget: Annotated[float, Field(ge=0.05, le=1)] = 0.5
    least_budget: Annotated[float, Field(ge=0.05, le=1)] | None = None
    method: MethodName = "cma-es"
    ratios: bool = False  # of tokens, too, where the model has routers
    closeness: Annotated[float, Field(ge=0, le=1000)] | None = None
    racing: bool = False  # at one budget, policies behind after some of the prompts are not evaluated on all
    evaluations: Annotated[int, Field(ge=1, le=100_000)] = 100
    seed: Annotated[int, Field(ge=1, lt=2**31)] = 1
    population: Annotated[int, Field(ge=4, le=1000)] | None = None
    sigma: Annotated[float, Field(gt=0, le=10)] = 0.4
    start: Annotated[tuple[PolicyRow, ...], Field(strict=False, min_length=1, max_length=MAX_STEPS)] | None = None
    carry: Carry = "residual"
    plans: Annotated[int, Field(ge=0, le=5)] = 5

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.start is not None:
            Policy.from_rows(self.start)  # says what is wrong with them
        if len(self.image_seeds) not in (1, len(self.prompts)):
            raise ConfigError(f"Give one image seed, or one for each of the {len(self.prompts)} prompts.")
        if self.least_budget is not None and self.least_budget >= self.budget:
            raise ConfigError(f"A range of budgets goes up; got {self.least_budget:g}:{self.budget:g}.")
        return self


class Score(Record):
    """How good the pictures of a policy are. Means over the images.

    ``clip_score``: 100 x cosine(image, text); ``psnr`` (dB), ``ssim`` and ``latent_error`` (squared error of the final
    latents / their mean square) against full depth with the same seeds; ``None`` when there was nothing to compare.
    """

    clip_score: float | None = None
    clip_backbone: str = ""
    clip_scores: Annotated[tuple[float, ...], Field(strict=False)] = ()  # one an image
    psnr: float | None = None
    psnrs: Annotated[tuple[float, ...], Field(strict=False)] = ()  # one an image
    ssim: float | None = None
    latent_error: float | None = None
    images: int = 0


class RunRecord(Record):
    """One finished generation as the store keeps it; images lie beside it under ``id``.

    ``reference`` is the id of the run that it was compared with, if any.
    """

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    created: float  # seconds since 1970, for display only
    model: str
    policy: dict[str, Any]  # content of a policy file
    config: Annotated[GenerationConfig, Field(strict=False)]
    score: Annotated[Score, Field(strict=False)]
    wall_seconds: float
    macs: float
    full_macs: float
    peak_cache_bytes: int
    reference: Annotated[str, Field(pattern=r"^([0-9a-f]{32})?$")] = ""


@dataclass(frozen=True, eq=False)
class RunResult:
    """What the engine gives back for one generation.

    Args:
        images: (n, h, w, 3) uint8.
        latents: (n, c, h/8, w/8) float32, the last ones, before the VAE.
        timesteps: (steps,) the scheduler's timesteps of the run, noisiest first.
        wall_seconds: sampling and decoding; ``transformer_seconds``: inside the transformer alone.
        macs: of the transformer over the whole run, all images, guidance counted; ``full_macs``: without a policy.
        peak_cache_bytes: most bytes of stored residuals at one time.
    """

    images: np.ndarray
    latents: np.ndarray
    timesteps: tuple[float, ...]
    wall_seconds: float
    transformer_seconds: float
    macs: float
    full_macs: float
    peak_cache_bytes: int


def _config_error(record: str, error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return ConfigError(f"{record}{' ' + where if where else ''}: {first['msg']}.")
