"""Generate: two policies from the same seeds, with progress, previews, numbers and cancel."""

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.core.errors import Cancelled, ConfigError
from mddit_ui.core.inpainting import Inpainting
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import to_dict
from mddit_ui.core.records import GenerationConfig, RunRecord, RunResult, Score
from mddit_ui.service import catalog
from mddit_ui.service import generate as service
from mddit_ui.store import library
from mddit_ui.store import runs as run_store
from mddit_ui.store.db import open_db
from mddit_ui.ui import visit
from mddit_ui.ui.desk import Desk
from mddit_ui.ui.download import is_here
from mddit_ui.ui.errors import shown
from mddit_ui.ui.pair import FULL, PairView
from mddit_ui.ui.parts import AT_ONCE, cancel, cancellable, fitted, known_model, session_of, shape_for, shape_of
from mddit_ui.ui.running import Progress, Report, watch
from mddit_ui.ui.state import Session
from mddit_ui.ui.zero import has_zero_gpu, on_gpu


class Rival(NamedTuple):
    """What to compare with: a policy (``None``: full depth) on a model, which may be another one."""

    model: str
    policy: Policy | None
    name: str


class Side(NamedTuple):
    """One half of a pair: what ran, and how it went.

    ``policy`` None is full depth; ``run`` is its id in the store; ``repainted`` is the digest of the picture and the
    mask that it began with, if any.
    """

    model: str
    config: GenerationConfig
    policy: Policy | None
    result: RunResult
    score: Score
    run: str
    repainted: str = ""

    def answers(self, session: Session, rival: Rival, inpainting: Inpainting | None = None) -> bool:
        """Whether this is the answer to that request, so that painting and pressing again costs only the policy."""
        own = (self.model, self.config, self.policy, self.repainted)
        return own == (rival.model, session.config, rival.policy, inpainting.digest if inpainting else "")


class Outcome(NamedTuple):
    """What the work gives back."""

    rival: Side
    own: Side


def rival_of(choice: Any, session: Session) -> Rival:
    """What stands on the left: full depth, ``saved:<id>`` of the library, ``run:<id>`` of the visit, or the painted
    policy on another model, ``model:<id>``.

    Raises:
        ConfigError, StoreError, PolicyError: it is not there, or its blocks are not those of the model.
    """
    kind, _, key = str(choice or "full").partition(":")
    if kind == "full":
        return Rival(session.model, None, FULL)
    if kind not in ("saved", "run", "model"):
        raise ConfigError("Choose what to compare with from the list.")
    spec = known_model(key if kind == "model" else session.model)
    if spec.conditioning != known_model(session.model).conditioning:
        raise ConfigError("One of the two models takes captions, the other one classes; choose another one.")
    ways = {"saved": library.load, "run": visit.policy_of, "model": lambda _: session.policy}
    policy = ways[kind](key)
    shape = shape_for(policy, spec.id, session.config.steps, session.config.scheduler)
    if policy.actions.shape[1] != len(shape.sites):
        raise ConfigError(f"{policy.name} has {policy.actions.shape[1]} blocks, {spec.id} {len(shape.sites)}.")
    name = f"{policy.name} · {spec.title or spec.id}" if kind == "model" else policy.name
    return Rival(spec.id, fitted(policy, spec.id, shape.sites, shape.timesteps), name)


def rival_choices(past: Any, model: Any) -> list[tuple[str, str]]:
    """Full depth, the same policy on the other models that are here, the runs of this visit, the library."""
    own = known_model(model)
    others = [spec for spec in catalog.list_models() if spec.id != own.id and spec.conditioning == own.conditioning]
    models = [(f"this policy on {spec.title or spec.id}", f"model:{spec.id}") for spec in others if is_here(spec)]
    runs = [(f"run {line.number}: {line.name}", f"run:{line.id}") for line in visit.lines(past)]
    saved = [(f"library: {each.policy.name}", f"saved:{each.id}") for each in library.list_policies()]
    return [(FULL, "full"), *models, *runs, *saved]


def generate_both(
    session: Session, rival: Rival, kept: Side | None, report: Report, inpainting: Inpainting | None = None
) -> Outcome:
    """The rival (unless kept from before) and the policy, each scored; called in a thread."""
    config, painted = session.config, inpainting.digest if inpainting else ""

    def run(model: str, policy: Policy | None, what: str) -> RunResult:
        if has_zero_gpu():  # another process, which can't tell how far it is
            report(what, 0, 0)
            return on_gpu(service.generate)(model, policy, config, inpainting=inpainting)
        told = lambda event: report(what, event.step + 1, event.steps, event)  # noqa: E731
        return service.generate(model, policy, config, on_step=told, previews=True, inpainting=inpainting)

    if kept is not None and kept.answers(session, rival, inpainting):
        left = kept
    else:
        report("Loading the model", 0, 0)
        full = run(rival.model, rival.policy, rival.name)
        score = service.score(rival.model, full, config)
        left = Side(rival.model, config, rival.policy, full, score, uuid.uuid4().hex, painted)
    model = session.model
    result = run(model, session.policy, "This policy")
    report("Scoring", 0, 0)
    score = service.score(model, result, config, reference=left.result)
    return Outcome(left, Side(model, config, session.policy, result, score, uuid.uuid4().hex, painted))


