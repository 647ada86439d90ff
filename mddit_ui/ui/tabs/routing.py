"""Token routing: the shares of the tokens that a model has learned to keep, and which patches it keeps in a run."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from mddit_ui.charts import ratios as charts
from mddit_ui.core.errors import Cancelled, ConfigError
from mddit_ui.core.records import ModelSpec
from mddit_ui.service import routed as service
from mddit_ui.ui.chart import ChartView, PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import GridView, short_labels
from mddit_ui.ui.pair import data_url
from mddit_ui.ui.parts import AT_ONCE, Inputs, cancel, cancellable, heading, known_model, session_of, view_of
from mddit_ui.ui.running import Progress, Report, watch

NO_RATIOS = "Choose a target: the share of the MACs that its ratios were trained to."
NOT_RUN = "Not run yet. One run of the policy in the grid shows which patches each block lets through, step by step."
SHOW_GRID = """() => { document.querySelector("#editor").scrollIntoView({block: "nearest"}); }"""
PATCH = 16  # pixels of a patch under its map


class Panel(NamedTuple):
    """Components that follow the model; `updates` gives their values."""

    panel: gr.Column
    target: gr.Radio
    ratios: PlotlyChart
    tokens: PlotlyChart


def build(inputs: Inputs, name: gr.Textbox) -> Panel:
    with gr.Column(elem_classes="m-panel", visible=False, elem_id="routing") as panel:
        with gr.Row(elem_classes="m-top m-wrap"):
            heading("Which tokens the blocks keep", "each has a router, and shares that it has learned")
            with gr.Row(elem_classes="m-buttons m-right"):
                take = gr.Button("Ratios into the grid", size="sm", elem_id="routing-take")
                go = gr.Button("Run and watch", size="sm", elem_id="routing-run")
                stop = gr.Button("Cancel", size="sm", variant="stop", visible=False)
        target = gr.Radio([], label="Target: share of the MACs", elem_classes="m-seg", elem_id="routing-target")
        status = gr.Markdown("", elem_classes="m-note", elem_id="routing-status")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320, scale=2):
                ratios = PlotlyChart(NO_RATIOS, elem_id="chart-ratios")
            with gr.Column(min_width=320, scale=3):
                tokens = PlotlyChart(NOT_RUN, elem_id="chart-tokens")
    event = gr.State(None)

    @shown
    def into_grid(chosen: Any, steps: Any, scheduler: Any) -> list[Any]:
        model, share = _of(chosen)
        policy = service.learned_policy(model, share, int(steps), scheduler)
        return [view_of(model, policy, int(steps), scheduler), policy.name]

    @shown
    def run(cancelled: Any, *values: Any) -> Iterator[list[Any]]:
        session = session_of(*values)

        def work(report: Report) -> Any:
            report("Loading the model", 0, 0)
            told = lambda event: report("Step", event.step + 1, event.steps)  # noqa: E731
            return service.importance(session.model, session.policy, session.config, on_step=told)

        try:
            for news in watch(work, cancelled):
                if isinstance(news, Progress):
                    yield [gr.skip(), news.text()]
                else:
                    kept, picture = news
                    yield [tokens_chart(kept, picture, short_labels(session.policy.sites)), ""]
        except Cancelled:
            yield [gr.skip(), "Stopped."]

    target.input(shown(lambda chosen: ratios_chart(*_of(chosen))), target, ratios, **AT_ONCE)
    take.click(into_grid, [target, inputs.steps, inputs.scheduler], [inputs.grid, name], **AT_ONCE).success(
        None, None, None, js=SHOW_GRID
    )
    cancellable(go.click, (go, stop, event), run, [event, *inputs], [tokens, status], show_progress_on=status)
    stop.click(cancel, event, None, **AT_ONCE)
    return Panel(panel, target, ratios, tokens)


def updates(spec: ModelSpec, view: GridView) -> list[Any]:
    """The panel for the model of a grid, at its smallest target; away for models without routers."""
    if view.table is None or view.table.routed is None:
        return [gr.Column(visible=False), gr.skip(), gr.skip(), gr.skip()]
    targets = sorted(service.learned(spec.id).ratios, reverse=True)
    choices = [(f"{target:.0%}", f"{spec.id} {target:g}") for target in targets]
    chart = ratios_chart(spec.id, targets[-1])
    return [gr.Column(visible=True), gr.Radio(choices=choices, value=choices[-1][1]), chart, NOT_RUN]


def ratios_chart(model: str, target: float) -> ChartView:
    """What a model has learned for a target.

    Raises:
        ModelError: it has no routers; ConfigError: it has not learned this one.
    """
    found = service.learned(model)
    if target not in found.ratios:
        raise ConfigError(f"{model} has not learned the target {target:g}; choose another one.")
    info = charts.ratios_info(found.ratios[target], found.edges, tuple(short_labels(found.sites)))
    return ChartView(lambda dark: charts.ratios_figure(info, dark), charts.READ_RATIOS)


def tokens_chart(kept: np.ndarray, picture: np.ndarray, labels: list[str]) -> ChartView:
    """The picture (h, w, 3) under the patches that were kept, (steps, sites, rows, columns)."""
    info = charts.tokens_info(kept, tuple(labels))
    rows, columns = info.side
    small = Image.fromarray(picture).resize((columns * PATCH, rows * PATCH), Image.Resampling.LANCZOS)
    url = data_url(charts.beneath(info, np.asarray(small)), quality=90)
    return ChartView(lambda dark: charts.tokens_figure(info, url, dark), charts.READ_TOKENS)


def _of(chosen: Any) -> tuple[str, float]:
    """Model and target of a choice: ``scenes-routed 0.6``."""
    model, _, target = str(chosen or "").rpartition(" ")
    try:
        return known_model(model).id, float(target)
    except ValueError:
        raise ConfigError("Choose a target first.") from None
