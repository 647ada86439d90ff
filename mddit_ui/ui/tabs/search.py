"""Search: a background process looks for the best policy of a budget; this tab starts it and looks at its row."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.charts import convergence, depth, tradeoff
from mddit_ui.core.errors import ConfigError, MdditError, SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import SearchConfig
from mddit_ui.service import searches as service
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.searches import EvaluationRow, SearchRow
from mddit_ui.ui import captions
from mddit_ui.ui.chart import ChartView, PlotlyChart
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import GridView, PolicyGrid, as_content, short_labels
from mddit_ui.ui.locks import locks_of
from mddit_ui.ui.parts import Inputs, facts, heading, is_public, known_model, view_of
from mddit_ui.ui.running import duration

PROMPTS = 12
NOTHING = "No search yet. Set a budget and press Start; the best policy so far appears here."
STATES = {"queued": "Starting", "running": "Running", "paused": "Paused", "stopped": "Stopped", "done": "Finished",
          "failed": "Failed"}  # fmt: skip
ENDED = ("stopped", "done", "failed")
SHOW_JOB = """(job) => { const url = new URL(window.location.href);
  if (job) url.searchParams.set("job", job); else url.searchParams.delete("job");
  window.history.replaceState(null, "", url); }"""


class Tab(NamedTuple):
    """Components that other parts read or update."""

    live: PolicyGrid
    prompts: gr.Textbox
    outputs: list[Any]


def build(inputs: Inputs, job: gr.BrowserState) -> Tab:
    with gr.Row(equal_height=True):
        with gr.Column(scale=4, elem_classes="m-panel", min_width=320):
            heading("Search", "CMA-ES over all cells, in a process of its own")
            budget = gr.Slider(10, 95, 50, step=1, label="Budget, % of full MACs", elem_id="search-budget")
            with gr.Row(elem_classes="m-tight"):
                evaluations = gr.Number(
                    120, label="Evaluations", precision=0, minimum=1, maximum=100_000, min_width=110
                )
                search_seed = gr.Number(1, label="Search seed", precision=0, minimum=1, min_width=110)
            prompts = gr.Textbox(label="Captions, one a line", lines=5, max_lines=8, elem_id="search-prompts")
            with gr.Row(elem_classes="m-buttons"):
                start = gr.Button("Start search", variant="primary", size="md", elem_id="search-start")
                pause = gr.Button("Pause", size="md", interactive=False, elem_id="search-pause")
                resume = gr.Button("Resume", size="md", interactive=False, elem_id="search-resume")
                stop = gr.Button("Stop", size="md", interactive=False, elem_id="search-stop")
            status = gr.HTML("", elem_id="search-status")
            earlier = gr.Dropdown([], label="Earlier searches", visible=not is_public(), elem_id="search-earlier")
        with gr.Column(scale=6, elem_classes="m-panel", min_width=360):
            heading("Best so far")
            live = PolicyGrid(None, readonly=True, poll=poll, elem_id="live-grid")
            nothing = gr.Markdown(NOTHING, elem_classes="m-note")
            with gr.Row(elem_classes="m-buttons"):
                take = gr.Button("Copy to editor", size="md", interactive=False, elem_id="search-take")
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Quality against cost")
            front = PlotlyChart("Appears with the first evaluations.", elem_id="chart-front")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Convergence")
            curve = PlotlyChart("Appears with the first evaluations.", elem_id="chart-curve")
        with gr.Column(elem_classes="m-panel", min_width=360):
            heading("Where good policies compute")
            depths = PlotlyChart("Appears with the first evaluations.", elem_id="chart-depth")

    outputs = [live, status, front, curve, depths, pause, resume, stop, take, nothing]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}

    @shown
    def begin(
        model: Any, policy: Policy | None, locked: Any, steps: Any, guidance: Any, scheduler: Any, *values: Any
    ) -> list[Any]:
        spec = known_model(model)
        if spec.conditioning != "prompt":
            raise ConfigError("Searching needs captions; this model draws classes.")
        if is_public() and any(row.state in ("queued", "running") for row in store.recent(open_db(), 20)):
            raise SearchError("A search is already running on this page; try again when it is done.")
        share, count, seed, lines = values
        texts = tuple(line.strip() for line in str(lines or "").splitlines() if line.strip())
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
        )
        search = service.start(config, locked=locks_of(locked, policy))
        return [search, *show(search)]

    started = start.click(
        begin,
        [
            inputs.model,
            inputs.grid,
            inputs.grid.locks,
            inputs.steps,
            inputs.guidance,
            inputs.scheduler,
            budget,
            evaluations,
            search_seed,
            prompts,
        ],
        [job, *outputs],
        show_progress="minimal",
        api_visibility="private",
    )
    started.success(None, job, None, js=SHOW_JOB)
    live.change(shown(lambda search: show(search)[1:]), job, outputs[1:], trigger_mode="always_last", **quiet)
    for button, verb in ((pause, service.pause), (resume, service.resume), (stop, service.stop)):
        button.click(_after(verb), job, outputs[1:], **quiet)

    @shown
    def copy(search: str) -> Any:
        row = view(search)
        if row.best is None:
            raise SearchError("This search has no result yet.")
        return _grid(row, row.best)

    @shown
    def pick(search: str, event: gr.EventData) -> Any:
        key = str(getattr(event, "key", ""))
        number = int(key) if key.isdecimal() and len(key) < 8 else 0
        found = [row for row in store.evaluations(open_db(), search, max(number - 1, 0)) if row.number == number]
        if not found:
            return gr.skip()
        return _grid(view(search), found[0])

    @shown
    def reopen(chosen: Any) -> list[Any]:
        return [chosen if exists(chosen) else "", *show(chosen)]

    earlier.focus(lambda: gr.Dropdown(choices=recent_choices()), None, earlier, **quiet)
    earlier.input(reopen, earlier, [job, *outputs], **quiet).success(None, job, None, js=SHOW_JOB)
    take.click(copy, job, inputs.grid, **quiet)
    front.select(pick, job, inputs.grid, **quiet)
    return Tab(live, prompts, outputs)


def poll(request: Any) -> dict[str, Any]:
    """What a live grid has not seen yet; called by the browser once a second, so it reads one row and no more."""
    search, seen = (request.get("job"), request.get("seen")) if isinstance(request, dict) else (None, None)
    try:
        row = view(search)
        version = f"{row.state}/{row.wanted}/{row.done}/{row.best.number if row.best else 0}/{len(row.finalists)}"
        if version == seen:
            return {"version": version}
        grid = as_content(_grid(row, row.best)) if row.best else None
        return {"version": version, "grid": grid}
    except MdditError:
        return {"version": "gone"}


def view(search: Any) -> SearchRow:
    """The row of a search; ids are unguessable, so knowing one is the right to see it."""
    if not isinstance(search, str) or len(search) != 32:
        raise SearchError("There is no search here yet.")
    return service.view(search)


def recent_choices() -> list[tuple[str, str]]:
    """The newest searches of this machine; a public page shows nobody those of others."""
    if is_public():
        return []
    return [
        (
            f"{row.config.model}, {100 * row.config.budget:.0f} %, {row.done} evaluations, {STATES[row.state].lower()}",
            row.id,
        )
        for row in service.recent(20)
    ]


def exists(search: Any) -> bool:
    """Whether there is such a search."""
    try:
        return bool(view(search))
    except MdditError:
        return False


def show(search: Any) -> list[Any]:
    """Values of the tab's outputs for a search; the empty tab if there is none."""
    try:
        row = view(search)
    except MdditError:
        off = gr.Button(interactive=False)
        later = "Appears with the first evaluations."
        return [None, "", later, later, later, off, off, off, off, gr.Markdown(NOTHING, visible=True)]
    rows = store.evaluations(open_db(), row.id)
    first = row.best or None
    shape = _grid(row, first) if first else view_of(row.config.model, None, row.config.steps, row.config.scheduler)
    grid = GridView(shape.policy, shape.table, shape.residual_bytes, hint=_hint(row), job=row.id)
    return [
        grid,
        status_html(row),
        front_chart(row, rows),
        curve_chart(row, rows) if rows else "The first policies are being evaluated.",
        depth_chart(rows, shape.policy.sites),
        gr.Button(interactive=row.state in ("queued", "running") and row.wanted == "run"),
        gr.Button(interactive=row.state in ("paused", "stopped", "failed")),
        gr.Button(interactive=row.state not in ENDED),
        gr.Button(interactive=row.best is not None),
        gr.Markdown(
            "The first policies are being evaluated; full depth is shown until then.", visible=row.best is None
        ),
    ]


