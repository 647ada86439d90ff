"""What docs/results.md says of the tables that were measured."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mddit_ui.core.paths import atomic_write
from mddit_ui.core.policy import Policy
from mddit_ui.search.finals import FINALISTS, FRESH_IMAGES
from mddit_ui.service.measure import Measurement

OURS = "our search"
UNSEEN_SEED = 10_000  # of the first picture that is judged; those of a search have the seeds 0, 1, ...
CHOICE = f"at least {FRESH_IMAGES} fresh pictures choose, of the best {FINALISTS} policies and {FINALISTS} starts"
HEADS = ("schedule", "asked", "budget", "CLIP score", "gain", "accuracy", "CMMD", "PSNR", "MACs an image", "speed-up")
INTRODUCTION = """# Results

Each section is written by the command that it names. Do not edit: run it again.

Schedules are judged on pictures that nothing was chosen by: the first captions of the hold-out set (for a model with
classes: its classes in turn), with seeds that no search uses.

- Budget: MACs / MACs of full depth at all steps; asked, and what it is.
- CLIP score: mean and standard error, backbone `scenes-clip`. Gain: less that of full depth, paired by picture.
- Accuracy: the true caption is the CLIP's first, among 15 that are wrong in one attribute or those of all classes.
- CMMD: against real renders, lower is better. PSNR: against full depth at all steps with the same seeds, in dB.
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
    page = path.read_text() if path.is_file() else INTRODUCTION
    marked = f"<!-- {name} -->\n{text}\n<!-- end of {name} -->\n"
    before = _marked(name).search(page)
    page = page.replace(before[0], marked) if before else f"{page}\n{marked}"
    atomic_write(path, page)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Iterator[str]:
    """A table in Markdown, line by line; all columns but the first ``words`` hold numbers."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * words + "---:|" * (len(head) - words)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def figures(found: Measurement) -> dict[str, str]:
    """The cells of what was measured, by their heads."""
    return {
        "budget": f"{found.budget:.3f}",
        "MACs an image": f"{found.macs / found.images / 1e9:.2f} G",
        "CLIP score": "-" if found.clip_score is None else f"{found.clip_score:.2f} ± {found.clip_error or 0:.2f}",
        "accuracy": "-" if found.accuracy is None else f"{found.accuracy:.1%}",
        "CMMD": "-" if found.cmmd is None else f"{found.cmmd:.2f}",
        "PSNR": "-" if found.psnr is None else f"{found.psnr:.2f} ± {found.psnr_error or 0:.2f}",
    }


def speed(speedup: float | None) -> str:
    return "-" if speedup is None else f"{speedup:.2f}"


def gain(found: Measurement, other: Measurement) -> tuple[float, float]:
    """Mean difference of the CLIP scores, picture by picture, and its standard error."""
    return paired(found.clip_scores, other.clip_scores)


def paired(values: ArrayLike, reference: ArrayLike) -> tuple[float, float]:
    """Mean difference of paired values, and its standard error."""
    difference = np.subtract(values, reference)
    return float(difference.mean()), float(difference.std(ddof=1) / len(difference) ** 0.5)


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- ({name}) -->\n.*?<!-- end of \1 -->\n", re.DOTALL)


def _section(table: Table, sizes: Sizes, command: str) -> str:
    full = table.lines[0].found
    lines = [
        f"## ({table.setting}) {table.model}, {table.steps} steps, guidance {table.guidance:g}",
        "",
        f"Made with `{command}`: {sizes.images} pictures to judge by, seeds {UNSEEN_SEED} and up; searches of "
        f"{sizes.evaluations} policies on {sizes.search_images} other captions, search seed {sizes.seed}; {CHOICE}.",
        "",
        *grid(HEADS, (_row(line, full) for line in table.lines)),
        "",
        *_verdicts(table),
        "",
        f"![full depth, then our search at each budget](results/{table.model}-{table.steps}.png)",
    ]
    return "\n".join(lines)


def _row(line: Line, full: Measurement) -> list[str]:
    cells = {
        **figures(line.found),
        "schedule": line.name,
        "asked": "" if line.budget is None else f"{line.budget:g}",
        "gain": "" if line.found is full else "{:+.2f} ± {:.2f}".format(*gain(line.found, full)),
        "speed-up": speed(line.speedup),
    }
    return [cells[head] for head in HEADS]


def _verdicts(table: Table) -> Iterator[str]:
    """What is to be shown, and whether it is: our search beside full depth and beside the best rival at each budget."""
    full = table.lines[0].found
    for ours in (line for line in table.lines if line.name == OURS):
        lost, _ = gain(ours.found, full)
        within = "within" if lost >= -(full.clip_error or 0) else "NOT within"
        others = [
            line for line in table.lines[1:]
            if line.name not in (OURS, "full depth") and line.found.budget <= ours.found.budget + 0.02
        ]  # fmt: skip
        near = max(others, key=lambda line: line.found.psnr or 0)
        like = max(others, key=lambda line: line.found.clip_score or 0)
        behind, error = gain(ours.found, like.found)
        yield (
            f"- budget {ours.budget:g}: CLIP score {within} one standard error of full depth; PSNR "
            f"{ours.found.psnr or 0:.2f} dB, best rival {near.found.psnr or 0:.2f} dB ({near.name}); CLIP score "
            f"{behind:+.2f} ± {error:.2f} beside the best rival's ({like.name})"
        )
