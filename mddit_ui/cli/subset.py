"""``mddit subset``: the few prompts that rank policies as a whole set does (FlashEval)."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mddit_ui.cli.options import DEFAULT_MODEL, add_json, add_prompt_set, add_sampler, positive, prompts_of
from mddit_ui.cli.output import emit, progress, say, table
from mddit_ui.cli.verb import Verb
from mddit_ui.core.paths import atomic_write


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"id, hub id or folder (default {DEFAULT_MODEL})")
    parser.add_argument("--steps", type=positive, help="inference steps (default: the model's)")
    parser.add_argument("--policies", type=positive, default=40, help="to rank; half choose, half judge (default 40)")
    parser.add_argument("--sizes", type=positive, nargs="+", default=[8, 16, 32], help="of the subsets")
    parser.add_argument("--subset-seed", type=int, default=0, help="of the policies and of the choice (default 0)")
    parser.add_argument("-o", "--out", type=Path, help="write the smallest subset here, as a set for --prompts")
    add_sampler(parser)
    add_prompt_set(parser, images=64)
    add_json(parser)


def run(args: Namespace) -> None:
    from mddit_ui.service import catalog
    from mddit_ui.service.measure import Trial
    from mddit_ui.service.subset import find

    spec = catalog.get_model(args.model)
    more = {} if args.guidance is None else {"guidance_scale": args.guidance}
    prompts, steps = prompts_of(spec, args), args.steps or spec.steps
    trial = Trial.of(spec.id, prompts, seed=args.seed, steps=steps, scheduler=args.scheduler, **more)
    with progress(args.policies, "policy") as bar:
        made = find(
            trial, args.sizes, policies=args.policies, seed=args.subset_seed,
            on_policy=lambda done, total: bar.update(done - bar.n),
        )  # fmt: skip
    smallest = [trial.prompts[index] for index in made[0].chosen.prompts]
    if args.out:
        atomic_write(args.out, json.dumps(smallest, indent=1) + "\n")
    if args.json:
        sizes = [
            {
                "size": each.size,
                "tau_chosen_on": each.chosen.tau,
                "tau_unseen": each.found,
                "tau_unseen_random": each.random,
                "tau_unseen_random_high": each.random_high,
                "prompts": [trial.prompts[index] for index in each.chosen.prompts],
            }
            for each in made
        ]
        emit({"model": spec.id, "policies": args.policies, "prompts": len(trial.prompts), "sizes": sizes})
        return
    head = ("prompts", "Kendall's tau", "on unseen policies", "random sets", "their best 5%")
    rows = [
        (each.size, *(f"{tau:.3f}" for tau in (each.chosen.tau, each.found, each.random, each.random_high)))
        for each in made
    ]
    say(*table(head, rows), "", *smallest)


VERB = Verb("find the few prompts that rank policies as a whole set does", add_arguments, run)