def status_html(row: SearchRow) -> str:
    state = STATES[row.state]
    if row.wanted != "run" and row.state in ("queued", "running"):
        state = "Pausing" if row.wanted == "pause" else "Stopping"
    pairs = [("State", state), ("Evaluations", f"{row.done} of {row.config.evaluations}")]
    if row.seconds_left is not None and row.state == "running":
        pairs.append(("Time left", f"about {duration(row.seconds_left)}"))
    if row.evaluations_per_minute:
        pairs.append(("Speed", f"{row.evaluations_per_minute:.0f} a minute"))
    if row.best is not None:
        pairs.append(("MACs of the best", f"{100 * row.best.budget:.1f} %"))
        if row.best.score.clip_score is not None:
            pairs.append(("CLIP score of the best", f"{row.best.score.clip_score:.2f}"))
    if row.reference is not None and row.reference.clip_score is not None:
        pairs.append(("CLIP score of full depth", f"{row.reference.clip_score:.2f}"))
    return facts(pairs) + (facts([("What went wrong", row.error)]) if row.error else "")


def front_chart(row: SearchRow, rows: Sequence[EvaluationRow]) -> ChartView | str:
    """Quality against cost; words while there is nothing to show."""
    if not rows:
        return "The first policies are being evaluated."
    points = [
        tradeoff.Point(each.budget, each.score.clip_score, f"evaluation {each.number}", str(each.number))
        for each in rows
        if each.score.clip_score is not None
    ]
    if not points:
        return "This model names no CLIP to judge it; the search compares its pictures with those of full depth."
    known = [
        tradeoff.Point(row.baseline_budgets[name], score.clip_score, name)
        for name, score in row.baselines.items()
        if score.clip_score is not None and name in row.baseline_budgets
    ]
    full = row.reference.clip_score if row.reference else None
    backbone = row.reference.clip_backbone if row.reference else ""
    info = tradeoff.tradeoff_info(points, known, (), full, backbone)
    return ChartView(lambda dark: tradeoff.tradeoff_figure(info, dark), tradeoff.READ)


