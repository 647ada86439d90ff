"""Understand: how alike neighbouring steps are, and where the MACs go."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.charts import macs, similarity
from mddit_ui.core.errors import Cancelled
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Calibration
from mddit_ui.service import calibrate as service
from mddit_ui.ui import captions
from mddit_ui.ui.chart import ChartView, PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import short_labels
from mddit_ui.ui.parts import Inputs, busy, cancel, heading, idle, known_model, request_of, shape_of, view_of
from mddit_ui.ui.running import Progress, watch

PROMPTS = 8
NOT_MEASURED = "Not measured yet. One full-depth run on eight captions shows which blocks change between steps."

MEASURED = "The grid now predicts the error of what you paint, and can show similarity and sensitivity."


class Tab(NamedTuple):
    """Components that other parts update."""

    macs: PlotlyChart
    similarity: PlotlyChart


def build(inputs: Inputs, calibration: gr.State) -> Tab:
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Where the MACs go", "follows the grid")
            cost = PlotlyChart("Paint something to see where its MACs go.", elem_id="chart-macs")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Similarity of neighbouring steps", "full depth, mean over captions")
            alike = PlotlyChart(NOT_MEASURED, elem_id="chart-similarity")
            status = gr.Markdown("", elem_classes="m-note")
            with gr.Row(elem_classes="m-buttons"):
                go = gr.Button("Measure", size="md", elem_id="measure")
                stop = gr.Button("Cancel", size="md", variant="stop", visible=False)

    event = gr.State(None)

    @shown
    def measure(
        model: Any, policy: Policy | None, steps: Any, guidance: Any, scheduler: Any, event: Any
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
                    note = (
                        "The grid now predicts the error of what you paint, and can show similarity and sensitivity."
                        if view.similarity is not None
                        else ""
                    )
                    yield news, similarity_chart(news), view, note
        except Cancelled:
            yield gr.skip(), gr.skip(), gr.skip(), "Stopped."

    buttons: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    started = go.click(busy, None, [go, stop, event], **buttons)
    running = started.then(
        measure,
        [inputs.model, inputs.grid, inputs.steps, inputs.guidance, inputs.scheduler, event],
        [calibration, alike, inputs.grid, status],
        show_progress="hidden",
        concurrency_id="compute",
        concurrency_limit=1,
        api_visibility="private",
    )
    running.then(idle, None, [go, stop], **buttons)
    stop.click(cancel, event, None, **buttons)
    return Tab(cost, alike)


def macs_chart(model: str, policy: Policy, steps: int, scheduler: str) -> ChartView:
    """Where the MACs of this policy go."""
    shape = shape_of(model, steps, scheduler)
    info = macs.macs_info(policy, shape.mac_table, tuple(short_labels(shape.sites)))
    return ChartView(lambda dark: macs.macs_figure(info, dark), macs.READ)


def similarity_chart(calibration: Calibration) -> ChartView:
    info = similarity.similarity_info(calibration, tuple(short_labels(calibration.sites)))
    return ChartView(lambda dark: similarity.similarity_figure(info, dark), similarity.READ)
