"""Generate: full depth and policy from one seed, with progress, previews, numbers and cancel."""

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.core.errors import Cancelled
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import to_dict
from mddit_ui.core.records import GenerationConfig, RunRecord, RunResult, Score
from mddit_ui.service import generate as service
from mddit_ui.store import runs as run_store
from mddit_ui.store.db import open_db
from mddit_ui.ui.errors import shown
from mddit_ui.ui.pair import ImagePair, PairView
from mddit_ui.ui.parts import Inputs, busy, cancel, idle, session_of, with_unit
from mddit_ui.ui.running import Progress, Report, watch
from mddit_ui.ui.state import Session


class Reference(NamedTuple):
    """The full-depth run of a request; kept, so that painting and pressing again costs only the policy."""

    model: str
    config: GenerationConfig
    result: RunResult
    score: Score


@dataclass(frozen=True, eq=False)
class Run:
    """One pair of this visit."""

    name: str
    policy: Policy
    budget: float
    seconds: float
    full_seconds: float
    score: Score
    full_score: Score
    caption: str
    seed: int


class Outcome(NamedTuple):
    """What the work gives back."""

    reference: Reference
    result: RunResult
    score: Score


def generate_both(session: Session, kept: Reference | None, report: Report) -> Outcome:
    """Full depth (unless kept from before) and policy, each scored; called in a thread."""
    model, config = session.model, session.config

    def told(what: str) -> Any:
        return lambda event: report(what, event.step + 1, event.steps, event)

    if kept is not None and (kept.model, kept.config) == (model, config):
        reference = kept
    else:
        report("Loading the model", 0, 0)
        full = service.generate(model, None, config, on_step=told("Full depth"), previews=True)
        reference = Reference(model, config, full, service.score(model, full, config))
    result = service.generate(model, session.policy, config, on_step=told("This policy"), previews=True)
    report("Scoring", 0, 0)
    return Outcome(reference, result, service.score(model, result, config, reference=reference.result))


def frames(
    session: Session, kept: Reference | None, cancelled: threading.Event | None = None
) -> Iterator[PairView | Outcome]:
    """What the pair shows while it is made; the last one is the outcome."""
    left = kept.result.images[0] if kept and (kept.model, kept.config) == (session.model, session.config) else None
    right = None
    for news in watch(lambda report: generate_both(session, kept, report), cancelled):
        if not isinstance(news, Progress):
            yield news
            return
        preview = getattr(news.event, "preview", None)
        if preview is not None and news.what == "Full depth":
            left = preview[0]
        elif preview is not None:
            right = preview[0]
        half = 0.5 if news.what != "Full depth" and news.total else 0.0
        share = half + news.share / 2 if news.total else (1.0 if news.what == "Scoring" else 0.0)
        yield PairView(left, right, busy=news.text(), share=share)


def finished(outcome: Outcome) -> PairView:
    """The two pictures with their numbers."""
    full, run = outcome.reference.result, outcome.result
    before, after = outcome.reference.score, outcome.score
    rows = [
        _row(
            "Time",
            full.wall_seconds,
            run.wall_seconds,
            lambda v: f"{v:.2f} s",
            _times(full.wall_seconds, run.wall_seconds),
        ),
        _row("MACs", full.macs, run.macs, lambda v: with_unit(v, "MACs"), f"{100 * run.macs / full.macs - 100:+.1f} %"),
    ]
    if before.clip_score is not None and after.clip_score is not None:
        change = after.clip_score - before.clip_score
        tone = "bad" if change < -0.02 * abs(before.clip_score) else ""
        rows.append(("CLIP score", f"{before.clip_score:.2f}", f"{after.clip_score:.2f}", f"{change:+.2f}", tone))
    close = [("PSNR", after.psnr, "{:.1f} dB"), ("SSIM", after.ssim, "{:.3f}")]
    facts = [(name, text.format(value)) for name, value, text in close if value is not None]
    facts.append(("Residuals held", with_unit(run.peak_cache_bytes, "B") if run.peak_cache_bytes else "none"))
    return PairView(full.images[0], run.images[0], tuple(rows), tuple(facts), final=True)


def record_of(session: Session, outcome: Outcome) -> RunRecord:
    """The run as the store keeps it."""
    return RunRecord(
        id=uuid.uuid4().hex,
        created=time.time(),
        model=session.model,
        policy=to_dict(session.policy),
        config=session.config,
        score=outcome.score,
        wall_seconds=outcome.result.wall_seconds,
        macs=outcome.result.macs,
        full_macs=outcome.result.full_macs,
        peak_cache_bytes=outcome.result.peak_cache_bytes,
    )


def run_of(session: Session, outcome: Outcome) -> Run:
    """The run as the Compare tab shows it."""
    config = session.config
    return Run(
        session.policy.name,
        session.policy,
        outcome.result.macs / outcome.result.full_macs,
        outcome.result.wall_seconds,
        outcome.reference.result.wall_seconds,
        outcome.score,
        outcome.reference.score,
        config.prompts[0] if config.prompts else f"class {config.classes[0]}",
        config.image_seeds[0],
    )


def wire(inputs: Inputs, pair: ImagePair, go: gr.Button, stop: gr.Button, kept: gr.State, visit: gr.State) -> Any:
    """Connect the buttons; returns the event after which a run is in ``visit``."""

    event = gr.State(None)

    @shown
    def generate(*values: Any) -> Iterator[Any]:
        *session_values, reference, past, cancelled = values
        session = session_of(*session_values)
        shown_pair = PairView()
        try:
            for news in frames(session, reference, cancelled):
                if isinstance(news, Outcome):
                    run_store.save(open_db(), record_of(session, news), news.result.images)
                    past = (*past, run_of(session, news))[-200:]
                    yield finished(news), news.reference, past
                else:
                    shown_pair = news
                    yield news, gr.skip(), gr.skip()
        except Cancelled:
            yield PairView(shown_pair.left, shown_pair.right, note="Stopped."), gr.skip(), gr.skip()

    started = go.click(busy, None, [go, stop, event], queue=False, show_progress="hidden", api_visibility="private")
    running = started.then(
        generate,
        [*inputs, kept, visit, event],
        [pair, kept, visit],
        show_progress="hidden",
        concurrency_id="compute",
        concurrency_limit=1,
        api_visibility="private",
    )
    ended = running.then(idle, None, [go, stop], queue=False, show_progress="hidden", api_visibility="private")
    stop.click(cancel, event, None, queue=False, show_progress="hidden", api_visibility="private")
    return ended


def _row(name: str, full: float, policy: float, write: Any, change: str) -> tuple[str, str, str, str, str]:
    tone = "good" if policy < 0.98 * full else "bad" if policy > 1.02 * full else ""
    return name, write(full), write(policy), change, tone


def _times(full: float, policy: float) -> str:
    ratio = full / max(policy, 1e-9)
    return f"{ratio:.2f}× as fast"
