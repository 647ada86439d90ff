"""A page with nothing but a grid, for the tests of its tools, on ``$GRADIO_SERVER_PORT``.

``?n=20x14`` is its size, ``&rows=##/#=`` its policy, ``&measured=1`` adds a calibration; ``&carry=output`` is what the
policy reuses, ``&grown=1`` gives the model long skip branches and token routers.
"""

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Policy, actions_from_rows, repair
from mddit_ui.core.sensitivity import Sensitivity
from mddit_ui.core.tokens import BINS
from mddit_ui.ui import theme
from mddit_ui.ui.grid import GridView, PolicyGrid, sent


def view(steps: int, blocks: int, rows: str = "", measured: bool = False) -> GridView:
    names = tuple(f"blocks.{block // 3}.{('attn1', 'attn2', 'ff')[block % 3]}" for block in range(blocks))
    cells = actions_from_rows(rows.split("/")) if rows else np.ones((steps, blocks), np.int8)
    policy = Policy(cells, sites=names, timesteps=tuple(np.linspace(999, 0, steps)), name="test")
    table = MacTable(names, np.ones(blocks), 0.0)
    if not measured:
        return GridView(policy, table, 100)
    shape = (steps, blocks)
    similarity = np.linspace(0.5, 1, steps * blocks).reshape(shape)
    cached = np.arange(1, 5)[:, None, None] ** 2 * np.full(shape, 1e-4)
    return GridView(policy, table, 100, similarity, Sensitivity(cached, np.full(shape, 0.25)))


def grown(view: GridView) -> GridView:
    blocks = len(view.policy.sites)
    table = replace(view.table, routed=routed(blocks)) if view.table else None
    return replace(view, table=table, skips=tuple((site, blocks - 1 - site) for site in range(blocks // 2)))


def routed(blocks: int) -> np.ndarray:
    return np.array(BINS)[:, None] * np.ones(blocks)


def confirm(request: Any) -> dict[str, Any]:
    repaired = Policy(repair(actions_from_rows(request["rows"])))
    policy = sent({**request, "rows": list(repaired.rows)})
    blocks = policy.actions.shape[1]
    table = MacTable(tuple(map(str, range(blocks))), np.ones(blocks), 0.0, routed(blocks))
    share, full = policy.budget(table), table.full(policy.steps)
    return {"rows": policy.rows, "share": share, "macs": share * full, "full": full, "peak_bytes": 0, "closeness": None}


def main() -> None:
    with gr.Blocks(fill_width=True, analytics_enabled=False) as page:
        grid = PolicyGrid(None, confirm=confirm, elem_id="editor")

        def load(request: gr.Request) -> GridView:
            asked = request.query_params
            steps, blocks = map(int, asked.get("n", "6x4").split("x"))
            made = view(steps, blocks, asked.get("rows", ""), asked.get("measured") == "1")
            made = replace(made, policy=replace(made.policy, carry=asked.get("carry", "residual")))
            return grown(made) if asked.get("grown") == "1" else made

        page.load(load, None, grid, queue=False)
    page.launch(theme=theme.theme(), css=theme.css(), ssr_mode=False, quiet=True)


if __name__ == "__main__":
    main()
