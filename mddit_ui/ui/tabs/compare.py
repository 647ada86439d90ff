"""Compare: all runs of this visit in one chart and one table, and a policy judged on many captions."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from mddit_ui.charts import tradeoff
from mddit_ui.core.errors import Cancelled
from mddit_ui.core.records import Score
from mddit_ui.service import evaluate as service
from mddit_ui.ui import captions
from mddit_ui.ui.chart import ChartView, PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.parts import (
    Inputs,
    busy,
    cancel,
    facts,
    heading,
    idle,
    known_model,
    request_of,
    session_of,
    table,
    view_of,
)
from mddit_ui.ui.running import Progress, watch
from mddit_ui.ui.studio import Run

EMPTY = "Every pair that you generate is listed here."
ONE_SAYS_LITTLE = "One picture says little: CLIP scores of single pictures vary by more than most policies change them."
HEAD = ("Policy", "MACs", "Time", "CLIP score", "of full depth", "PSNR", "SSIM", "Seed")
COLUMNS = (
    *("policy", "digest", "budget", "seconds", "full_seconds", "clip_score", "full_clip_score", "clip_backbone"),
    *("psnr", "ssim", "caption", "seed"),
)
SAVE_FILE = """(text, name) => { const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/plain"})); link.download = name;
  link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000); }"""


def build(inputs: Inputs, visit: gr.State) -> tuple[PlotlyChart, gr.HTML]:
    """The chart and the table; both follow ``visit``."""
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Runs of this visit")
            chart = PlotlyChart(EMPTY, elem_id="chart-runs")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Judge the policy in the grid", "mean over many captions, against full depth with the same seeds")
            count = gr.Slider(4, 64, 16, step=4, label="Captions")
            with gr.Row(elem_classes="m-buttons"):
                judge = gr.Button("Evaluate", size="md", elem_id="judge")
                stop = gr.Button("Cancel", size="md", variant="stop", visible=False)
            verdict = gr.HTML("", elem_id="verdict")
            gr.Markdown(ONE_SAYS_LITTLE, elem_classes="m-note")
    with gr.Column(elem_classes="m-panel"):
        heading("Table")
        listing = gr.HTML("", elem_id="runs-table")
        with gr.Row(elem_classes="m-buttons"):
            export = gr.Button("Export CSV", size="md", elem_id="export-csv")
        text, name = gr.Textbox(visible=False), gr.Textbox("mddit-runs.csv", visible=False)

    event = gr.State(None)

    @shown
    def evaluate(images: Any, event: Any, *values: Any) -> Iterator[Any]:
        session = session_of(*values)
        spec = known_model(session.model)
        prompts = (
            captions.search_prompts(spec, int(images)) if spec.conditioning == "prompt" else captions.examples(spec)
        )
        config = session.config
        request = request_of(spec, prompts, range(len(prompts)), config.steps, config.guidance_scale, config.scheduler)

        def work(report: Any) -> tuple[Score, Score]:
            def told(what: str) -> Any:
                return lambda done, total: report(what, done, total)

            report("Full depth", 0, request.images)
            full = service.evaluate(spec.id, None, request, on_image=told("Full depth"))
            return full, service.evaluate(spec.id, session.policy, request, on_image=told("This policy"))

        try:
            for news in watch(work, event):
                yield (facts([("Progress", news.text())]) if isinstance(news, Progress) else judged(*news))
        except Cancelled:
            yield ""

    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    started = judge.click(busy, None, [judge, stop, event], **quiet)
    running = started.then(
        evaluate,
        [count, event, *inputs],
        verdict,
        show_progress="hidden",
        concurrency_id="compute",
        concurrency_limit=1,
        api_visibility="private",
    )
    running.then(idle, None, [judge, stop], **quiet)
    stop.click(cancel, event, None, **quiet)
    export.click(csv_of, visit, text, **quiet).then(None, [text, name], None, js=SAVE_FILE)

    @shown
    def pick(past: Sequence[Run], model: str, steps: Any, scheduler: str, event: gr.EventData) -> Any:
        key = str(getattr(event, "key", ""))
        if not key.isdecimal() or len(key) > 4 or int(key) >= len(past):
            return gr.skip()
        return view_of(model, past[int(key)].policy, int(steps), scheduler)

    chart.select(pick, [visit, inputs.model, inputs.steps, inputs.scheduler], inputs.grid, show_progress="hidden")
    return chart, listing


def shown_runs(past: Sequence[Run]) -> list[Any]:
    """Chart and table of the runs."""
    if not past:
        return [EMPTY, ""]
    points = [
        tradeoff.Point(run.budget, run.score.clip_score, run.name, str(index))
        for index, run in enumerate(past)
        if run.score.clip_score is not None
    ]
    backbone = past[-1].score.clip_backbone
    info = tradeoff.tradeoff_info((), (), points, past[-1].full_score.clip_score, backbone)
    chart = ChartView(lambda dark: tradeoff.tradeoff_figure(info, dark), READ) if points else EMPTY
    return [chart, table(HEAD, [_cells(run) for run in reversed(past)])]


READ = (
    "Every dot is one pair of this visit; the dotted line is full depth of the last one. Click a dot to get its policy."
)


def judged(full: Score, score: Score) -> str:
    """Both scores in words."""
    pairs = [("Captions", str(score.images))]
    if full.clip_score is not None and score.clip_score is not None:
        change = score.clip_score - full.clip_score
        pairs += [
            ("CLIP score", f"{score.clip_score:.2f}"),
            ("full depth", f"{full.clip_score:.2f}"),
            ("change", f"{change:+.2f}"),
        ]
    pairs += [("PSNR", f"{score.psnr:.1f} dB")] if score.psnr is not None else []
    pairs += [("SSIM", f"{score.ssim:.3f}")] if score.ssim is not None else []
    return facts(pairs)


def csv_of(past: Sequence[Run]) -> str:
    """The runs as CSV; a text that a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for run in past:
        score, full = run.score, run.full_score
        cost = (run.budget, run.seconds, run.full_seconds)
        quality = (score.clip_score, full.clip_score, score.clip_backbone, score.psnr, score.ssim)
        writer.writerow([_cell(run.name), run.policy.digest, *cost, *quality, _cell(run.caption), run.seed])
    return out.getvalue()


def _cell(text: str) -> str:
    return "'" + text if text[:1] in tuple("=+-@\t\r") else text


def _cells(run: Run) -> list[str]:
    def number(value: float | None, form: str) -> str:
        return "–" if value is None else form.format(value)

    return [
        run.name,
        f"{100 * run.budget:.1f} %",
        f"{run.seconds:.2f} s",
        number(run.score.clip_score, "{:.2f}"),
        number(run.full_score.clip_score, "{:.2f}"),
        number(run.score.psnr, "{:.1f} dB"),
        number(run.score.ssim, "{:.3f}"),
        str(run.seed),
    ]
