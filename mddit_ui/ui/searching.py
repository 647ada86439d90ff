"""What the Search tab shows of a search: its state in words, its charts, its log, and how long one would take."""

import math
import time
from collections.abc import Sequence
from typing import Any

from mddit_ui.charts import convergence, depth, tradeoff
from mddit_ui.core.errors import MdditError, SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.service import searches as service
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.search_rows import EvaluationRow, SearchRow
from mddit_ui.ui.chart import ChartView
from mddit_ui.ui.errors import escaped
from mddit_ui.ui.grid import GridView, as_content, short_labels
from mddit_ui.ui.parts import facts, view_of
from mddit_ui.ui.quotas import is_public
from mddit_ui.ui.running import duration
from mddit_ui.ui.table import Cell, Row, TableView, number

STATES = {"queued": "Starting", "running": "Running", "paused": "Paused", "stopped": "Stopped", "done": "Finished",
          "failed": "Failed"}  # fmt: skip
LATER = "Appears with the first evaluations."
BEGINNING = "The first policies are being evaluated."
HEAD = ("Started", "Model", "Optimiser", "Budget", "Evaluations", "State", "Best", "Full depth", "Gain", "Seed")
WORDS = ("Started", "Model", "Optimiser", "State")
MINOR = ("Optimiser", "Full depth", "Seed")
LEAST = ("Model", "Evaluations", "Best")
MOST_LOGGED = 60


def poll(request: Any) -> dict[str, Any]:
    """What a live grid has not seen yet; called by the browser once a second, so it reads one row and no more."""
    search, seen = (request.get("job"), request.get("seen")) if isinstance(request, dict) else (None, None)
    try:
        row = view(search)
        version = f"{row.state}/{row.wanted}/{row.done}/{row.best.number if row.best else 0}/{len(row.finalists)}"
        if version == seen:
            return {"version": version}
        grid = as_content(grid_of(row, row.best)) if row.best else None
        return {"version": version, "grid": grid}
    except MdditError:
        return {"version": "gone"}


def view(search: Any) -> SearchRow:
    """The row of a search; ids are unguessable, so knowing one is the right to see it."""
    if not isinstance(search, str) or len(search) != 32:
        raise SearchError("There is no search here yet.")
    return service.view(search)


def exists(search: Any) -> bool:
    """Whether there is such a search."""
    try:
        return bool(view(search))
    except MdditError:
        return False


def evaluation(row: SearchRow, key: Any) -> EvaluationRow | None:
    """One evaluation by its number, as a chart tells it."""
    text = str(key or "")
    wanted = int(text) if text.isdecimal() and len(text) < 8 else 0
    found = store.evaluations(open_db(), row.id, max(wanted - 1, 0)) if wanted else []
    return next((each for each in found if each.number == wanted), None)


def policy_of(row: SearchRow, found: EvaluationRow) -> Policy:
    """The policy of an evaluation. Loads nothing."""
    name = f"search {row.id[:6]} no. {found.number}"
    return Policy.from_rows(found.policy_rows, keep=found.keep, carry=row.config.carry, name=name)


def grid_of(row: SearchRow, found: EvaluationRow) -> GridView:
    """The policy of an evaluation on its model."""
    return view_of(row.config.model, policy_of(row, found), row.config.steps, row.config.scheduler)


def status_html(row: SearchRow) -> str:
    """State, progress, speed, time left, and the best so far."""
    state = STATES[row.state]
    if row.wanted != "run" and row.state in ("queued", "running"):
        state = "Pausing" if row.wanted == "pause" else "Stopping"
    pairs = [("State", state), ("Evaluations", f"{row.done} of {row.config.evaluations}")]
    if row.judging:
        pairs.append(("Now", "fresh pictures of the best"))
    elif row.seconds_left is not None and row.state == "running":
        pairs.append(("Time left", f"about {duration(row.seconds_left)}"))
    if row.evaluations_per_minute:
        pairs.append(("Speed", f"{row.evaluations_per_minute:.1f} a minute"))
    if row.best is not None:
        pairs.append(("MACs of the best", f"{100 * row.best.budget:.1f} %"))
        if row.best.score.clip_score is not None:
            pairs.append(("CLIP score of the best", f"{row.best.score.clip_score:.2f}"))
    if row.reference is not None and row.reference.clip_score is not None:
        pairs.append(("CLIP score of full depth", f"{row.reference.clip_score:.2f}"))
    share = min(100, round(100 * row.done / max(row.config.evaluations, 1)))
    bar = f'<progress class="m-progress" max="100" value="{share}" aria-label="Progress of the search"></progress>'
    return bar + facts(pairs) + (facts([("What went wrong", row.error)]) if row.error else "")


