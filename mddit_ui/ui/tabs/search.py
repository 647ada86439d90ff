"""Search: a background process looks for the best policy of a budget; this tab starts it and looks at its row."""

from typing import Any, NamedTuple, get_args

import gradio as gr

from mddit_ui.core.errors import MdditError, SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import MethodName, SearchConfig
from mddit_ui.service import searches as service
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.searches import EvaluationRow, SearchRow
from mddit_ui.ui import captions, searching
from mddit_ui.ui.api import running
from mddit_ui.ui.chart import PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import GridView, PolicyGrid
from mddit_ui.ui.locks import locks_of
from mddit_ui.ui.parts import Inputs, heading, known_model, view_of
from mddit_ui.ui.quotas import is_public, quotas
from mddit_ui.ui.searching import BEGINNING, LATER, exists, poll, view
from mddit_ui.ui.table import DataTable

__all__ = ["Tab", "build", "default_prompts", "exists", "show"]

PROMPTS = 12
NO_LOG = '<p class="m-empty">What a search does is written here.</p>'
NOTHING = "No search yet. Set a budget and press Start; the best policy so far appears here."
ENDED = ("stopped", "done", "failed")
SHOW_JOB = """(job) => { const url = new URL(window.location.href);
  if (job) url.searchParams.set("job", job); else url.searchParams.delete("job");
  window.history.replaceState(null, "", url); }"""
PRESS_GENERATE = """() => { document.querySelector("#pair").scrollIntoView({block: "center"});
  document.querySelector("#generate").click(); }"""
COPY_JOB = """(job) => { const url = new URL(window.location.href); url.search = "?job=" + job;
  navigator.clipboard.writeText(url.toString()).catch(() => window.prompt("Copy this link:", url.toString())); }"""


class Tab(NamedTuple):
    """Components that other parts read or update."""

    live: PolicyGrid
    prompts: gr.Textbox
    outputs: list[Any]


