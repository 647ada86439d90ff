"""The form of a new search: what it asks for, how long that would take, and the settings of an earlier one."""

from dataclasses import replace
from typing import Any, NamedTuple, get_args

import gradio as gr

from mddit_ui.core.errors import MdditError, SearchError
from mddit_ui.core.policy import Policy, actions_from_rows, repair
from mddit_ui.core.records import MethodName, SearchConfig
from mddit_ui.service import searches as service
from mddit_ui.store.search_rows import SearchRow
from mddit_ui.ui import captions, searching
from mddit_ui.ui.api import running
from mddit_ui.ui.display import Number
from mddit_ui.ui.grid import GridView
from mddit_ui.ui.locks import locks_of
from mddit_ui.ui.parts import Inputs, heading, known_model, shape_of, view_of
from mddit_ui.ui.quotas import quotas

PROMPTS = 12
BOTH = "both"  # weighed as suits so many captions


class Form(NamedTuple):
    """Its components, in the order of `begin`."""

    budget: gr.Slider
    evaluations: gr.Number
    seed: gr.Number
    prompts: gr.Textbox
    least: gr.Number
    method: gr.Dropdown
    closeness: gr.Dropdown
    racing: gr.Checkbox
    warm: gr.Checkbox
    locked: gr.Checkbox
    carry: gr.Radio


def build() -> tuple[Form, gr.Button, gr.Markdown]:
    """The form, its button, and the place of the estimate."""
    heading("New search", "in a process of its own; close the tab and come back")
    number: dict[str, Any] = {"precision": 0, "min_width": 110}
    budget = gr.Slider(10, 95, 50, step=1, label="Budget, % of full MACs", elem_id="search-budget")
    with gr.Row(elem_classes="m-tight"):
        evaluations = Number(
            120, label="Evaluations", minimum=1, maximum=100_000, elem_id="search-evaluations", **number
        )
        seed = Number(1, label="Search seed", minimum=1, **number)
    with gr.Row(elem_classes="m-tight"):
        least = Number(0, label="Range from, % (0: none)", minimum=0, maximum=94, elem_id="search-least", **number)
        method = gr.Dropdown(
            list(get_args(MethodName)), value="cma-es", label="Optimiser", min_width=110, elem_id="search-method"
        )
    closeness = gr.Dropdown(**_objectives(None), label="Look for the highest", elem_id="search-closeness")
    prompts = gr.Textbox(label="Captions, one a line", lines=5, max_lines=8, elem_id="search-prompts")
    racing = gr.Checkbox(False, label="Bad policies are not tried on all captions (racing)", elem_id="search-racing")
    warm = gr.Checkbox(False, label="Start from the policy in the grid, too", elem_id="search-warm")
    locked = gr.Checkbox(True, label="Locked cells of the grid stay as they are", elem_id="search-locked")
    carry = gr.Radio(
        [("Residual", "residual"), ("Output, as Skip-Cache", "output")],
        value="residual",
        label="Cached cells reuse their last",
        elem_classes="m-seg",
        elem_id="search-carry",
    )
    estimate = gr.Markdown("", elem_classes="m-note", elem_id="search-estimate")
    with gr.Row(elem_classes="m-buttons"):
        start = gr.Button("Start search", variant="primary", size="md", elem_id="search-start")
    form = Form(budget, evaluations, seed, prompts, least, method, closeness, racing, warm, locked, carry)
    return form, start, estimate


