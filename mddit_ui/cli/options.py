"""The options that verbs share, and the values that they stand for."""

import argparse
import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import get_args

from mddit_ui.cli.searched import PREFIX, searched_policy
from mddit_ui.core.errors import ConfigError, PolicyError
from mddit_ui.core.paths import PROMPTS
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, ModelSpec, SchedulerName
from mddit_ui.store import library

DEFAULT_MODEL = "scenes-pixart"
POLICY = (
    "a file, the id of a saved policy, or search:ID for the best of a search "
    "(search:ID@0.4: within a budget; search:ID:7: the 7th)"
)
MAX_PROMPT_FILE = 4_000_000
SETS = ("search", "holdout")  # the prompts that come along
MANY_CLASSES = 16  # of a model that says nothing of its classes, the first so many are drawn


def add_json(parser: ArgumentParser) -> None:
    """Without a default: that of the top parser stands, wherever the option is given."""
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON value instead of text"
    )


def add_out(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--out", metavar="FILE", help="write it here (default: into saved_policies)")


def add_run(parser: ArgumentParser) -> None:
    """Model, policy and sampler of a run."""
    parser.add_argument("--model", help=f"id, hub id or folder (default: the policy's, else {DEFAULT_MODEL})")
    parser.add_argument("--policy", default="full", help=f"{POLICY}, or full (default)")
    parser.add_argument("--resample", action="store_true", help="fit the policy to another number of steps")
    parser.add_argument("--steps", type=int, help="inference steps (default: the policy's, else the model's)")
    add_sampler(parser)


def add_sampler(parser: ArgumentParser) -> None:
    parser.add_argument("--guidance", type=float, help="guidance scale (default: the model's)")
    parser.add_argument("--scheduler", choices=get_args(SchedulerName), default="default")
    parser.add_argument("--seed", type=int, default=0, help="of the first image; the next ones count up (default 0)")


def add_prompt_set(parser: ArgumentParser, images: int) -> None:
    parser.add_argument(
        "--prompts",
        default="search",
        metavar="SET",
        help="search or holdout (the sets that come along), a JSON list, or a text file with a prompt a line",
    )
    parser.add_argument("--images", type=int, default=images, help=f"use the first so many prompts (default {images})")


def positive(text: str) -> int:
    """An argparse type: a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def read_policy(name: str) -> Policy | None:
    """A file, a saved policy, or one that a search tried; ``None`` for full depth."""
    if name == "full":
        return None
    if name.startswith(PREFIX):
        return searched_policy(name)
    if name.endswith(".json") or Path(name).is_file():
        return Policy.load(name)
    return library.load(name)


def keep(policy: Policy, out: str | None) -> str:
    """Write a new policy to ``--out``, else into the library; gives the file or the id."""
    if out is None:
        return library.save(policy)
    try:
        policy.save(out)
    except OSError as error:
        raise PolicyError(f"Can't write {out!r}: {error.strerror or error}.") from None
    return out


def read_prompts(name: str, count: int) -> tuple[str, ...]:
    """The first ``count`` prompts of a set."""
    path = PROMPTS / f"{name}.json" if name in SETS else Path(name)
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_PROMPT_FILE + 1)
        found = json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"Can't read prompts from {name!r}: {error}.") from None
    if len(text) > MAX_PROMPT_FILE:
        raise ConfigError(f"{name!r} is larger than {MAX_PROMPT_FILE:,} characters; give a smaller set of prompts.")
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ConfigError(f"Expected a JSON list of strings in {name!r}.")
    if not 1 <= count <= len(found):
        raise ConfigError(f"{name!r} has {len(found)} prompts; ask for 1 to {len(found)} images, not {count}.")
    return tuple(found[:count])


def prompts_of(spec: ModelSpec, args: Namespace) -> tuple[str, ...]:
    """What ``--prompts`` and ``--images`` ask for; a model with classes draws them in turn, other seeds each time."""
    if spec.conditioning == "class" and args.prompts in SETS:
        names = [str(number) for number in range(len(spec.classes) or MANY_CLASSES)]
        return tuple(names[number % len(names)] for number in range(args.images))
    return read_prompts(args.prompts, args.images)


def run_of(args: Namespace) -> tuple[ModelSpec, Policy | None]:
    """The model and the policy that the options of ``add_run`` name; the policy may still need ``fitted``."""
    from mddit_ui.service import catalog

    policy = read_policy(args.policy)
    spec = catalog.get_model(args.model or (policy.model if policy else "") or DEFAULT_MODEL)
    if args.steps is None:
        args.steps = policy.steps if policy and not args.resample else spec.steps
    return spec, policy


def fitted(policy: Policy | None, spec: ModelSpec, args: Namespace) -> Policy | None:
    """The policy on the timesteps of this run, if ``--resample`` asks for it."""
    if policy is None or not args.resample:
        return policy
    from mddit_ui.service import catalog

    return policy.resample(timesteps=catalog.describe(spec.id, args.steps, args.scheduler).timesteps)


def config_of(
    args: Namespace, spec: ModelSpec, prompts: tuple[str, ...], classes: tuple[int, ...] = ()
) -> GenerationConfig:
    """The request; image i has the seed ``--seed`` + i."""
    count = len(prompts) or len(classes)
    return GenerationConfig(
        prompts=prompts,
        classes=classes,
        seeds=tuple(range(args.seed, args.seed + max(count, 1))),
        steps=args.steps,
        guidance_scale=spec.guidance_scale if args.guidance is None else args.guidance,
        scheduler=args.scheduler,
        height=spec.height,
        width=spec.width,
    )
