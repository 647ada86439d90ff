"""``mddit search``: look for policies in the background, and watch."""

from argparse import ArgumentParser, Namespace

from mddit_ui.cli.options import DEFAULT_MODEL, add_json, add_prompt_set, add_sampler, read_prompts
from mddit_ui.cli.output import emit, say
from mddit_ui.cli.verb import Verb
from mddit_ui.cli.watch import follow
from mddit_ui.core.records import SearchConfig


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"id, hub id or folder (default {DEFAULT_MODEL})")
    parser.add_argument(
        "--budget", type=float, default=0.5, help="MACs of the policy / MACs of full depth (default 0.5)"
    )
    parser.add_argument("--evaluations", type=int, default=200, help="policies to try (default 200)")
    parser.add_argument("--steps", type=int, help="inference steps (default: the model's)")
    parser.add_argument("--population", type=int, help="policies of a generation (default: CMA-ES's own)")
    parser.add_argument("--sigma", type=float, help="how far the first generation spreads (default 0.4)")
    parser.add_argument("--search-seed", type=int, default=1, help="of the search itself (default 1)")
    parser.add_argument("--detach", action="store_true", help="print the id and return; the search goes on")
    add_sampler(parser)
    add_prompt_set(parser, images=16)
    add_json(parser)


def run(args: Namespace) -> None:
    from mddit_ui.service import catalog, searches

    spec = catalog.get_model(args.model)
    prompts = read_prompts(args.prompts, args.images)
    more = {name: getattr(args, name) for name in ("population", "sigma") if getattr(args, name) is not None}
    config = SearchConfig(
        model=spec.id,
        prompts=prompts,
        image_seeds=tuple(range(args.seed, args.seed + len(prompts))),
        steps=args.steps or spec.steps,
        guidance_scale=spec.guidance_scale if args.guidance is None else args.guidance,
        scheduler=args.scheduler,
        budget=args.budget,
        evaluations=args.evaluations,
        seed=args.search_seed,
        **more,
    )
    search = searches.start(config)
    if args.detach:
        emit({"id": search}) if args.json else say(search)
        return
    follow(search, args)


VERB = Verb("look for a policy within a budget of MACs, and watch; Ctrl-C pauses the search", add_arguments, run)