def build(inputs: Inputs, name: gr.Textbox, job: gr.BrowserState) -> Tab:
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=320):
            with gr.Column(elem_classes="m-panel"):
                heading("New search", "in a process of its own; close the tab and come back")
                budget = gr.Slider(10, 95, 50, step=1, label="Budget, % of full MACs", elem_id="search-budget")
                with gr.Row(elem_classes="m-tight"):
                    evaluations = gr.Number(
                        120,
                        label="Evaluations",
                        precision=0,
                        minimum=1,
                        maximum=100_000,
                        min_width=110,
                        elem_id="search-evaluations",
                    )
                    search_seed = gr.Number(1, label="Search seed", precision=0, minimum=1, min_width=110)
                with gr.Row(elem_classes="m-tight"):
                    least = gr.Number(
                        0,
                        label="Range from, % (0: none)",
                        precision=0,
                        minimum=0,
                        maximum=94,
                        min_width=110,
                        elem_id="search-least",
                    )
                    method = gr.Dropdown(
                        list(get_args(MethodName)),
                        value="cma-es",
                        label="Optimiser",
                        min_width=110,
                        elem_id="search-method",
                    )
                prompts = gr.Textbox(label="Captions, one a line", lines=5, max_lines=8, elem_id="search-prompts")
                locked = gr.Checkbox(True, label="Locked cells of the grid stay as they are", elem_id="search-locked")
                estimate = gr.Markdown("", elem_classes="m-note", elem_id="search-estimate")
                with gr.Row(elem_classes="m-buttons"):
                    start = gr.Button("Start search", variant="primary", size="md", elem_id="search-start")
            with gr.Column(elem_classes="m-panel"):
                heading("Log")
                log = gr.HTML(NO_LOG, elem_id="search-log")
        with gr.Column(scale=6, elem_classes="m-panel", min_width=360):
            with gr.Row(elem_classes="m-top m-wrap"):
                heading("Best so far")
                with gr.Row(elem_classes="m-buttons m-right"):
                    pause = gr.Button("Pause", size="sm", interactive=False, elem_id="search-pause")
                    resume = gr.Button("Resume", size="sm", interactive=False, elem_id="search-resume")
                    stop = gr.Button("Stop", size="sm", interactive=False, elem_id="search-stop")
            status = gr.HTML("", elem_id="search-status")
            nothing = gr.Markdown(NOTHING, elem_classes="m-note m-nothing")
            live = PolicyGrid(None, readonly=True, poll=poll, elem_id="live-grid")
            with gr.Row(elem_classes="m-buttons"):
                take = gr.Button("Copy to editor", size="md", interactive=False, elem_id="search-take")
                clone = gr.Button("Take its settings", size="md", interactive=False, elem_id="search-clone")
                link = gr.Button("Copy link", size="md", interactive=False, elem_id="search-link")
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Quality against cost", "click a point: its policy and its pictures")
            front = PlotlyChart(LATER, elem_id="chart-front")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Convergence")
            curve = PlotlyChart(LATER, elem_id="chart-curve")
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Where good policies compute", "click a cell to see it in the grid")
            cells = PlotlyChart(LATER, elem_id="chart-depth")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Where depth goes")
            shares = PlotlyChart(LATER, elem_id="chart-shares")
    with gr.Column(elem_classes="m-panel"):
        with gr.Row(elem_classes="m-top m-wrap"):
            heading("Searches", "click a column to sort")
            rival = gr.Dropdown(
                [("none", "")],
                value="",
                label="Show another in the charts",
                elem_id="search-rival",
                min_width=240,
                visible=not is_public(),
            )
        past = DataTable("", elem_id="search-history")

    outputs = [live, status, front, curve, cells, shares, log, past, pause, resume, stop, take, link, clone, nothing]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}

    @shown
    def begin(
        model: Any, policy: Policy | None, steps: Any, guidance: Any, scheduler: Any, locks: Any, *values: Any
    ) -> list[Any]:
        share, count, seed, lines, low, how, keep_locked = values
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
            method=how,
        )
        search = service.start(
            quotas().check_search(config, running()), locked=locks_of(locks, policy) if keep_locked else None
        )
        return [search, *show(search)]

    locks = inputs.grid.locks if inputs.grid.locks is not None else gr.State("")
    asked = [inputs.model, inputs.grid, inputs.steps, inputs.guidance, inputs.scheduler, locks]
    form = [budget, evaluations, search_seed, prompts, least, method]
    started = start.click(
        begin, [*asked, *form, locked], [job, *outputs], show_progress="minimal", api_visibility="private"
    )
    started.success(None, job, None, js=SHOW_JOB)
    live.change(
        shown(lambda search, other: show(search, other)[1:]),
        [job, rival],
        outputs[1:],
        trigger_mode="always_last",
        **quiet,
    )
    for button, verb in ((pause, service.pause), (resume, service.resume), (stop, service.stop)):
        button.click(_after(verb), [job, rival], outputs[1:], **quiet)
    rival.focus(lambda search: gr.Dropdown(choices=searching.rivals(search)), job, rival, **quiet)
    rival.input(shown(lambda search, other: show(search, other)[1:]), [job, rival], outputs[1:], **quiet)

    gr.on(
        [box.change for box in (budget, evaluations, prompts, inputs.model, inputs.steps)],
        _estimate,
        [inputs.model, inputs.steps, budget, evaluations, prompts],
        estimate,
        trigger_mode="always_last",
        queue=False,
        **{**quiet, "concurrency_limit": None},
    )

    desk = [inputs.grid, name, inputs.steps, inputs.guidance, inputs.scheduler]

    @shown
    def copy(search: str, model: str) -> list[Any]:
        row = view(search)
        if row.best is None:
            raise SearchError("This search has no result yet.")
        return _on_desk(row, row.best, model)

    @shown
    def pick(search: str, model: str, event: gr.EventData) -> list[Any]:
        row = view(search)
        found = searching.evaluation(row, getattr(event, "key", ""))
        if found is None:
            raise SearchError("This point is no evaluation of the search; click a dot.")
        return _on_desk(row, found, model)

    @shown
    def settings(search: str) -> list[Any]:
        config = view(search).config
        least = round(100 * (config.least_budget or 0))
        asked = [round(100 * config.budget), config.evaluations, config.seed, "\n".join(config.prompts)]
        return [*asked, least, config.method]

    @shown
    def reopen(event: gr.EventData) -> list[Any]:
        chosen = str(getattr(event, "key", ""))[:32]
        return [chosen if exists(chosen) else "", *show(chosen)]

    past.select(reopen, None, [job, *outputs], **quiet).success(None, job, None, js=SHOW_JOB)
    take.click(copy, [job, inputs.model], desk, **quiet)
    front.select(pick, [job, inputs.model], desk, **quiet).success(None, None, None, js=PRESS_GENERATE)
    curve.select(pick, [job, inputs.model], desk, **quiet).success(None, None, None, js=PRESS_GENERATE)
    clone.click(settings, job, form, **quiet)
    link.click(None, job, None, js=COPY_JOB)
    return Tab(live, prompts, outputs)


