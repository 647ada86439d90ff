"""A policy as a script of its own: the table inlined, the model named, nothing to fill in before it runs."""

from collections.abc import Mapping
from typing import Any

from mddit_ui.core.policy import Action, Policy

_SCRIPT = '''"""Runs a depth schedule: {steps} x {sites} cells, {share:.0%} computed; needs diffusers and mddit_ui.

    python THIS_FILE {example} -o picture.png
"""

import argparse

import torch
from diffusers import DiffusionPipeline
from mddit_ui import Policy, apply_policy

MODEL = {source!r}  # a hub id, or a folder

# One row a step, the noisiest first; one letter a site: # compute, = add the cached residual, . skip.
POLICY = Policy.from_rows(
    [
{rows}
    ],
{more})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", nargs="?", default={subject!r}, type={kind}, help="{what}")
    parser.add_argument("--model", default=MODEL, help="hub id or folder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", default="picture.png")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    pipe = DiffusionPipeline.from_pretrained(args.model, dtype=dtype).to(device)
    with apply_policy(pipe, POLICY) as applied:
        image = pipe(
            [args.subject],
            generator=torch.Generator().manual_seed(args.seed),
{arguments}
        ).images[0]
    image.save(args.out)
    print(applied.report())


if __name__ == "__main__":
    main()
'''


def script(policy: Policy, source: str, arguments: Mapping[str, Any], subject: str | int) -> str:
    """The text of the script.

    Args:
        source: what ``from_pretrained`` is given.
        arguments: of the call of the pipeline, besides the subject and the generator; plain values.
        subject: the prompt (or, for a model with classes, the number) that is drawn when none is named.
    """
    named = {"sites": policy.sites, "timesteps": policy.timesteps, "model": policy.model, "name": policy.name}
    more = "".join(f"    {name}={value!r},\n" for name, value in named.items() if value)
    if policy.carry != "residual":
        more += f"    carry={policy.carry!r},\n"
    if policy.keep is not None:
        more += f"    keep={[[round(share, 4) for share in row] for row in policy.keep.tolist()]!r},\n"
    is_prompt = isinstance(subject, str)
    return _SCRIPT.format(
        steps=policy.steps,
        sites=policy.actions.shape[1],
        share=(policy.actions == Action.COMPUTE).mean(),
        example='"a prompt"' if is_prompt else "207",
        source=source,
        rows="\n".join(f"        {row!r}," for row in policy.rows),
        more=more,
        subject=subject,
        kind="str" if is_prompt else "int",
        what="what to draw" if is_prompt else "number of the class",
        arguments="\n".join(f"            {name}={value!r}," for name, value in arguments.items()),
    )
