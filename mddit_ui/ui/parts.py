"""What several parts of the page share: the inputs that make a session, and a policy fitted to a model."""

import html
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import ConfigError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig, ModelSpec
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.service import catalog
from mddit_ui.ui.errors import escaped
from mddit_ui.ui.grid import GridView
from mddit_ui.ui.quotas import is_public, quotas
from mddit_ui.ui.state import Session

NO_ROUTERS = "This model has no token routers: the cells that computed a share of the tokens compute all of them here."
MOST_PICTURES = 4  # pairs that are shown at one time
# Work with a model, one at a time in the whole app: Gradio says the place in the line on its output while it waits.
COMPUTE: dict[str, Any] = {
    "concurrency_id": "compute",
    "concurrency_limit": 1,
    "show_progress": "minimal",
    "api_visibility": "private",
}
# Short work, whose wait isn't shown: on nothing, or the browser goes through all outputs at each turn of the event.
QUIET: dict[str, Any] = {
    "concurrency_limit": None,
    "show_progress": "hidden",
    "show_progress_on": [],
    "api_visibility": "private",
}
AT_ONCE: dict[str, Any] = {**QUIET, "queue": False}  # outside the line


class Inputs(NamedTuple):
    """The components whose values are the session, in the order of `session_of`."""

    model: gr.Dropdown
    grid: Any
    prompt: gr.Textbox
    seed: gr.Number
    steps: gr.Number
    guidance: gr.Number
    scheduler: gr.Dropdown
    pictures: gr.Radio


def session_of(
    model: Any, policy: Policy | None, prompt: Any, seed: Any, steps: Any, guidance: Any, scheduler: Any, count: Any
) -> Session:
    """The session that the page shows: one caption with ``count`` seeds, or one picture for each line of the captions.

    Raises:
        ConfigError, ModelError: a value is out of bounds; the message says which.
    """
    spec = known_model(model)
    if policy is None:
        raise ConfigError("The grid is still empty; wait until the model is there.")
    lines = [line for line in str(prompt or "").splitlines() if line.strip()] or [""]
    if len(lines) > MOST_PICTURES:
        raise ConfigError(
            f"One picture is made for each line, and {MOST_PICTURES} at most; there are {len(lines)} lines."
        )
    first = _whole(seed, "The seed")
    seeds: Sequence[int] = (first,)
    if len(lines) == 1:
        seeds = range(first, first + min(max(_whole(count, "Pictures"), 1), MOST_PICTURES))
        lines = lines * len(seeds)
    config = request_of(spec, lines, seeds, steps, guidance, scheduler)
    return Session(spec.id, policy, quotas().check_request(config))


def asked(config: GenerationConfig) -> tuple[str, int]:
    """The caption box and the number of pictures of a request: the inverse of `session_of`."""
    subjects = config.prompts or tuple(str(number) for number in config.classes)
    if len(set(subjects)) == 1:
        return subjects[0], min(len(subjects), MOST_PICTURES)
    return "\n".join(subjects[:MOST_PICTURES]), 1


def request_of(
    spec: ModelSpec, prompts: Sequence[str], seeds: Sequence[Any], steps: Any, guidance: Any, scheduler: Any
) -> GenerationConfig:
    """A checked request for this model; a class-conditional one takes the prompts as class numbers."""
    subject: dict[str, Any] = {"prompts": tuple(text.strip() for text in prompts)}
    if spec.conditioning == "class":
        subject = {"classes": tuple(spec.class_of(text) for text in prompts)}
    elif not all(text.strip() for text in prompts):
        raise ConfigError("Write a caption first.")
    return GenerationConfig(
        **subject,
        seeds=tuple(_whole(seed, "The seed") for seed in seeds),
        steps=_whole(steps, "Steps"),
        guidance_scale=float(guidance or 0),
        scheduler=scheduler or "default",
        height=spec.height,
        width=spec.width,
    )


def known_model(model: Any) -> ModelSpec:
    """The spec; on a public page only of the models on the list."""
    if not isinstance(model, str) or not model:
        raise ConfigError("Choose a model first.")
    if is_public() and model not in {spec.id for spec in catalog.list_models()}:
        raise ConfigError("On this page only the models of the list can be used; duplicate the Space for others.")
    return catalog.get_model(model)


