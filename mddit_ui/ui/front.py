"""The points of a search's charts with their pictures: a small one to hover over, and a pair for the chosen one."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from mddit_ui.core.errors import MdditError, SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.service import generate as generating
from mddit_ui.service import previews
from mddit_ui.service import searches as service
from mddit_ui.store.search_rows import EvaluationRow, SearchRow
from mddit_ui.ui.pair import FULL, PairView, data_url
from mddit_ui.ui.running import Progress, Report, watch
from mddit_ui.ui.searching import evaluation, front_of, policy_of, view
from mddit_ui.ui.zero import has_zero_gpu, on_gpu

THUMBNAIL = 128  # px on the screen
MOST = 40  # pictures that are made at one go
EMPTY = "Click a point of a chart: its policy goes into the grid, and its picture is made here, beside full depth."


def picture(request: Any) -> dict[str, str] | None:
    """The small picture of a point, if it was made before; asked by the browser, so it makes nothing itself."""
    search, key = (request.get("scope"), request.get("key")) if isinstance(request, dict) else (None, None)
    try:
        row = view(search)
        found = evaluation(row, key)
        image = None if found is None else previews.find(row.config, policy_of(row, found))
    except MdditError:
        return None
    return None if image is None else {"url": data_url(_small(image))}


def pair(search: Any, key: Any, cancelled: threading.Event | None = None) -> Iterator[PairView]:
    """Full depth and an evaluated policy, both on the first caption of the search: made here if they are not kept.

    Raises:
        SearchError: there is no such evaluation; Cancelled: ``cancelled`` was set meanwhile.
    """
    row = view(search)
    found = evaluation(row, key)
    if found is None:
        raise SearchError("This point is no evaluation of the search; click a dot.")
    policy = policy_of(row, found)
    full, image = previews.find(row.config, None), previews.find(row.config, policy)
    if full is None or image is None:
        yield _pair(row, found, full, image, "Waiting for the model")
        wanted = {"Full depth": None, f"No. {found.number}": policy}
        for news in watch(lambda report: _make(row, wanted, report), cancelled):
            if isinstance(news, Progress):
                yield _pair(row, found, full, image, news.text(), news.share)
            else:
                full, image = news
    yield _pair(row, found, full, image)


def whole_front(search: Any, cancelled: threading.Event | None = None) -> Iterator[str]:
    """Makes the pictures of the front, the cheapest first; says how far it is. Errors as of `pair`."""
    row = view(search)
    found = front_of(service.evaluations(row.id))[:MOST]
    if not found:
        raise SearchError("This search has no result yet.")
    policies = {f"No. {each.number}": policy_of(row, each) for each in found}
    missing = {name: policy for name, policy in policies.items() if previews.find(row.config, policy) is None}
    for news in watch(lambda report: _make(row, missing, report), cancelled):
        if isinstance(news, Progress):
            yield news.text()
    yield f"{len(found)} points have their picture: point at one with the mouse, or with the arrow keys."


def _make(row: SearchRow, wanted: Mapping[str, Policy | None], report: Report) -> list[np.ndarray]:
    """Called in a thread; a model of another process can't tell how far it is."""
    made = []
    for name, policy in wanted.items():
        report(name, 0, 0)
        if has_zero_gpu():
            made.append(previews.make(row.config, policy, on_gpu(generating.generate)))
        else:
            told = lambda event, name=name: report(name, event.step + 1, event.steps)  # noqa: E731
            made.append(previews.make(row.config, policy, on_step=told))
    return made


def _pair(
    row: SearchRow,
    found: EvaluationRow,
    full: np.ndarray | None,
    image: np.ndarray | None,
    busy: str = "",
    share: float = 0.0,
) -> PairView:
    before, after = row.reference, found.score
    lines = [("MACs", "100 %", f"{100 * found.budget:.1f} %", f"{1 / found.budget:.2f}× fewer", "good")]
    captions = f"{len(row.config.prompts)} captions"
    if before is not None and before.clip_score is not None and after.clip_score is not None:
        change = after.clip_score - before.clip_score
        tone = "bad" if change < -0.02 * abs(before.clip_score) else ""
        lines.append(
            (f"CLIP score, {captions}", f"{before.clip_score:.2f}", f"{after.clip_score:.2f}", f"{change:+.2f}", tone)
        )
    close = [(f"PSNR, {captions}", after.psnr, "{:.1f} dB"), (f"SSIM, {captions}", after.ssim, "{:.3f}")]
    facts = [(name, text.format(value)) for name, value, text in close if value is not None]
    note = f"{row.config.prompts[0]} · seed {row.config.image_seeds[0]}"
    return PairView(
        None if full is None else full[None],
        None if image is None else image[None],
        (FULL, f"No. {found.number}"),
        rows=tuple(lines),
        facts=tuple(facts),
        busy=busy,
        share=share,
        note=note,
        final=True,
        empty=EMPTY,
    )


def _small(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image)
    small.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL), Image.Resampling.LANCZOS)
    return np.asarray(small)
