"""How much one visitor may ask for: from environment variables, with careful values on a public page."""

import os
from dataclasses import dataclass

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.records import GenerationConfig, SearchConfig


@dataclass(frozen=True)
class Quotas:
    """Bounds of one request; ``None`` leaves it to the records.

    Args:
        steps: inference steps of a picture (``MDDIT_MAX_STEPS``).
        pictures: pictures of an evaluation (``MDDIT_MAX_PICTURES``).
        evaluations: of a search (``MDDIT_MAX_EVALUATIONS``); 0 forbids searches.
        searches: that run at the same time (``MDDIT_MAX_SEARCHES``).
        gpu_seconds: that a call may take on ZeroGPU (``MDDIT_GPU_SECONDS``).
    """

    steps: int | None = None
    pictures: int | None = None
    evaluations: int | None = None
    searches: int | None = None
    gpu_seconds: int = 60

    def check_request(self, config: GenerationConfig) -> GenerationConfig:
        """The same config, or a ConfigError that says the bound."""
        _check("steps", config.steps, self.steps)
        _check("pictures", config.images, self.pictures)
        return config

    def check_search(self, config: SearchConfig, running: int) -> SearchConfig:
        """The same config, or a ConfigError that says the bound."""
        if self.evaluations == 0:
            raise ConfigError("Searches are switched off on this page; duplicate the Space to run your own.")
        if self.searches is not None and running >= self.searches:
            raise ConfigError("A search is already running on this page; try again when it is done.")
        _check("steps", config.steps, self.steps)
        _check("pictures", len(config.prompts), self.pictures)
        _check("evaluations", config.evaluations, self.evaluations)
        return config


def is_public() -> bool:
    """Whether strangers use this page: then nothing is written to the library and no free hub id is loaded."""
    return bool(os.environ.get("SPACE_ID"))


def quotas() -> Quotas:
    """What the environment says.

    Raises:
        ConfigError: a variable is no whole number.
    """
    careful = Quotas(steps=60, pictures=64, evaluations=500, searches=1)
    base = careful if is_public() else Quotas()
    return Quotas(
        steps=_number("MDDIT_MAX_STEPS", base.steps),
        pictures=_number("MDDIT_MAX_PICTURES", base.pictures),
        evaluations=_number("MDDIT_MAX_EVALUATIONS", base.evaluations),
        searches=_number("MDDIT_MAX_SEARCHES", base.searches),
        gpu_seconds=_number("MDDIT_GPU_SECONDS", base.gpu_seconds) or base.gpu_seconds,
    )


def _check(what: str, asked: int, most: int | None) -> None:
    if most is not None and asked > most:
        raise ConfigError(f"This page allows {most} {what} at most; you asked for {asked}.")


def _number(name: str, default: int | None) -> int | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal():
        raise ConfigError(f"{name} is {text[:40]!r}; expected a whole number.")
    return int(text)
