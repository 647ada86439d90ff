"""``mddit policies record``: run one of diffusers' caches or cache-dit, and keep what it computed as a policy."""

from argparse import ArgumentParser, Namespace
from typing import Any

from mddit_ui.cli.options import (
    DEFAULT_MODEL,
    add_json,
    add_out,
    add_prompt_set,
    add_sampler,
    config_of,
    keep,
    read_prompts,
)
from mddit_ui.cli.output import emit, picture, progress, say
from mddit_ui.cli.verb import Verb
from mddit_ui.core.policy import Policy

METHODS = {  # the settings of each; their defaults stand in engine.caches
    "first-block-cache": ("threshold",),
    "mag-cache": ("threshold", "max_skip_steps", "retention_ratio"),
    "taylorseer": ("interval", "warmup", "order"),
    "cache-dit": ("threshold", "warmup", "first", "last", "order"),
}
SETTINGS = {
    "threshold": "first-block-cache, mag-cache, cache-dit: how much may change without being computed "
    "(default 0.1; 0.06; 0.08)",
    "max_skip_steps": "mag-cache: steps in a row that are not computed, at most (default 3)",
    "retention_ratio": "mag-cache: share of the first steps that run in full (default 0.2)",
    "interval": "taylorseer: steps from one full step to the next (default 3)",
    "warmup": "taylorseer, cache-dit: first steps that run in full (default 3; 8)",
    "order": "taylorseer, cache-dit: of the extrapolation; 0 reuses (default 1; 0)",
    "first": "cache-dit: first blocks that always run (default 1)",
    "last": "cache-dit: last blocks that always run (default 0)",
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--method", choices=METHODS, required=True, help="the cache")
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"id, hub id or folder (default {DEFAULT_MODEL})")
    parser.add_argument("--steps", type=int, help="inference steps (default: the model's)")
    for name, text in SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, help=text)
    add_sampler(parser)
    add_prompt_set(parser, images=4)
    parser.add_argument("--name", help="the name in the file")
    add_out(parser)
    add_json(parser)


def run(args: Namespace) -> None:
    from dataclasses import replace

    from mddit_ui.service import catalog, exchange

    spec = catalog.get_model(args.model)
    args.steps = args.steps or spec.steps
    if spec.conditioning == "class":  # such a model has no words: its first classes stand for them
        config = config_of(args, spec, (), tuple(range(args.images)))
    else:
        config = config_of(args, spec, read_prompts(args.prompts, args.images))
    given = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    with progress(config.steps, "step") as bar:

        def on_step(event: Any) -> None:
            bar.total = event.steps
            bar.update(event.step + 1 - bar.n)

        policy = exchange.record(spec.id, config, args.method, given, on_step=on_step)
    policy = replace(policy, name=args.name) if args.name else policy
    _say(policy, keep(policy, args.out), args)


def _say(policy: Policy, where: str, args: Namespace) -> None:
    from mddit_ui.service import exchange

    table = exchange.mac_table(policy.model, policy, args.scheduler)
    if args.json:
        facts = {"saved": where, "name": policy.name, "digest": policy.digest, "notes": dict(policy.notes)}
        emit({**facts, "steps": policy.steps, "sites": policy.actions.shape[1], "budget": policy.budget(table)})
        return
    say(*picture(policy, table), f"a policy is {policy.notes['is']}", f"saved as {where}")


VERB = Verb("run one of diffusers' caches or cache-dit, and keep what it computed as a policy", add_arguments, run)
