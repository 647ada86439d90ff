"""``mddit search``: look for policies in the background, and watch."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import get_args

from mddit_ui.cli.options import (
    DEFAULT_MODEL,
    POLICY,
    add_json,
    add_prompt_set,
    add_sampler,
    prompts_of,
    read_policy,
)
from mddit_ui.cli.output import emit, say
from mddit_ui.cli.verb import Verb
from mddit_ui.cli.watch import follow
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import CARRIES, Policy
from mddit_ui.core.records import MethodName, ModelSpec, SearchConfig


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"id, hub id or folder (default {DEFAULT_MODEL})")
    parser.add_argument(
        "--budget",
        type=budgets,
        default=(None, 0.5),
        help="MACs of the policy / MACs of full depth (default 0.5), or a range for policies from one end to the other "
        "(0.3:0.8)",
    )
    parser.add_argument("--method", choices=get_args(MethodName), default="cma-es", help="default cma-es")
    add_closeness(parser)
    parser.add_argument(
        "--racing",
        action="store_true",
        help="policies that are behind after some of the prompts are not tried on all (at one budget, not a range)",
    )
    parser.add_argument(
        "--ratios", action="store_true", help="search for ratios of tokens too, on a model with routers (scenes-routed)"
    )
    parser.add_argument("--evaluations", type=int, default=200, help="policies to try (default 200)")
    parser.add_argument("--steps", type=int, help="inference steps (default: the model's)")
    parser.add_argument("--population", type=int, help="policies of a generation (default: the method's own)")
    parser.add_argument("--sigma", type=float, help="how far the first generation spreads (default 0.4)")
    parser.add_argument("--plans", type=int, help="starts that are planned after the first ones (default 5)")
    parser.add_argument("--search-seed", type=int, default=1, help="of the search itself (default 1)")
    parser.add_argument(
        "--start", metavar="POLICY", help=f"start from this policy too, fitted to the steps: {POLICY}; full: full depth"
    )
    parser.add_argument(
        "--carry",
        choices=CARRIES,
        default="residual",
        help="what cached cells reuse: their last residual (default), or their last output, as Skip-Cache does",
    )
    parser.add_argument("--ray", metavar="ADDRESS", help='evaluate on a Ray cluster: host:port, "auto", or "local"')
    parser.add_argument("--detach", action="store_true", help="print the id and return; the search goes on")
    add_sampler(parser)
    add_prompt_set(parser, images=16)
    add_json(parser)


def run(args: Namespace) -> None:
    from mddit_ui.service import catalog, searches

    spec = catalog.get_model(args.model)
    prompts = prompts_of(spec, args)
    least, most = args.budget
    more = {name: getattr(args, name) for name in ("population", "sigma", "plans") if getattr(args, name) is not None}
    config = SearchConfig(
        model=spec.id,
        prompts=prompts,
        image_seeds=tuple(range(args.seed, args.seed + len(prompts))),
        steps=args.steps or spec.steps,
        guidance_scale=spec.guidance_scale if args.guidance is None else args.guidance,
        scheduler=args.scheduler,
        budget=most,
        least_budget=least,
        method=args.method,
        ratios=args.ratios,
        closeness=args.closeness,
        racing=args.racing,
        evaluations=args.evaluations,
        seed=args.search_seed,
        start=None if args.start is None else start_of(args, spec),
        carry=args.carry,
        **more,
    )
    if args.ray:
        os.environ["MDDIT_RAY"] = args.ray
    search = searches.start(config)
    if args.detach:
        emit({"id": search}) if args.json else say(search)
        return
    follow(search, args)


def start_of(args: Namespace, spec: ModelSpec) -> tuple[str, ...]:
    """The rows of the policy to start from, at the steps of this search."""
    from mddit_ui.service import catalog

    view = catalog.describe(spec.id, args.steps or spec.steps, args.scheduler)
    policy = read_policy(args.start) or Policy.full(len(view.timesteps), view.sites)
    if policy.actions.shape[1] != len(view.sites):
        raise PolicyError(f"{policy.name!r} has {policy.actions.shape[1]} blocks; {spec.id} has {len(view.sites)}.")
    return policy.resample(timesteps=view.timesteps).rows


def add_closeness(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--closeness",
        type=float,
        help="points of CLIP score that one dB of PSNR against full depth is worth; 0: the CLIP score alone "
        "(default: 4 / prompts)",
    )


def budgets(text: str) -> tuple[float | None, float]:
    """An argparse type: "0.5" or a range "0.3:0.8"."""
    least, colon, most = text.rpartition(":")
    try:
        return (float(least) if colon else None), float(most)
    except ValueError:
        raise ArgumentTypeError(f"expected a number or a range (0.5, 0.3:0.8), got {text!r}") from None


VERB = Verb("look for a policy within a budget of MACs, and watch; Ctrl-C pauses the search", add_arguments, run)
