"""The values of the whole page: from a link, from the browser's storage, from an earlier run, or of a first visit."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.blocks import Block

from mddit_ui.core.errors import MdditError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import ModelSpec
from mddit_ui.service import catalog
from mddit_ui.ui import captions, desk, first
from mddit_ui.ui.errors import escaped
from mddit_ui.ui.locks import locks_of
from mddit_ui.ui.parts import asked, known_model, shape_of, view_of
from mddit_ui.ui.state import Session, unpack
from mddit_ui.ui.tabs import search_form

FIRST_MODEL = "scenes-pixart"
FIRST_SEED = 0


def session_from(link: Any, stored: Any, say: bool = True) -> Session | None:
    """The session of the link, else of the browser's storage, else none; a damaged one is said, not raised."""
    for text, from_link in ((link, True), (stored, False)):
        if not text:
            continue
        try:
            session = unpack(text)
            known_model(session.model)
            return session
        except MdditError as error:
            if from_link and say:
                gr.Warning(escaped(error))
    return None


def page_of(session: Session | None, say: bool = True) -> list[Any]:
    """Values of the whole page for a session, or for the first visit."""
    if session is not None:
        try:
            spec = known_model(session.model)
            return _page(spec, session.policy, session)
        except MdditError as error:
            if say:
                gr.Warning(escaped(error))
    return _page(first_model(), None, None)


def fill(demo: gr.Blocks, components: Sequence[Any], values: Sequence[Any]) -> None:
    """Send the page with these values from now on, so that a new visitor waits for the page alone."""
    for component, value in zip(components, values, strict=True):
        changed = value.constructor_args if isinstance(value, Block) else {} if value == gr.skip() else {"value": value}
        for name, given in changed.items():
            if name == "value":
                given = component.postprocess(given)
            elif name == "choices":
                given = [each if isinstance(each, tuple) else (str(each), each) for each in given]
            setattr(component, name, given)
    demo.config = demo.get_config_file()


def first_model() -> ModelSpec:
    """The demo model, or the first of the list."""
    models = {spec.id: spec for spec in catalog.list_models()}
    return models.get(os.environ.get("MDDIT_MODEL", FIRST_MODEL)) or next(iter(models.values()))


def first_visit() -> first.FirstScreen | None:
    """The precomputed screen, if there is one for the first model."""
    return first.first_screen(first_model())


def _page(spec: ModelSpec, policy: Policy | None, session: Session | None) -> list[Any]:
    if session is None and (ready := first.first_screen(spec)) is not None:
        view, config = ready.view, ready.session.config
        how = [config.steps, config.guidance_scale, config.scheduler, 1]
        values = [spec.id, view, asked(config)[0], config.image_seeds[0], *how]
    elif session is None:
        sites = shape_of(spec.id, spec.steps, "default")
        policy = desk.preset_policy("Skip-Cache", 3, len(sites.timesteps), len(sites.sites))
        view = view_of(spec.id, policy, spec.steps, "default")
        values = [
            spec.id,
            view,
            captions.default_caption(spec),
            FIRST_SEED,
            spec.steps,
            spec.guidance_scale,
            "default",
            1,
        ]
    else:
        config = session.config
        view = view_of(spec.id, policy, config.steps, config.scheduler)
        view = replace(view, locked=locks_of("/".join(session.locked or ()), view.policy))
        subject, count = asked(config)
        how = [config.steps, config.guidance_scale, config.scheduler, count]
        values = [spec.id, view, subject, config.image_seeds[0], *how]
    return [*values, view.policy.name, *desk.model_updates(spec), search_form.default_prompts(spec.id)]