def front_chart(row: SearchRow, rows: Sequence[EvaluationRow], rival: Sequence[EvaluationRow] = ()) -> ChartView | str:
    """Quality against cost; words while there is nothing to show."""
    if not rows:
        return BEGINNING
    points = _points(rows)
    if not points:
        return "This model names no CLIP to judge it; the search compares its pictures with those of full depth."
    known = [
        tradeoff.Point(row.baseline_budgets[name], score.clip_score, name)
        for name, score in row.baselines.items()
        if score.clip_score is not None and name in row.baseline_budgets
    ]
    full = row.reference.clip_score if row.reference else None
    backbone = row.reference.clip_backbone if row.reference else ""
    others = [point._replace(key="") for point in _points(rival)]  # a click would take one of this search
    info = tradeoff.tradeoff_info(points, known, (), full, backbone, others)
    return ChartView(lambda dark: tradeoff.tradeoff_figure(info, dark), tradeoff.READ, row.id)


def curve_chart(row: SearchRow, rows: Sequence[EvaluationRow], rival: Sequence[EvaluationRow] = ()) -> ChartView | str:
    """Convergence beside full depth and the known schedules; PSNR where there is no CLIP."""
    if not rows:
        return BEGINNING
    by_clip = any(each.score.clip_score is not None for each in rows)

    def value(score: Any) -> float | None:
        return score.clip_score if by_clip else score.psnr

    def info_of(these: Sequence[EvaluationRow], total: int, **more: Any) -> convergence.ConvergenceInfo:
        measure = "CLIP score" if by_clip else "PSNR, dB"
        values = [value(each.score) for each in these]
        numbers, objectives = [each.number for each in these], [each.objective for each in these]
        return convergence.convergence_info(numbers, objectives, values, total, measure=measure, **more)

    full = [convergence.Line("full depth", row.reference.clip_score)] if by_clip and row.reference and row.reference.clip_score else []  # fmt: skip # noqa: E501
    known = [convergence.Line(name, found) for name, score in row.baselines.items() if (found := value(score))]
    other = info_of(rival, len(rival)) if rival else None
    info = info_of(rows, row.config.evaluations, lines=[*full, *known], rival=other)
    return ChartView(lambda dark: convergence.convergence_figure(info, dark), convergence.READ, row.id)


def depth_charts(rows: Sequence[EvaluationRow], sites: Sequence[str]) -> list[ChartView | str]:
    """Where the best policies compute, cell by cell and as shares; words while there are too few."""
    if sum(not math.isnan(each.objective) for each in rows) < depth.LEAST:
        return [LATER, LATER]
    places = {str(each.number): place for place, each in enumerate(rows)}
    front = [places[str(each.number)] for each in front_of(rows)]
    tables, objectives = [each.policy_rows for each in rows], [each.objective for each in rows]
    info = depth.depth_info(tables, objectives, short_labels(sites), front)
    return [
        ChartView(lambda dark: depth.depth_figure(info, dark), depth.READ),
        ChartView(lambda dark: depth.shares_figure(info, dark), depth.READ_SHARES),
    ]


def log_html(row: SearchRow, rows: Sequence[EvaluationRow]) -> str:
    """What happened, newest first: improvements, judgements, the end."""
    lines = [
        f"Started {_when(row.created)}: {row.config.evaluations} evaluations of {len(row.config.prompts)} pictures."
    ]
    if row.reference is not None and row.reference.clip_score is not None:
        lines.append(f"Full depth measured: CLIP score {row.reference.clip_score:.2f}.")
    lines += [
        f"{name} measured: {100 * row.baseline_budgets.get(name, math.nan):.1f} % of MACs{_score(score)}."
        for name, score in row.baselines.items()
    ]
    judged = {name: _judged(name, score) for name, score in row.finalists.items()}
    starts = ["full", *(str(each.number) for each in rows if each.generation == 0)]  # judged before the others are made
    best, spent = -math.inf, 0.0
    for each in rows:
        spent += each.seconds
        if each.generation > 0:
            lines += [judged.pop(name) for name in starts if name in judged]
        if each.objective > best:
            gain = "" if math.isinf(best) else f", {each.objective - best:+.2f} in the objective"
            best = each.objective
            lines.append(f"No. {each.number}, after {duration(spent)}: new best, {100 * each.budget:.1f} % of MACs{_score(each.score)}{gain}.")  # fmt: skip # noqa: E501
        elif math.isnan(each.objective):
            lines.append(f"No. {each.number}: its pictures were not finite; counted as worst.")
    lines += judged.values()
    if row.finalists and row.best is not None and row.state == "done":
        found = "" if row.best.generation else ", a starting policy"
        lines.append(f"No. {row.best.number} is the best on fresh pictures{found}.")
    if row.state not in ("queued", "running"):
        lines.append(f"{STATES[row.state]} after {row.done} evaluations." + (f" {row.error}" if row.error else ""))
    items = "".join(f"<li>{escaped(line)}</li>" for line in reversed(lines[-MOST_LOGGED:]))
    return f'<ol class="m-log" reversed tabindex="0" aria-label="Log of the search">{items}</ol>'