def view_of(
    model: str, policy: Policy | None, steps: int, scheduler: str, calibration: Calibration | None = None
) -> GridView:
    """The policy (full depth if there is none) fitted to the model and its steps, with what each cell costs."""
    shape = shape_for(policy, model, steps, scheduler)
    policy = fitted(policy, model, shape.sites, shape.timesteps)
    hint = ""
    if policy.keep is not None and shape.mac_table.routed is None:
        policy, hint = replace(policy, keep=None), NO_ROUTERS
    view = GridView(policy, shape.mac_table, shape.residual_bytes, hint=hint, skips=shape.skips)
    if calibration is None or calibration.model != model or calibration.step_similarity.shape != policy.actions.shape:
        return view
    sensitivity = Sensitivity.from_calibration(calibration)
    return replace(view, similarity=calibration.step_similarity, sensitivity=sensitivity)


@lru_cache(maxsize=128)
def shape_of(model: str, steps: int, scheduler: str) -> catalog.ModelView:
    """Blocks, timesteps and MACs of a model; kept, since a running generation keeps the model to itself."""
    return catalog.describe(model, steps, scheduler)


def shape_for(policy: Policy | None, model: str, steps: int, scheduler: str) -> catalog.ModelView:
    """The grid that a policy lies on: the blocks of a model, or the branches of its blocks."""
    shape = shape_of(model, steps, scheduler)
    return shape if policy is None else shape.of_width(policy.actions.shape[1])


def fitted(policy: Policy | None, model: str, sites: Sequence[str], timesteps: Sequence[float]) -> Policy:
    """The policy for this model and these steps: its rows resampled; full depth if the blocks don't agree."""
    if policy is None or policy.actions.shape[1] != len(sites):
        return Policy.full(len(timesteps), tuple(sites), timesteps=tuple(timesteps), model=model, name="full depth")
    if policy.steps != len(timesteps):
        policy = policy.resample(steps=len(timesteps))
    return replace(policy, sites=tuple(sites), timesteps=tuple(timesteps), model=model)


def cancellable(
    begun: Callable[..., Any],
    buttons: tuple[gr.Button, gr.Button, gr.State],
    work: Callable[..., Any],
    inputs: Any,
    outputs: Any,
    **more: Any,
) -> Any:
    """Long work that ``begun`` starts, such as the click of a button; returns the event after which it has ended.

    Args:
        buttons: start, cancel, and the event that the second one sets; while the work runs it stands for the first.
    """
    *pair, _ = buttons
    ran = begun(busy, None, [*buttons], **AT_ONCE).then(work, inputs, outputs, **COMPUTE, **more)
    ran.failure(idle, None, pair, **AT_ONCE)  # Gradio's "then" doesn't come after an error, whatever its words say
    return ran.then(idle, None, pair, **AT_ONCE)


def busy() -> list[Any]:
    """New values of a start and a cancel button while the work runs, and the event that cancel sets."""
    return [gr.Button(visible=False), gr.Button(visible=True), threading.Event()]


def cancel(event: threading.Event | None) -> None:
    """The handler of a cancel button; the work ends at its next report, and says so itself."""
    if event is not None:
        event.set()


def idle() -> list[Any]:
    """New values of the two buttons when it has ended."""
    return [gr.Button(visible=True), gr.Button(visible=False)]


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Name and value pairs as HTML; every text is escaped here."""
    items = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="m-facts">{items}</dl>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as HTML; every text is escaped here."""
    titles = "".join(f'<th scope="col">{escaped(text)}</th>' for text in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escaped(text)}</td>' for text in row)}</tr>" for row in rows)
    inner = f"<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody>"
    return f'<div class="m-scroll"><table class="m-table">{inner}</table></div>'


def heading(title: str, text: str = "") -> gr.HTML:
    """The title of a panel; constant words only."""
    note = f"<p>{html.escape(text)}</p>" if text else ""
    return gr.HTML(f'<div class="m-heading"><h2>{html.escape(title)}</h2>{note}</div>', padding=False)


def with_unit(value: float, unit: str) -> str:
    """``4.99 GMACs``: three digits and a prefix."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.0f} {unit}"


def _whole(value: Any, name: str) -> int:
    """A whole number; browsers send 7.0 for 7, and JSON may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or int(value) != value:
        raise ConfigError(f"{name} must be a whole number, got {str(value)[:40]!r}.")
    return int(value)
