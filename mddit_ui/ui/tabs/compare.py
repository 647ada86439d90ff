"""Compare: all runs of this visit in one chart and one table, and a policy judged on many captions."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.charts import tradeoff
from mddit_ui.core.errors import Cancelled
from mddit_ui.core.records import Score
from mddit_ui.service import evaluate as service
from mddit_ui.ui import captions, visit
from mddit_ui.ui.chart import ChartView, PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.parts import AT_ONCE, Inputs, cancel, cancellable, facts, heading, known_model, request_of, session_of
from mddit_ui.ui.running import Progress, watch
from mddit_ui.ui.table import Cell, DataTable, Row, TableView, number
from mddit_ui.ui.visit import Line

EMPTY = "Every pair that you generate is listed here, also after a reload."
ONE_SAYS_LITTLE = "One picture says little: CLIP scores of single pictures vary by more than most policies change them."
READ = (
    "Every dot is one run of this visit, the mean of its pictures, and the dotted line is full depth of the last one; "
    "a click on a dot brings its policy and pictures."
)
HEAD = ("Run", "Policy", "Caption", "MACs", "Time", "Speed", "CLIP score", "PSNR", "SSIM", "Steps", "Pictures", "Seed")
WORDS = ("Policy", "Caption")
MINOR = ("SSIM", "Steps", "Pictures", "Seed")  # they are in the CSV, and come back with the run
LEAST = ("Caption", "Time", "Speed", "CLIP score")
COLUMNS = (
    *("run", "policy", "digest", "model", "compared_with", "macs", "full_macs", "budget", "wall_seconds", "speed"),
    *("clip_score", "clip_backbone", "psnr", "ssim", "latent_error", "peak_cache_bytes"),
    *("prompts", "seeds", "steps", "guidance_scale", "scheduler"),
)
SAVE_FILE = """(text, name) => { const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/plain"})); link.download = name;
  link.click(); setTimeout(() => URL.revokeObjectURL(link.href), 1000); }"""


class Tab(NamedTuple):
    """Components that other parts update or listen to."""

    chart: PlotlyChart
    table: DataTable


def build(inputs: Inputs, past: gr.BrowserState) -> Tab:
    """The chart and the table; both follow the runs of the visit."""
    with gr.Column(elem_classes="m-panel"):
        with gr.Row(elem_classes="m-top"):
            heading("Runs of this visit", "click a column to sort")
            export = gr.Button("Export CSV", size="sm", elem_id="export-csv", scale=0, min_width=110)
        table = DataTable(EMPTY, elem_id="runs-table")
        text, name = gr.Textbox(visible=False), gr.Textbox("mddit-runs.csv", visible=False)
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Quality against cost", "runs of this visit")
            chart = PlotlyChart(EMPTY, elem_id="chart-runs")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Judge the policy in the grid", "mean over many captions, against full depth with the same seeds")
            count = gr.Slider(4, 64, 16, step=4, label="Captions")
            with gr.Row(elem_classes="m-buttons"):
                judge = gr.Button("Evaluate", size="md", elem_id="judge")
                stop = gr.Button("Cancel", size="md", variant="stop", visible=False)
            verdict = gr.HTML("", elem_id="verdict")
            gr.Markdown(ONE_SAYS_LITTLE, elem_classes="m-note")

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

    cancellable(judge.click, (judge, stop, event), evaluate, [count, event, *inputs], verdict)
    stop.click(cancel, event, None, **AT_ONCE)
    export.click(shown(lambda runs: csv_of(visit.lines(runs))), past, text, **AT_ONCE).then(
        None, [text, name], None, js=SAVE_FILE
    )
    return Tab(chart, table)


def shown_runs(past: Any) -> list[Any]:
    """Chart and table of the runs."""
    lines = visit.lines(past)
    if not lines:
        return [EMPTY, EMPTY]
    points = [
        tradeoff.Point(line.budget, line.record.score.clip_score, f"{line.number}: {line.name}", line.id)
        for line in lines
        if line.record.score.clip_score is not None
    ]
    last = lines[-1]
    full = last.reference.score.clip_score if last.reference and last.reference.macs == last.record.full_macs else None
    info = tradeoff.tradeoff_info((), (), points, full, last.record.score.clip_backbone)
    chart = ChartView(lambda dark: tradeoff.tradeoff_figure(info, dark), READ) if points else EMPTY
    return [chart, TableView(HEAD, [_row(line) for line in reversed(lines)], "Restore", WORDS, MINOR, LEAST)]


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


def csv_of(lines: Sequence[Line]) -> str:
    """The runs as CSV; a text that a spreadsheet would take for a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in lines:
        record, config, score = line.record, line.record.config, line.record.score
        compared = _cell(str(line.reference.policy.get("name", ""))) if line.reference else ""
        who = (line.number, _cell(line.name), visit.policy_of(line.id).digest, record.model, compared)
        cost = (record.macs, record.full_macs, line.budget, record.wall_seconds, line.speed)
        quality = (score.clip_score, score.clip_backbone, score.psnr, score.ssim, score.latent_error)
        asked = (_cell(" | ".join(config.prompts or map(str, config.classes))), " ".join(map(str, config.image_seeds)))
        how = (config.steps, config.guidance_scale, config.scheduler)
        writer.writerow([*who, *cost, *quality, record.peak_cache_bytes, *asked, *how])
    return out.getvalue()


def _cell(text: str) -> str:
    return "'" + text if text[:1] in tuple("=+-@\t\r") else text


def _row(line: Line) -> Row:
    record, score, config = line.record, line.record.score, line.record.config
    subject = config.prompts[0] if config.prompts else f"class {config.classes[0]}"
    subjects = len({*config.prompts, *map(str, config.classes)})
    cells = (
        Cell(str(line.number), line.number),
        Cell(line.name, line.name),
        Cell(subject + (f" and {subjects - 1} more" if subjects > 1 else ""), subject),
        number(100 * line.budget, "{:.1f} %"),
        number(record.wall_seconds, "{:.2f} s"),
        number(line.speed, "{:.2f}×"),
        number(score.clip_score, "{:.2f}"),
        number(score.psnr, "{:.1f} dB"),
        number(score.ssim, "{:.3f}"),
        number(config.steps, "{}"),
        number(config.images, "{}"),
        number(config.image_seeds[0], "{}"),
    )
    return Row(line.id, cells, visit.thumbnail(line.id))