def frames(
    session: Session,
    rival: Rival,
    kept: Side | None,
    cancelled: threading.Event | None = None,
    inpainting: Inpainting | None = None,
) -> Iterator[PairView | Outcome]:
    """What the pair shows while it is made; the last one is the outcome."""
    left = kept.result.images if kept is not None and kept.answers(session, rival, inpainting) else None
    right, name = None, rival.name
    ready = left is not None
    for news in watch(lambda report: generate_both(session, rival, kept, report, inpainting), cancelled):
        if not isinstance(news, Progress):
            yield news
            return
        first = news.what == name and not ready
        preview = getattr(news.event, "preview", None)
        if preview is not None and first:
            left = preview
        elif preview is not None:
            right = preview
        begun = 0.0 if first or ready else 0.5
        share = begun + news.share * (1.0 if ready else 0.5) if news.total else float(news.what == "Scoring")
        yield PairView(
            left, right, (name, "This policy"), visit.captions_of(session.config), busy=news.text(), share=share
        )


def record_of(side: Side, reference: str = "") -> RunRecord:
    """The run as the store keeps it."""
    policy = side.policy
    if policy is None:
        shape = shape_of(side.model, side.config.steps, side.config.scheduler)
        policy = Policy.full(len(shape.timesteps), shape.sites, timesteps=shape.timesteps, name=FULL.lower())
    notes = {**policy.notes, "repainted": side.repainted}
    return RunRecord(
        id=side.run,
        created=time.time(),
        model=side.model,
        policy=to_dict(replace(policy, model=side.model, notes=notes)),
        config=side.config,
        score=side.score,
        wall_seconds=side.result.wall_seconds,
        macs=side.result.macs,
        full_macs=side.result.full_macs,
        peak_cache_bytes=side.result.peak_cache_bytes,
        reference=reference,
    )


def keep(outcome: Outcome, known: bool) -> PairView:
    """Both runs into the store, the rival only once; returns what to show of them."""
    rival, own = record_of(outcome.rival), record_of(outcome.own, outcome.rival.run)
    if not known:
        run_store.save(open_db(), rival, outcome.rival.result.images)
    run_store.save(open_db(), own, outcome.own.result.images)
    return visit.pair_of(rival, outcome.rival.result.images, own, outcome.own.result.images)


def wire(desk: Desk, kept: gr.State, past: gr.BrowserState) -> Any:
    """Connect the buttons; returns the event after which a run is in ``past``."""
    inputs, rival, go, stop = desk.inputs, desk.rival, desk.go, desk.stop
    event = gr.State(None)

    @shown
    def generate(*values: Any) -> Iterator[Any]:
        *session_values, title, part, choice, before, runs, cancelled = values
        session = session_of(*session_values)
        session = replace(session, policy=library_name(session.policy, title))
        left = rival_of(choice, session)
        inpainting = part.fitted(session.config) if part else None
        shown_pair = PairView()
        try:
            for news in frames(session, left, before, cancelled, inpainting):
                if isinstance(news, Outcome):
                    known = before is not None and news.rival.run == before.run
                    view = keep(news, known)
                    added = [] if known else [news.rival.run]
                    yield view, news.rival, visit.more(runs, *added, news.own.run)
                else:
                    shown_pair = news
                    yield news, gr.skip(), gr.skip()
        except Cancelled:
            yield replace(shown_pair, busy="", note="Stopped."), gr.skip(), gr.skip()
        except Exception:
            yield replace(shown_pair, busy=""), gr.skip(), gr.skip()
            raise

    ended = cancellable(
        go.click,
        (go, stop, event),
        generate,
        [*inputs, desk.name, desk.repaint, rival, kept, past, event],
        [desk.pair, kept, past],
        show_progress_on=desk.line,
    )
    stop.click(cancel, event, None, **AT_ONCE)
    rival.focus(
        lambda runs, model: gr.Dropdown(choices=rival_choices(runs, model)), [past, inputs.model], rival, **AT_ONCE
    )
    return ended


def library_name(policy: Policy, title: Any) -> Policy:
    """The policy under the name in the box."""
    return replace(policy, name=" ".join(str(title or "").split()) or "untitled")
