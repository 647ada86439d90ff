"""How fast the page answers: painting, confirmed numbers, live updates and the first visit, in a headless browser.

``python -m mddit_ui bench ui [--steps 100] [--blocks 57]`` starts the app with a random-weight model of that size and
prints a table. Needs Chromium (``$CHROMIUM``, else ``/usr/bin/chromium``) and playwright.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mddit_ui.bench.screens import PATIENCE
from mddit_ui.bench.serving import browser, serving
from mddit_ui.bench.tiny import save_dit
from mddit_ui.core.errors import MdditError
from mddit_ui.core.policy import Policy, repair
from mddit_ui.core.records import Score, SearchConfig
from mddit_ui.store import searches as store
from mddit_ui.store.db import open_db
from mddit_ui.store.search_rows import EvaluationRow

MODEL = "bench-dit"
READY = '#editor .pg[data-ready="true"]'
GOALS = {"painted": 40, "confirmed": 100, "live": 30, "grid": 1000, "page": 1500}  # ms at the 95th percentile
WORDS = {
    "painted": "pointer up to painted",
    "confirmed": "pointer up to numbers confirmed by the server",
    "live": "live update of all cells, answer to painted",
    "grid": "cold visit: grid painted",
    "page": "cold visit: page interactive",
}

# Times everything inside the page: from the timestamp of the event to the task after the frame in which it was painted.
WATCH = """() => {
  const times = window.benchTimes = {painted: [], confirmed: [], live: [], grid: [], page: [], long: []};
  let up = null, answered = null;
  const afterPaint = (act) => requestAnimationFrame(() => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = act; port2.postMessage(0);
  });
  document.addEventListener("pointerup", (event) => {
    up = event.timeStamp;
    const since = up;
    afterPaint(() => times.painted.push(performance.now() - since));
  }, true);
  const fetched = window.fetch;
  window.fetch = async (...call) => {
    const answer = await fetched(...call);
    if (String(call[0].url || call[0]).includes("component_server")) answered = performance.now();
    return answer;
  };
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) times.long.push(task.startTime + task.duration);
  }).observe({type: "longtask", buffered: true});
  new MutationObserver((changes) => {
    for (const {target, attributeName} of changes) {
      if (attributeName === "data-ready" && target.closest("#editor") && !times.grid.length)
        afterPaint(() => times.grid.push(performance.now()));
      if (attributeName === "data-confirmed" && up !== null) {
        const since = up;
        up = null;
        afterPaint(() => times.confirmed.push(performance.now() - since));
      }
      if (attributeName === "data-rows" && target.closest("#live-grid") && answered !== null) {
        const since = answered;
        answered = null;
        const {port1, port2} = new MessageChannel(); // drawn in a frame already: the task after it
        port1.onmessage = () => times.live.push(performance.now() - since);
        port2.postMessage(0);
      }
    }
  }).observe(document, {subtree: true, attributeFilter: ["data-ready", "data-confirmed", "data-rows"]});
  const look = () => {
    const field = document.querySelector("#prompt textarea"), button = document.querySelector("#generate");
    if (field && field.value && button && !button.disabled && times.grid.length) times.page.push(performance.now());
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
AT_REST = "performance.now() - Math.max(0, ...window.benchTimes.long) > 1000"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="mddit bench ui", description="How fast the page answers.")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--blocks", type=int, default=57)
    parser.add_argument("--edits", type=int, default=40, help="strokes (default 40)")
    parser.add_argument("--updates", type=int, default=20, help="live updates, one a second (default 20)")
    parser.add_argument("--visits", type=int, default=10, help="cold visits (default 10)")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        model = {"id": MODEL, "title": "Random weights", "steps": wanted.steps}
        save_dit(Path(folder) / "models" / MODEL, wanted.blocks, **model)
        data = Path(folder) / "data"
        os.environ |= {"MDDIT_MODELS": str(Path(folder) / "models"), "MDDIT_DATA": str(data)}
        os.environ |= {
            "MDDIT_POLICIES": str(Path(folder) / "policies"),
            "GRADIO_TEMP_DIR": str(Path(folder) / "gradio"),
        }
        os.environ["MDDIT_MODEL"] = MODEL
        with serving(os.environ, Path(folder) / "app.log") as (url, _), browser() as chromium:
            visit(chromium, url)  # the first visitor of a server pays for loading the model; not counted
            visits = [visit(chromium, url) for _ in range(wanted.visits)]
            edited = edit(chromium, url, wanted.edits)
            updated = follow(chromium, url, wanted.updates, wanted.steps, wanted.blocks)
    times = {"painted": edited["painted"], "confirmed": edited["confirmed"], "live": updated}
    times |= {"grid": [grid for grid, _ in visits], "page": [page for _, page in visits]}
    print(f"{wanted.steps} x {wanted.blocks} cells, {os.cpu_count()} cores, milliseconds")
    print(*table(times), sep="\n")
    return 0


