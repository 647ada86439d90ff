"""``mddit evaluate``: how good a policy is on a set of prompts, against full depth and against real pictures."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from mddit_ui.cli.options import add_json, add_prompt_set, add_run, fitted, prompts_of, run_of
from mddit_ui.cli.output import amount, emit, plain, progress, say
from mddit_ui.cli.verb import Verb

if TYPE_CHECKING:
    from mddit_ui.service.measure import Measurement


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    add_prompt_set(parser, images=16)
    add_json(parser)


def run(args: Namespace) -> None:
    from mddit_ui.service.measure import Trial, measure

    spec, policy = run_of(args)
    more = {} if args.guidance is None else {"guidance_scale": args.guidance}
    prompts = prompts_of(spec, args)
    trial = Trial.of(spec.id, prompts, seed=args.seed, steps=args.steps, scheduler=args.scheduler, **more)
    policy = fitted(policy, spec, args)
    with progress(len(prompts), "image") as bar:
        found = measure(trial, policy, on_image=lambda done, total: bar.update(done - bar.n))
    facts = found.to_dict()
    del facts["clip_scores"]
    if args.json:
        digest = policy.digest if policy else "full"
        emit({"model": spec.id, "policy": digest, "budget": found.budget, "score": facts})
        return
    say(f"{found.images} images at budget {found.budget:.3f}: {_line(found)}")


def _line(found: "Measurement") -> str:
    """The numbers that there are."""
    parts = [f"{amount(found.macs, 'MACs')} in {found.wall_seconds:.1f} s"]
    if found.clip_score is not None:
        error = "" if found.clip_error is None else f" +- {found.clip_error:.2f}"
        parts.append(f"CLIP {found.clip_score:.2f}{error} ({plain(found.clip_backbone)})")
    if found.accuracy is not None:
        parts.append(f"accuracy {found.accuracy:.1%}")
    if found.psnr is not None:
        parts.append(f"PSNR {found.psnr:.2f} dB, SSIM {found.ssim:.4f}, latent error {found.latent_error:.4g}")
    if found.cmmd is not None:
        parts.append(f"CMMD {found.cmmd:.3f}")
    return ", ".join(parts)


VERB = Verb("score a policy on a set of prompts", add_arguments, run)
