"""What the verbs print: tables and pictures for people, one JSON value for programs."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tqdm import tqdm

from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score


def plain(text: object) -> str:
    """Names come from files of other people: no character may steer the terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(text))


def say(*lines: object) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


def emit(value: Any) -> None:
    """The one JSON value of a command with ``--json``."""
    say(json.dumps(value, indent=1, allow_nan=False))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines with aligned columns; ``None`` is a dash."""
    cells = [list(head), *([("-" if cell is None else plain(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def picture(policy: Policy, macs: MacTable | None = None) -> list[str]:
    """The policy, one step a line, with its timestep and its share of a full step's MACs."""
    head = f"{plain(policy.name)}: {policy.steps} steps x {policy.actions.shape[1]} sites"
    if policy.model:
        head += f", made for {plain(policy.model)}"
    if macs is not None:
        head += f", budget {policy.budget(macs):.3f}"
    shares = macs.by_step(policy.actions, policy.keep) / macs.full(1) if macs is not None else None
    lines = [head, ""]
    for step, row in enumerate(policy.rows):
        time = f"{policy.timesteps[step]:7.1f}" if policy.timesteps else ""
        share = f"{shares[step]:6.0%}" if shares is not None else ""
        lines.append(f"{step:4} {time}  {row} {share}".rstrip())
    return [*lines, "", "# compute   = cache   . skip"]


def score_line(score: Score) -> str:
    """The numbers that there are."""
    parts = []
    if score.clip_score is not None:
        parts.append(f"CLIP {score.clip_score:.2f} ({plain(score.clip_backbone)})")
    if score.psnr is not None:
        parts.append(f"PSNR {score.psnr:.2f} dB")
    if score.ssim is not None:
        parts.append(f"SSIM {score.ssim:.4f}")
    if score.latent_error is not None:
        parts.append(f"latent error {score.latent_error:.4g}")
    return ", ".join(parts) or "nothing to score it with"


def amount(value: float, unit: str) -> str:
    """1.5e9, "MACs" -> "1.5 GMACs"."""
    power = min(int(math.log10(value)) // 3, 5) if value >= 1 else 0
    return f"{value / 1000**power:.3g} {('', *'kMGTP')[power]}{unit}"


def duration(seconds: float) -> str:
    """75 -> "1:15", 3700 -> "1:01:40"."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def progress(total: int, unit: str, bar_format: str | None = None) -> tqdm:
    """A bar on stderr, when a person watches."""
    return tqdm(total=total, unit=unit, file=sys.stderr, disable=None, leave=False, bar_format=bar_format)
