"""What docs/results.md says of the tables that were measured."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mddit_ui.core.paths import atomic_write
from mddit_ui.core.policy import Policy
from mddit_ui.service.measure import Measurement

OURS = "our search"
UNSEEN_SEED = 10_000  # of the first picture that is judged; those of a search have the seeds 0, 1, ...
HEAD = """# Results

Each section is written by the command that it names. Do not edit: run it again.

Schedules are judged on pictures that nothing was chosen by: the first captions of the hold-out set (for a model with
classes: its classes in turn), with seeds that no search uses.

- Budget: MACs / MACs of full depth at all steps; asked, and what it is.
- CLIP score: mean and standard error, backbone `scenes-clip`. Gain: less that of full depth, paired by picture.
- Accuracy: the true caption is the CLIP's first, among 15 that are wrong in one attribute or those of all classes.
- CMMD: against real renders, lower is better. PSNR: against full depth at all steps with the same seeds.
- Speed-up: measured; `-` if the run measured no times.
"""


@dataclass(frozen=True)
class Sizes:
    """How much is done: pictures to judge by, pictures and evaluations of a search, the seed of what is random."""

    images: int
    search_images: int
    evaluations: int
    seed: int


class Line(NamedTuple):
    """One line: a schedule at a budget (``None``: its own), its policy if it has one, and what was measured."""

    name: str
    budget: float | None
    policy: Policy | None
    found: Measurement
    speedup: float | None = None


class Table(NamedTuple):
    """One setting: ``lines[0]`` is full depth."""

    setting: str
    model: str
    steps: int
    guidance: float
    lines: list[Line]


def put_table(path: Path, table: Table, sizes: Sizes, command: str) -> None:
    """Write one setting into docs/results.md, with the command that measured it; its other sections stay."""
    put_section(path, table.setting, _section(table, sizes, command))


def put_section(path: Path, name: str, text: str) -> None:
    """Write one section of docs/results.md between its marks, in its place or at the end; the rest stays."""
    page = path.read_text() if path.is_file() else HEAD
    marked = f"<!-- {name} -->\n{text}\n<!-- end of {name} -->\n"
    before = _marked(name).search(page)
    page = page.replace(before[0], marked) if before else f"{page}\n{marked}"
    atomic_write(path, page)


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- ({name}) -->\n.*?<!-- end of \1 -->\n", re.DOTALL)


def _section(table: Table, sizes: Sizes, command: str) -> str:
    full = table.lines[0].found
    lines = [
        f"## ({table.setting}) {table.model}, {table.steps} steps, guidance {table.guidance:g}",
        "",
        f"Made with `{command}`: {sizes.images} pictures to judge by, seeds {UNSEEN_SEED} and up; searches of "
        f"{sizes.evaluations} policies on {sizes.search_images} other captions, search seed {sizes.seed}.",
        "",
        "| schedule | asked | budget | CLIP score | gain | accuracy | CMMD | PSNR, dB | MACs an image | speed-up |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(_row(line, full) for line in table.lines),
        "",
        *_verdicts(table),
        "",
        f"![full depth, then our search at each budget](results/{table.model}-{table.steps}.png)",
    ]
    return "\n".join(lines)


def _row(line: Line, full: Measurement) -> str:
    found = line.found
    gain, error = _gain(found, full)
    cells = (
        line.name,
        "" if line.budget is None else f"{line.budget:g}",
        f"{found.budget:.3f}",
        f"{found.clip_score:.2f} ± {found.clip_error:.2f}",
        "" if found is full else f"{gain:+.2f} ± {error:.2f}",
        "-" if found.accuracy is None else f"{found.accuracy:.1%}",
        "-" if found.cmmd is None else f"{found.cmmd:.2f}",
        "-" if found.psnr is None else f"{found.psnr:.2f} ± {found.psnr_error:.2f}",
        f"{found.macs / found.images / 1e9:.2f} G",
        "-" if line.speedup is None else f"{line.speedup:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def _gain(found: Measurement, other: Measurement) -> tuple[float, float]:
    """Mean difference of the CLIP scores, picture by picture, and its standard error."""
    difference = np.subtract(found.clip_scores, other.clip_scores)
    return float(difference.mean()), float(difference.std(ddof=1) / len(difference) ** 0.5)


def _verdicts(table: Table) -> Iterator[str]:
    """What is to be shown, and whether it is: our search beside full depth and beside the best rival at each budget."""
    full = table.lines[0].found
    for ours in (line for line in table.lines if line.name == OURS):
        gain, _ = _gain(ours.found, full)
        within = "within" if gain >= -(full.clip_error or 0) else "NOT within"
        others = [
            line for line in table.lines[1:]
            if line.name not in (OURS, "full depth") and line.found.budget <= ours.found.budget + 0.02
        ]  # fmt: skip
        near = max(others, key=lambda line: line.found.psnr or 0)
        like = max(others, key=lambda line: line.found.clip_score or 0)
        behind, error = _gain(ours.found, like.found)
        yield (
            f"- budget {ours.budget:g}: CLIP score {within} one standard error of full depth; PSNR "
            f"{ours.found.psnr or 0:.2f} dB, best rival {near.found.psnr or 0:.2f} dB ({near.name}); CLIP score "
            f"{behind:+.2f} ± {error:.2f} beside the best rival's ({like.name})"
        )
