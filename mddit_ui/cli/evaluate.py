"""``mddit evaluate``: the score of a policy on a set of prompts, against full depth."""

from argparse import ArgumentParser, Namespace

from mddit_ui.cli.options import add_json, add_prompt_set, add_run, config_of, fitted, read_prompts, run_of
from mddit_ui.cli.output import emit, progress, say, score_line
from mddit_ui.cli.verb import Verb


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    add_prompt_set(parser, images=16)
    add_json(parser)


def run(args: Namespace) -> None:
    from mddit_ui.service import catalog
    from mddit_ui.service import evaluate as service

    spec, policy = run_of(args)
    if spec.conditioning == "class":  # such a model has no words: its first classes stand for them
        config = config_of(args, spec, (), tuple(range(args.images)))
    else:
        config = config_of(args, spec, read_prompts(args.prompts, args.images))
    policy = fitted(policy, spec, args)
    with progress(config.images, "image") as bar:

        def on_image(done: int, total: int) -> None:
            bar.total = total  # full depth is made too, to compare with
            bar.update(done - bar.n)

        score = service.evaluate(spec.id, policy, config, on_image=on_image)
    budget = policy.budget(catalog.describe(spec.id, config.steps, config.scheduler).mac_table) if policy else 1.0
    if args.json:
        emit(
            {
                "model": spec.id,
                "policy": policy.digest if policy else "full",
                "budget": budget,
                "score": score.to_dict(),
            }
        )
        return
    say(f"{config.images} images at budget {budget:.3f}: {score_line(score)}")


VERB = Verb("score a policy on a set of prompts", add_arguments, run)
