"""Understand: what a full-depth run tells about every cell, where the MACs go, and where the time goes."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.charts import macs, profile, residual, sensitivity, similarity
from mddit_ui.core.calibration import Calibration
from mddit_ui.core.errors import Cancelled
from mddit_ui.core.policy import Policy
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.service import calibrate as service
from mddit_ui.service import generate as runs
from mddit_ui.ui import captions
from mddit_ui.ui.chart import ChartView, PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import short_labels
from mddit_ui.ui.parts import (
    AT_ONCE,
    Inputs,
    cancel,
    cancellable,
    heading,
    known_model,
    request_of,
    session_of,
    shape_for,
    view_of,
)
from mddit_ui.ui.running import Progress, Report, watch
from mddit_ui.ui.tabs import routing, smoothness

PROMPTS = 8
TIMED_RUNS, ENOUGH_SECONDS = 3, 10  # of each policy, if the first ones took less than that in all
NOT_MEASURED = "Not measured yet. One full-depth run on eight captions shows which blocks change between steps."
NOT_TIMED = "Not timed yet. Runs at full depth and with the policy in the grid, in turn, show how long each step takes."
MEASURED = "The grid now predicts the error of what you paint, and can show similarity and sensitivity."
MAPS = {"Between steps": "steps", "Between blocks": "blocks", "Residual size": "residual", "Sensitivity": "sensitivity"}


class Tab(NamedTuple):
    """Components that other parts update."""

    macs: PlotlyChart
    similarity: PlotlyChart
    routing: routing.Panel


def build(inputs: Inputs, name: gr.Textbox, calibration: gr.State) -> Tab:
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=360):
            with gr.Row(elem_classes="m-top m-wrap"):
                heading("Every cell at full depth", "mean over captions; click a cell to see it in the grid")
                go = gr.Button("Measure", size="sm", elem_id="measure", scale=0, min_width=90)
                stop = gr.Button("Cancel", size="sm", variant="stop", visible=False, scale=0, min_width=90)
            kind = gr.Radio(
                list(MAPS), value="Between steps", show_label=False, elem_classes="m-seg", elem_id="map-kind",
                label="What to show",
            )  # fmt: skip
            alike = PlotlyChart(NOT_MEASURED, elem_id="chart-similarity")
            status = gr.Markdown("", elem_classes="m-note")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Where the MACs go", "follows the grid")
            cost = PlotlyChart("Paint something to see where its MACs go.", elem_id="chart-macs")
    with gr.Column(elem_classes="m-panel"):
        with gr.Row(elem_classes="m-top m-wrap"):
            heading("Where the time goes", "on this machine, one picture")
            clock = gr.Button("Time the steps", size="sm", elem_id="time-steps", scale=0, min_width=130)
            halt = gr.Button("Cancel", size="sm", variant="stop", visible=False, scale=0, min_width=90)
        times = PlotlyChart(NOT_TIMED, elem_id="chart-time")

    tokens = routing.build(inputs, name)
    smoothness.build(inputs)

    event, other = gr.State(None), gr.State(None)

    @shown
    def measure(
        model: Any, policy: Policy | None, steps: Any, guidance: Any, scheduler: Any, chosen: Any, event: Any
    ) -> Iterator[Any]:
        spec = known_model(model)
        prompts = captions.search_prompts(spec, PROMPTS) if spec.conditioning == "prompt" else captions.examples(spec)
        config = request_of(spec, prompts, range(len(prompts)), steps, guidance, scheduler)

        def work(report: Any) -> Calibration:
            report("Loading the model", 0, 0)
            return service.calibrate(
                spec.id, config, on_step=lambda event: report("Step", event.step + 1, event.steps, None)
            )

        try:
            for news in watch(work, event):
                if isinstance(news, Progress):
                    yield gr.skip(), gr.skip(), gr.skip(), news.text()
                else:
                    view = view_of(spec.id, policy, config.steps, config.scheduler, news)
                    yield news, map_chart(news, chosen), view, MEASURED if view.similarity is not None else ""
        except Cancelled:
            yield gr.skip(), gr.skip(), gr.skip(), "Stopped."

    @shown
    def clocked(event: Any, *values: Any) -> Iterator[Any]:
        session = session_of(*values)
        one = session.config.replace(
            prompts=session.config.prompts[:1], classes=session.config.classes[:1], seeds=session.config.image_seeds[:1]
        )

        def work(report: Report) -> ChartView:
            report("Loading the model", 0, 0)
            runs.generate(session.model, None, one.replace(steps=min(2, one.steps)))  # loads, and warms up
            full, ours = list[list[float]](), list[list[float]]()
            begun = time.perf_counter()
            while not ours or (len(ours) < TIMED_RUNS and time.perf_counter() - begun < ENOUGH_SECONDS):
                for ends, policy, name in ((full, None, "Full depth"), (ours, session.policy, "This policy")):
                    run = partial(runs.generate, session.model, policy, one)
                    ends.append(_step_ends(run, report, name))
            table = shape_for(session.policy, session.model, one.steps, one.scheduler).mac_table
            share = table.by_step(session.policy.actions, session.policy.keep) / float(
                table.site_macs.sum() + table.rest_macs
            )
            info = profile.profile_info(ours, full, share, session.policy.name)
            return ChartView(lambda dark: profile.profile_figure(info, dark), profile.READ)

        try:
            for news in watch(work, event):
                yield news.text() if isinstance(news, Progress) else news
        except Cancelled:
            yield "Stopped."

    asked = [inputs.model, inputs.grid, inputs.steps, inputs.guidance, inputs.scheduler, kind, event]
    cancellable(
        go.click, (go, stop, event), measure, asked, [calibration, alike, inputs.grid, status], show_progress_on=status
    )
    stop.click(cancel, event, None, **AT_ONCE)
    kind.input(
        lambda measured, chosen: NOT_MEASURED if measured is None else map_chart(measured, chosen),
        [calibration, kind],
        alike,
        **AT_ONCE,
    )
    cancellable(clock.click, (clock, halt, other), clocked, [other, *inputs], times)
    halt.click(cancel, other, None, **AT_ONCE)
    return Tab(cost, alike, tokens)


def macs_chart(model: str, policy: Policy, steps: int, scheduler: str) -> ChartView:
    """Where the MACs of this policy go."""
    shape = shape_for(policy, model, steps, scheduler)
    info = macs.macs_info(policy, shape.mac_table, tuple(short_labels(shape.sites)))
    return ChartView(lambda dark: macs.macs_figure(info, dark), macs.READ)


def map_chart(calibration: Calibration, chosen: Any) -> ChartView:
    """One of the maps over the cells."""
    labels, kind = tuple(short_labels(calibration.sites)), MAPS.get(str(chosen), "steps")
    if kind == "residual":
        sizes = residual.residual_info(calibration, labels)
        return ChartView(lambda dark: residual.residual_figure(sizes, dark), residual.READ)
    if kind == "sensitivity":
        costs = sensitivity.sensitivity_info(Sensitivity.from_calibration(calibration), labels)
        return ChartView(lambda dark: sensitivity.sensitivity_figure(costs, dark), sensitivity.READ)
    if kind == "blocks":
        blocks = similarity.blocks_info(calibration, labels)
        return ChartView(lambda dark: similarity.similarity_figure(blocks, dark), similarity.READ_BLOCKS)
    steps = similarity.similarity_info(calibration, labels)
    return ChartView(lambda dark: similarity.similarity_figure(steps, dark), similarity.READ)


def _step_ends(run: Callable[..., Any], report: Report, name: str) -> list[float]:
    """When each step of a run ended, in seconds since it began."""
    begun, ends = time.perf_counter(), list[float]()

    def told(event: Any) -> None:
        ends.append(time.perf_counter() - begun)
        report(name, event.step + 1, event.steps)

    run(on_step=told)
    return ends
