"""Search: a background process looks for the best policy of a budget; this tab starts it and looks at its row."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.core.errors import Cancelled, MdditError, SearchError
from mddit_ui.service import searches as service
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.search_rows import EvaluationRow, SearchRow
from mddit_ui.ui import front as fronts
from mddit_ui.ui import searching
from mddit_ui.ui.chart import PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import PolicyGrid
from mddit_ui.ui.pair import ImagePair, PairView
from mddit_ui.ui.parts import AT_ONCE, QUIET, Inputs, cancel, cancellable, heading, view_of
from mddit_ui.ui.quotas import is_public
from mddit_ui.ui.searching import BEGINNING, LATER, exists, history, poll, view
from mddit_ui.ui.table import DataTable
from mddit_ui.ui.tabs import search_form

__all__ = ["Tab", "build", "exists", "show"]

NO_LOG = '<p class="m-empty">What a search does is written here.</p>'
NOTHING = "No search yet. Set a budget and press Start; the best policy so far appears here."
ENDED = ("stopped", "done", "failed")
NO_POINT = (PairView(empty=fronts.EMPTY), "")  # of the chosen point, and of the pictures of the front
SHOW_JOB = """(job) => { const url = new URL(window.location.href);
  if (job) url.searchParams.set("job", job); else url.searchParams.delete("job");
  window.history.replaceState(null, "", url); }"""
SHOW_PAIR = """() => { document.querySelector("#front-pair").scrollIntoView({block: "nearest"}); }"""
FOLLOWED = """() => { document.dispatchEvent(new Event("mddit-followed")); }"""
COPY_JOB = """(job) => { const url = new URL(window.location.href); url.search = "?job=" + job;
  navigator.clipboard.writeText(url.toString()).catch(() => window.prompt("Copy this link:", url.toString())); }"""


class Tab(NamedTuple):
    """Components that other parts read or update."""

    live: PolicyGrid
    prompts: gr.Textbox
    shown: list[Any]  # what `show` takes
    outputs: list[Any]


def build(inputs: Inputs, name: gr.Textbox, job: gr.BrowserState) -> Tab:
    with gr.Row(equal_height=False, elem_id="search-top"):
        with gr.Column(scale=4, min_width=320):
            with gr.Column(elem_classes="m-panel"):
                form, start, estimate = search_form.build()
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
    with gr.Column(elem_id="search-results"):  # hidden by the style sheet while there is nothing
        with gr.Row(equal_height=True):
            with gr.Column(elem_classes="m-panel", min_width=360):
                heading("Quality against cost", "click a point: its policy and its pictures")
                front = PlotlyChart(LATER, picture=fronts.picture, elem_id="chart-front")
                with gr.Row(elem_classes="m-buttons"):
                    draw = gr.Button(
                        "Make the pictures of the front", size="sm", interactive=False, elem_id="front-pictures"
                    )
                    halt = gr.Button("Cancel", size="sm", variant="stop", visible=False, elem_id="front-cancel")
                drawn = gr.Markdown("", elem_classes="m-note", elem_id="front-note")
            with gr.Column(elem_classes="m-panel", min_width=360):
                heading("Convergence")
                curve = PlotlyChart(LATER, picture=fronts.picture, elem_id="chart-curve")
        with gr.Column(elem_classes="m-panel"):
            heading("The chosen point", "the first caption of the search, the same seed")
            pair = ImagePair(PairView(empty=fronts.EMPTY), elem_id="front-pair")
            chosen = gr.State("")
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

    buttons: list[Any] = [pause, resume, stop, take, link, clone, draw]
    outputs: list[Any] = [live, status, front, curve, cells, shares, log, past, *buttons, nothing]

    @shown
    def begin(*values: Any) -> list[Any]:
        search = search_form.begin(*values)
        return [search, *show(search), *NO_POINT]

    started = start.click(
        begin,
        [*search_form.asked_of(inputs), *form],
        [job, *outputs, pair, drawn],
        show_progress="minimal",
        api_visibility="private",
    )
    started.success(None, job, None, js=SHOW_JOB)
    live.change(
        shown(lambda search, other: show(search, other, often=True)[1:]),
        [job, rival],
        outputs[1:],
        trigger_mode="always_last",
        **QUIET,
    ).then(None, None, None, js=FOLLOWED)
    for button, verb in ((pause, service.pause), (resume, service.resume), (stop, service.stop)):
        button.click(_after(verb), [job, rival], outputs[1:], **QUIET)
    rival.focus(lambda search: gr.Dropdown(choices=searching.rivals(search)), job, rival, **QUIET)
    rival.input(shown(lambda search, other: show(search, other)[1:]), [job, rival], outputs[1:], **QUIET)

    asked = [inputs.model, inputs.steps, form.budget, form.evaluations, form.prompts]
    guess = (search_form.estimate, asked, estimate)
    edits = [*(box.input for box in (form.budget, form.evaluations, inputs.steps)), form.prompts.change]
    gr.on(edits, *guess, trigger_mode="always_last", **AT_ONCE)

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
        return [*_on_desk(row, found, model), found.number]

    @shown
    def preview(search: str, number: Any, event: Any) -> Iterator[PairView]:
        try:
            yield from fronts.pair(search, number, event)
        except Cancelled:
            yield PairView(note="Stopped.", empty=fronts.EMPTY)

    @shown
    def draw_front(search: str, event: Any) -> Iterator[str]:
        try:
            yield from fronts.whole_front(search, event)
        except Cancelled:
            yield "Stopped; the pictures that were made are kept."

    @shown
    def reopen(event: gr.EventData) -> list[Any]:
        chosen = str(getattr(event, "key", ""))[:32]
        return [chosen if exists(chosen) else "", *show(chosen), *NO_POINT]

    past.select(reopen, None, [job, *outputs, pair, drawn], **QUIET).success(None, job, None, js=SHOW_JOB)
    take.click(copy, [job, inputs.model], desk, **QUIET)
    picked = gr.on([front.select, curve.select], pick, [job, inputs.model], [*desk, chosen], **QUIET)
    event = gr.State(None)
    for begun, work, given, made in (
        (picked.success(None, None, None, js=SHOW_PAIR).then, preview, [job, chosen, event], pair),
        (draw.click, draw_front, [job, event], drawn),
    ):
        cancellable(begun, (draw, halt, event), work, given, made)
    halt.click(cancel, event, None, **AT_ONCE)
    how = [inputs.grid, inputs.steps, inputs.guidance, inputs.scheduler]
    again = [job, inputs.model, inputs.grid, inputs.steps, inputs.scheduler]
    clone.click(shown(search_form.settings), again, [*form, *how], **QUIET).then(*guess, **QUIET)
    link.click(None, job, None, js=COPY_JOB)
    return Tab(live, form.prompts, [job, rival], outputs)


def show(search: Any, other: Any = "", often: bool = False) -> list[Any]:
    """Values of the tab's outputs for a search, beside another one if it is named; the empty tab if there is none.

    ``often``: while it runs, the table of all searches is left as it is.
    """
    try:
        row = view(search)
    except MdditError:
        off = gr.Button(interactive=False)
        texts = [None, "", LATER, LATER, LATER, LATER, NO_LOG, history()]
        return [*texts, *[off] * 7, gr.Markdown(NOTHING, visible=True)]
    rows = store.evaluations(open_db(), row.id)
    rival = store.evaluations(open_db(), other) if exists(other) else []
    config = row.config
    shape = (
        searching.grid_of(row, row.best) if row.best else view_of(config.model, None, config.steps, config.scheduler)
    )
    hint = f"Evaluation {row.best.number}, the best of {row.done}." if row.best else ""
    return [
        replace(shape, hint=hint, job=row.id),
        searching.status_html(row),
        searching.front_chart(row, rows, rival),
        searching.curve_chart(row, rows, rival),
        *searching.depth_charts(rows, shape.policy.sites),
        searching.log_html(row, rows),
        gr.skip() if often and row.state == "running" else history(row.id),
        gr.Button(interactive=row.state in ("queued", "running") and row.wanted == "run"),
        gr.Button(interactive=row.state in ("paused", "stopped", "failed")),
        gr.Button(interactive=row.state not in ENDED),
        gr.Button(interactive=row.best is not None),
        gr.Button(interactive=True),
        gr.Button(interactive=True),
        gr.Button(interactive=row.best is not None),
        gr.Markdown(f"{BEGINNING} Full depth is shown until then.", visible=row.best is None),
    ]


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