def begin(
    model: Any, policy: Policy | None, steps: Any, guidance: Any, scheduler: Any, locks: Any, *values: Any
) -> str:
    """Start what the form and the desk ask for; the id of the search.

    Raises:
        ConfigError, SearchError, PolicyError: it can't be done; the message says why.
    """
    share, count, seed, lines, low, method, closeness, racing, warm, keep_locked, carry = values
    spec = known_model(model)
    texts = _captions(lines)
    config = SearchConfig(
        model=spec.id,
        prompts=texts,
        image_seeds=tuple(range(len(texts))),
        steps=int(steps),
        guidance_scale=float(guidance),
        scheduler=scheduler,
        budget=float(share) / 100,
        evaluations=int(count or 0),
        seed=int(seed or 1),
        least_budget=float(low) / 100 if low else None,
        method=method,
        closeness=None if closeness == BOTH else float(closeness),
        racing=bool(racing),
        start=policy.rows if warm and policy is not None else None,
        carry=carry or "residual",
    )
    kept = locks_of(locks, policy) if keep_locked else None
    if policy is not None and (config.start or kept):
        rows, blocks = policy.actions.shape[1], len(shape_of(spec.id, config.steps, scheduler).sites)
        if rows != blocks:
            raise SearchError(
                f"A search takes whole blocks: {spec.id} has {blocks}, the grid {rows} rows, one for each part. "
                "Search without the grid's policy and locks, or begin with a preset."
            )
    return service.start(quotas().check_search(config, running()), locked=kept)


def settings(search: Any, model: Any, policy: Policy | None, steps: Any, scheduler: Any) -> list[Any]:
    """Values of the form that ask for the same search again, then grid, steps, guidance and sampler of the desk."""
    row = searching.view(search)
    config = row.config
    if config.model != model:
        raise SearchError(f"This search is of {config.model}; choose that model first.")
    least = round(100 * (config.least_budget or 0))
    asked = [round(100 * config.budget), config.evaluations, config.seed, "\n".join(config.prompts)]
    switches = [config.racing, config.start is not None, row.locked is not None, config.carry]
    how = [config.steps, config.guidance_scale, config.scheduler]
    grid = _grid(row)
    if grid is None and (steps, scheduler) != (config.steps, config.scheduler):
        grid = view_of(config.model, policy, config.steps, config.scheduler)
    return [
        *asked,
        least,
        config.method,
        gr.Dropdown(**_objectives(config.closeness)),
        *switches,
        grid or gr.skip(),
        *how,
    ]


def estimate(model: Any, steps: Any, budget: Any, evaluations: Any, lines: Any) -> str:
    """Half-typed values are not worth a toast; then there is just no estimate."""
    try:
        return searching.estimate(model, len(_captions(lines)), int(steps), float(budget) / 100, int(evaluations))
    except (MdditError, TypeError, ValueError):
        return ""


def asked_of(inputs: Inputs) -> list[Any]:
    """The components of the desk that a search heeds, in the order of `begin`."""
    locks = inputs.grid.locks if inputs.grid.locks is not None else gr.State("")
    return [inputs.model, inputs.grid, inputs.steps, inputs.guidance, inputs.scheduler, locks]


def default_prompts(model: str) -> str:
    """The captions that a search starts with, one a line."""
    spec = known_model(model)
    return "\n".join(
        captions.search_prompts(spec, PROMPTS) if spec.conditioning == "prompt" else captions.examples(spec)
    )


def _grid(row: SearchRow) -> GridView | None:
    """The policy that a search started from with its locked cells; ``None`` if it had neither."""
    rows = row.config.start or (row.locked and [line.replace("?", "#") for line in row.locked])
    if not rows:
        return None
    policy = Policy(repair(actions_from_rows(rows)), carry=row.config.carry, name="as a search began")
    view = view_of(row.config.model, policy, row.config.steps, row.config.scheduler)
    return replace(view, locked=row.locked)


def _objectives(closeness: float | None) -> dict[str, Any]:
    """What may be looked for, a search's own closeness among it, and which of them that is."""
    choices: list[tuple[str, Any]] = [
        ("CLIP score and closeness to full depth", BOTH),
        ("CLIP score alone", 0.0),
    ]
    if closeness:
        choices.append((f"CLIP score + {closeness:g} x PSNR", closeness))
    return {"choices": choices, "value": BOTH if closeness is None else closeness}


def _captions(lines: Any) -> tuple[str, ...]:
    return tuple(line.strip() for line in str(lines or "").splitlines() if line.strip())