def _judged(name: str, score: Score) -> str:
    who = f"No. {name}" if name.isdigit() else "Full depth" if name == "full" else name.capitalize()
    return f"{who} on fresh pictures: {_score(score).removeprefix(', ')}."


def history(current: Any = "") -> TableView | str:
    """The newest searches of this machine; a public page shows nobody those of others."""
    if is_public():
        return "On a public page, searches are found again by their link only."
    rows = service.recent(30)
    if not rows:
        return "Every search is kept here."
    return TableView(HEAD, [_history_row(row, row.id == current) for row in rows], "Open", WORDS, MINOR, LEAST)


def rivals(current: Any) -> list[tuple[str, str]]:
    """The other searches that can be shown in the same charts."""
    found = [] if is_public() else service.recent(30)
    names = [
        (f"{_when(row.created)} · {100 * row.config.budget:.0f} % · {row.done} evaluations", row.id)
        for row in found
        if row.id != current and row.done
    ]
    return [("none", ""), *names]


def estimate(model: str, pictures: int, steps: int, budget: float, evaluations: int) -> str:
    """How long such a search would take, from what evaluations of this model have taken on this machine before."""
    work = pictures * steps * budget
    row = next((row for row in service.recent(20) if row.config.model == model and row.done), None)
    rows = store.evaluations(open_db(), row.id, max(row.done - 20, 0)) if row else []
    if row is None or not rows or work <= 0:
        return "How long it takes is known after the first evaluations on this machine."
    seconds = sum(each.seconds for each in rows) / len(rows)
    rate = seconds / (len(row.config.prompts) * row.config.steps * row.config.budget)
    each, count = rate * work, evaluations + service.work_around(pictures, budget)
    return (
        f"About {duration(each * count)}: "
        f"{each:.1f} s an evaluation of {pictures} pictures, by the last search of this model on this machine."
    )


def front_of(rows: Sequence[EvaluationRow]) -> list[EvaluationRow]:
    """What the chart shows as the front, the cheapest first."""
    by_key = {str(each.number): each for each in rows}
    return [by_key[point.key] for point in tradeoff.front_of(_points(rows))]


def _points(rows: Sequence[EvaluationRow]) -> list[tradeoff.Point]:
    return [
        tradeoff.Point(each.budget, each.score.clip_score, f"evaluation {each.number}", str(each.number))
        for each in rows
        if each.score.clip_score is not None
    ]


def _score(score: Any) -> str:
    parts = [f"CLIP score {score.clip_score:.2f}"] if score.clip_score is not None else []
    parts += [f"PSNR {score.psnr:.1f} dB"] if score.psnr is not None else []
    return ", " + ", ".join(parts) if parts else ""


def _when(seconds: float) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(seconds))


def _budget(config: SearchConfig) -> str:
    low = "" if config.least_budget is None else f"{100 * config.least_budget:.0f} to "
    return f"{low}{100 * config.budget:.0f} %"


def _history_row(row: SearchRow, current: bool) -> Row:
    best = row.best.score.clip_score if row.best else None
    full = row.reference.clip_score if row.reference else None
    gain = None if best is None or full is None else best - full
    cells = (
        Cell(_when(row.created), row.created),
        Cell(row.config.model, row.config.model),
        Cell(row.config.method, row.config.method),
        Cell(_budget(row.config), row.config.budget),
        Cell(f"{row.done} of {row.config.evaluations}", row.done),
        Cell(STATES[row.state], row.state),
        number(best, "{:.2f}"),
        number(full, "{:.2f}"),
        number(gain, "{:+.2f}"),
        number(row.config.seed, "{}"),
    )
    return Row(row.id, cells, mark=current)