def show(search: Any, other: Any = "") -> list[Any]:
    """Values of the tab's outputs for a search, beside another one if it is named; the empty tab if there is none."""
    try:
        row = view(search)
    except MdditError:
        off = gr.Button(interactive=False)
        texts = [None, "", LATER, LATER, LATER, LATER, NO_LOG, searching.history()]
        return [*texts, off, off, off, off, off, off, gr.Markdown(NOTHING, visible=True)]
    rows = store.evaluations(open_db(), row.id)
    rival = store.evaluations(open_db(), other) if exists(other) else []
    config = row.config
    shape = (
        searching.grid_of(row, row.best) if row.best else view_of(config.model, None, config.steps, config.scheduler)
    )
    hint = f"Evaluation {row.best.number}, the best of {row.done}." if row.best else ""
    return [
        GridView(shape.policy, shape.table, shape.residual_bytes, hint=hint, job=row.id),
        searching.status_html(row),
        searching.front_chart(row, rows, rival),
        searching.curve_chart(row, rows, rival),
        *searching.depth_charts(rows, shape.policy.sites),
        searching.log_html(row, rows),
        searching.history(row.id),
        gr.Button(interactive=row.state in ("queued", "running") and row.wanted == "run"),
        gr.Button(interactive=row.state in ("paused", "stopped", "failed")),
        gr.Button(interactive=row.state not in ENDED),
        gr.Button(interactive=row.best is not None),
        gr.Button(interactive=True),
        gr.Button(interactive=True),
        gr.Markdown(f"{BEGINNING} Full depth is shown until then.", visible=row.best is None),
    ]


def nothing_new() -> list[Any]:
    """The outputs of a page without a search: as they were built, but for the history."""
    before_history, after_history = 7, 7
    return [*[gr.skip()] * before_history, searching.history(), *[gr.skip()] * after_history]


def default_prompts(model: str) -> str:
    """The captions that a search starts with, one a line."""
    spec = known_model(model)
    return "\n".join(
        captions.search_prompts(spec, PROMPTS) if spec.conditioning == "prompt" else captions.examples(spec)
    )


def _captions(lines: Any) -> tuple[str, ...]:
    return tuple(line.strip() for line in str(lines or "").splitlines() if line.strip())


def _estimate(model: Any, steps: Any, budget: Any, evaluations: Any, lines: Any) -> str:
    """Half-typed values are not worth a toast; then there is just no estimate."""
    try:
        return searching.estimate(model, len(_captions(lines)), int(steps), float(budget) / 100, int(evaluations))
    except (MdditError, TypeError, ValueError):
        return ""


def _on_desk(row: SearchRow, found: EvaluationRow, model: str) -> list[Any]:
    """An evaluated policy and the request it was judged with."""
    if row.config.model != model:
        raise SearchError(f"This search is of {row.config.model}; choose that model first.")
    grid, config = searching.grid_of(row, found), row.config
    return [grid, grid.policy.name, config.steps, config.guidance_scale, config.scheduler]


def _after(verb: Any) -> Any:
    """A button's handler: do it to the search, then show the search."""

    @shown
    def handler(search: str, other: Any) -> list[Any]:
        verb(view(search).id)
        return show(search, other)[1:]

    return handler