def curve_chart(row: SearchRow, rows: Sequence[EvaluationRow]) -> ChartView:
    info = convergence.convergence_info(
        [each.number for each in rows],
        [each.objective for each in rows],
        [each.score.clip_score for each in rows],
        row.config.evaluations,
    )
    return ChartView(lambda dark: convergence.convergence_figure(info, dark), convergence.READ)


def depth_chart(rows: Sequence[EvaluationRow], sites: Sequence[str]) -> ChartView | str:
    """Where the best policies compute; words while there are too few."""
    if sum(not math.isnan(each.objective) for each in rows) < depth.LEAST:
        return "Appears with the first evaluations."
    info = depth.depth_info([each.policy_rows for each in rows], [each.objective for each in rows], short_labels(sites))
    return ChartView(lambda dark: depth.depth_figure(info, dark), depth.READ)


def default_prompts(model: str) -> str:
    """The captions that a search starts with, one a line."""
    spec = known_model(model)
    return "\n".join(captions.search_prompts(spec, PROMPTS)) if spec.conditioning == "prompt" else ""


def _grid(row: SearchRow, found: EvaluationRow) -> GridView:
    policy = Policy.from_rows(found.policy_rows, name=f"search {row.id[:6]} no. {found.number}")
    return view_of(row.config.model, policy, row.config.steps, row.config.scheduler)


def _hint(row: SearchRow) -> str:
    return f"Evaluation {row.best.number}, the best of {row.done}." if row.best else ""


def _after(verb: Any) -> Any:
    """A button's handler: do it to the search, then show the search."""

    @shown
    def handler(search: str) -> list[Any]:
        verb(view(search).id)
        return show(search)[1:]

    return handler
