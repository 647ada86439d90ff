"""``mddit generate``: pictures with a policy, and what they cost."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, get_args

from mddit_ui.cli.options import add_json, add_run, config_of, fitted, positive, run_of
from mddit_ui.cli.output import amount, emit, progress, say, score_line
from mddit_ui.cli.pictures import read_inpainting
from mddit_ui.cli.verb import Verb
from mddit_ui.core.errors import MdditError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, ModelSpec, RunResult
from mddit_ui.core.tokens import TokenChoice


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--prompt", action="append", default=[], help="a picture of this; may be given again")
    parser.add_argument(
        "--class", dest="classes", type=int, action="append", default=[], help="for models with classes"
    )
    parser.add_argument("--images", type=positive, default=1, help="pictures of each prompt or class (default 1)")
    parser.add_argument("--compare", action="store_true", help="run full depth too, and compare with it")
    parser.add_argument("--image", type=Path, help="a picture to paint on, of the model's size; with --mask")
    parser.add_argument("--mask", type=Path, help="a picture, white where to paint")
    parser.add_argument(
        "--tokens",
        choices=get_args(TokenChoice),
        default="routers",
        help="who chooses the tokens of cells that keep some; residual-norm: an experiment, for models without routers",
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("pictures"), help="folder (default: pictures)")
    add_json(parser)


def run(args: Namespace) -> None:
    from mddit_ui.service import generate as service

    spec, policy = run_of(args)
    prompts = tuple(prompt for prompt in args.prompt for _ in range(args.images))
    classes = tuple(label for label in args.classes for _ in range(args.images))
    config = config_of(args, spec, prompts, classes)
    policy = fitted(policy, spec, args)

    more = {"inpainting": read_inpainting(args.image, args.mask), "tokens": args.tokens}
    reference = _generate(spec, None, config, more) if args.compare and policy else None
    result = _generate(spec, policy, config, more)
    score = service.score(spec.id, result, config, reference=reference)
    files = _write(args.out, spec, policy, config, result)
    if reference:
        files += _write(args.out, spec, None, config, reference)

    facts = {name: getattr(result, name) for name in ("wall_seconds", "transformer_seconds", "macs", "full_macs")}
    if args.json:
        told: dict[str, Any] = {"files": files, "peak_cache_bytes": result.peak_cache_bytes, "score": score.to_dict()}
        emit({"model": spec.id, "policy": policy.digest if policy else "full", **facts, **told})
        return
    say(*files, _cost(result), score_line(score))
    if reference:
        say(f"full depth: {_cost(reference)}")


def _cost(result: RunResult) -> str:
    return (
        f"{amount(result.macs, 'MACs')} of {amount(result.full_macs, 'MACs')} "
        f"(budget {result.macs / result.full_macs:.3f}), {result.wall_seconds:.2f} s, "
        f"{result.transformer_seconds:.2f} s of it in the transformer, cache {amount(result.peak_cache_bytes, 'B')}"
    )


def _generate(spec: ModelSpec, policy: Policy | None, config: GenerationConfig, more: dict[str, Any]) -> RunResult:
    from mddit_ui.service import generate as service

    with progress(config.steps, "step") as bar:

        def on_step(event: Any) -> None:
            bar.total = event.steps
            bar.update(event.step + 1 - bar.n)

        return service.generate(spec.id, policy, config, on_step=on_step, **more)


def _write(
    folder: Path, spec: ModelSpec, policy: Policy | None, config: GenerationConfig, result: RunResult
) -> list[str]:
    """One PNG an image; the name says the model, the policy, which image and its seed."""
    from PIL import Image

    stem = f"{spec.id.strip('/').replace('/', '--')}-{policy.digest[:8] if policy else 'full'}"
    files = [folder / f"{stem}-{index}-seed{seed}.png" for index, seed in enumerate(config.image_seeds)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, image in zip(files, result.images, strict=True):
            Image.fromarray(image).save(path)
    except OSError as error:
        raise MdditError(f"Can't write into {str(folder)!r}: {error.strerror or error}.") from None
    return [str(path) for path in files]


VERB = Verb("make pictures with a policy", add_arguments, run)
