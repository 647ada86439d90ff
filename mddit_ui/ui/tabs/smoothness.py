"""How smooth a model's features are, along its steps and around one of them; beside another model, to compare."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from mddit_ui.charts import smoothness as charts
from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import Cancelled
from mddit_ui.core.records import GenerationConfig, ModelSpec
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.service.smoothness import Surface, surface
from mddit_ui.ui import captions, download
from mddit_ui.ui.chart import ChartView, PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.parts import AT_ONCE, Inputs, cancel, cancellable, heading, known_model, request_of
from mddit_ui.ui.running import Progress, Report, watch

PROMPTS = 4
SURFACE_PROMPTS = 2  # each is run once for every point of the surface
NOT_MEASURED = "Not measured yet. Beside a model without long skip branches, one with them shows what they change."
NO_SURFACE = "Comes with the measurement: how far the features move when the latents are pushed."
ALONE = ""


@dataclass
class Found:
    """What has been measured by now, by the titles of the models."""

    calibrations: dict[str, Calibration] = field(default_factory=dict)
    surfaces: dict[str, Surface] = field(default_factory=dict)


def build(inputs: Inputs) -> None:
    with gr.Column(elem_classes="m-panel"):
        with gr.Row(elem_classes="m-top m-wrap"):
            heading("How smooth the features are", "what Skip-Cache lives on")
            beside = gr.Dropdown(
                [("no other", ALONE)], value=ALONE, label="Beside", elem_id="smooth-beside", min_width=190, scale=0
            )
            go = gr.Button("Measure", size="sm", elem_id="smooth-measure", scale=0, min_width=90)
            stop = gr.Button("Cancel", size="sm", variant="stop", visible=False, scale=0, min_width=90)
        status = gr.Markdown("", elem_classes="m-note", elem_id="smooth-status")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                steps = PlotlyChart(NOT_MEASURED, elem_id="chart-smooth-steps")
            with gr.Column(min_width=320):
                own = PlotlyChart(NO_SURFACE, elem_id="chart-surface")
            with gr.Column(min_width=320, visible=False) as column:
                other = PlotlyChart("", elem_id="chart-surface-beside")
    event = gr.State(None)

    @shown
    def measure(
        model: Any, rival: Any, number: Any, guidance: Any, scheduler: Any, cancelled: Any
    ) -> Iterator[list[Any]]:
        specs = [known_model(model), *([known_model(rival)] if rival and rival != model else [])]
        requests = [_request(spec, specs[0], number, guidance, scheduler) for spec in specs]
        nothing = [gr.skip()] * 4
        try:
            for news in watch(lambda report: _measured(specs, requests, report), cancelled):
                if isinstance(news, Progress):
                    yield [*nothing, news.text()]
                else:
                    yield [*_charts(news), ""]
        except Cancelled:
            yield [*nothing, "Stopped."]

    asked = [inputs.model, beside, inputs.steps, inputs.guidance, inputs.scheduler, event]
    beside.focus(lambda model: gr.Dropdown(choices=choices(model)), inputs.model, beside, **AT_ONCE)
    cancellable(
        go.click, (go, stop, event), measure, asked, [steps, own, other, column, status], show_progress_on=status
    )
    stop.click(cancel, event, None, **AT_ONCE)


def choices(model: Any) -> list[tuple[str, str]]:
    """The other models that are here and take the same kind of request."""
    spec = known_model(model)
    others = [each for each in catalog.list_models() if each.id != spec.id and each.conditioning == spec.conditioning]
    return [("no other", ALONE), *((each.title or each.id, each.id) for each in others if download.is_here(each))]


def _request(spec: ModelSpec, first: ModelSpec, steps: Any, guidance: Any, scheduler: Any) -> GenerationConfig:
    """The same captions and seeds for both."""
    known = captions.search_prompts(first, PROMPTS) if first.conditioning == "prompt" else captions.examples(first)
    prompts = list(known)[:PROMPTS]
    return request_of(spec, prompts, range(len(prompts)), steps, guidance, scheduler)


def _measured(specs: list[ModelSpec], requests: list[GenerationConfig], report: Report) -> Found:
    """Called in a thread."""
    found = Found()
    titles = [spec.title or spec.id for spec in specs]
    if len(set(titles)) < len(titles):
        titles = [spec.id for spec in specs]
    for title, spec, request in zip(titles, specs, requests, strict=True):
        report(f"{title}: loading", 0, 0)
        told = lambda event, title=title: report(f"{title}: steps", event.step + 1, event.steps)  # noqa: E731
        found.calibrations[title] = calibrate(spec.id, request, on_step=told)
        few = request.replace(
            prompts=request.prompts[:SURFACE_PROMPTS],
            classes=request.classes[:SURFACE_PROMPTS],
            seeds=request.image_seeds[:SURFACE_PROMPTS],
        )
        told = lambda event, title=title: report(f"{title}: surface", event.step + 1, event.steps)  # noqa: E731
        found.surfaces[title] = surface(spec.id, few, on_step=told)
    return found


def _charts(found: Found) -> list[Any]:
    """The lines, one or two surfaces on one scale, and whether there is a second."""
    lines = charts.smoothness_info(found.calibrations)
    low = min(float(each.similarity.min()) for each in found.surfaces.values())
    views = [_surface(title, each, low) for title, each in found.surfaces.items()]
    second = views[1] if len(views) > 1 else gr.skip()
    steps = ChartView(lambda dark: charts.smoothness_figure(lines, dark), charts.READ_STEPS)
    return [steps, views[0], second, gr.Column(visible=len(views) > 1)]


def _surface(title: str, found: Surface, low: float) -> ChartView:
    info = charts.surface_info(found.pushes, found.similarity, title=f"{title}, t {found.timestep:.0f}", low=low)
    return ChartView(lambda dark: charts.surface_figure(info, dark), charts.READ_SURFACE)