def table(times: Mapping[str, Sequence[float]]) -> list[str]:
    """Lines of Markdown; the last column says whether the 95th percentile keeps its goal."""
    lines = ["| what | n | median | p95 | goal | |", "|---|---|---|---|---|---|"]
    for name, values in times.items():
        if not len(values):
            raise MdditError(f"Nothing was measured of: {WORDS[name]}.")
        middle, high = np.percentile(values, [50, 95])
        kept = "met" if high <= GOALS[name] else "missed"
        lines.append(f"| {WORDS[name]} | {len(values)} | {middle:.0f} | {high:.0f} | {GOALS[name]} | {kept} |")
    return lines


def visit(chromium: Any, url: str) -> tuple[float, float]:
    """Milliseconds until the grid is painted, and until the page is interactive, for somebody with an empty cache.

    Interactive: the request is filled in, Generate can be pressed, and no task of more than 50 ms that was at work
    then is still running.
    """
    page = opened(chromium, url)
    page.wait_for_function("window.benchTimes.page.length > 0", timeout=PATIENCE)
    page.wait_for_timeout(1500)
    times = page.evaluate("window.benchTimes")
    page.context.close()
    at = times["page"][0]
    return times["grid"][0], max([at, *(end for end in times["long"] if end < at + 500)])


def edit(chromium: Any, url: str, count: int) -> dict[str, list[float]]:
    """Brush strokes and rectangles all over the grid, one after the other."""
    page = opened(chromium, url)
    page.wait_for_timeout(3000)
    rng = np.random.default_rng(0)
    painted: list[float] = []
    for number in range(count):
        page.click(f'#editor [data-do="{("skip", "compute")[number // 2 % 2]}"]')
        page.click(f'#editor [data-do="{("brush", "box")[number % 2]}"]')
        rows = stroke(page, rng)
        page.wait_for_function(
            "(rows) => { const {rows: now, checked} = document.querySelector('#editor .pg').dataset;"
            " return now === rows || checked === 'true'; }",
            arg=rows,
        )
        page.wait_for_timeout(300)
        painted.append(page.evaluate("window.benchTimes.painted.at(-1)"))
    confirmed = page.evaluate("window.benchTimes.confirmed")
    page.context.close()
    return {"painted": painted, "confirmed": confirmed}


def stroke(page: Any, rng: np.random.Generator) -> str:
    """Drag from one cell to another; the rows before."""
    left, top, width, height = map(float, page.get_attribute("#editor .pg", "data-frame").split())
    frame = page.locator("#editor .pg-base").bounding_box()
    rows = page.get_attribute("#editor .pg", "data-rows")
    steps, blocks = rows.count("/") + 1, rows.index("/")
    ends = rng.integers((1, 0), (steps, blocks), (2, 2))
    start, end = [(frame["x"] + left + (s + 0.5) * width, frame["y"] + top + (b + 0.5) * height) for s, b in ends]
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()
    return rows


def follow(chromium: Any, url: str, count: int, steps: int, blocks: int) -> list[float]:
    """A search whose best policy changes in all cells, as somebody who watches it sees it, the charts being drawn."""
    config = SearchConfig(model=MODEL, prompts=("1",), steps=steps, evaluations=count + 1)
    db = open_db()
    search = store.create(db, config)
    store.set_state(db, search, "stopped", only_if=("queued",))
    store.add_evaluation(db, search, evaluation(0, steps, blocks))
    page = opened(chromium, f"{url}?job={search}")
    page.get_by_role("tab", name="Search", exact=True).click()
    page.wait_for_selector('#live-grid .pg[data-ready="true"]', timeout=PATIENCE)
    page.wait_for_timeout(3000)
    page.evaluate("window.benchTimes.live.length = 0")
    for number in range(1, count + 1):
        page.wait_for_function(AT_REST, timeout=PATIENCE)
        store.add_evaluation(db, search, evaluation(number, steps, blocks))
        page.wait_for_function("(n) => window.benchTimes.live.length >= n", arg=number, timeout=PATIENCE)
        page.wait_for_timeout(300)
    times = page.evaluate("window.benchTimes.live")
    page.context.close()
    return times


def evaluation(number: int, steps: int, blocks: int) -> EvaluationRow:
    """Number ``n`` is better than all before it, and differs from the one before it in every cell after the first."""
    rng = np.random.default_rng(number // 2)
    cells = rng.choice([-1, 0, 1], (steps, blocks)).astype(np.int8)
    if number % 2:
        cells = (cells + 2) % 3 - 1
    cells[0] = 1
    policy = Policy(repair(cells))
    return EvaluationRow(
        number=number + 1,
        generation=1,
        policy_rows=policy.rows,
        digest=policy.digest,
        budget=float((policy.actions == 1).mean()),
        score=Score(clip_score=20 + number / 100, images=1),
        objective=float(number),
        seconds=1.0,
    )


def opened(chromium: Any, url: str) -> Any:
    """A fresh visitor's page with the grid there, and the stopwatches inside."""
    page = chromium.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.add_init_script(f"({WATCH})()")
    page.goto(url)
    page.wait_for_selector(READY, timeout=PATIENCE)
    return page
