"""The page: `build_app` puts the parts together, `launch` serves them with safe settings."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from mddit_ui.core.errors import MdditError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import ModelSpec
from mddit_ui.service import catalog
from mddit_ui.ui import captions, desk, limits, studio, theme
from mddit_ui.ui.errors import escaped, shown
from mddit_ui.ui.locks import locks_of
from mddit_ui.ui.parts import is_public, known_model, session_of, shape_of, view_of
from mddit_ui.ui.state import Session, pack, unpack
from mddit_ui.ui.tabs import compare, library, search, understand

TITLE = "mddit: depth schedules for diffusion transformers"
FIRST_MODEL = "scenes-pixart"
PORT = 7860
HEADER = (Path(__file__).parent / "static" / "header.html").read_text()
COPY_LINK = """(packed) => { const url = new URL(window.location.href); url.search = "?s=" + packed;
  navigator.clipboard.writeText(url.toString()).catch(() => window.prompt("Copy this link:", url.toString())); }"""
# Once read, the link leaves the address: a reload then shows what was painted since, which is in the browser's storage.
DROP_LINK = """() => { const url = new URL(window.location.href); url.searchParams.delete("s");
  window.history.replaceState(null, "", url); }"""
TOGGLE = """() => { const dark = document.body.classList.toggle("dark");
  try { localStorage.setItem("mddit-mode", dark ? "dark" : "light"); } catch (error) {} }"""
ON_LOAD = """() => { try { const mode = localStorage.getItem("mddit-mode");
  const asked = new URL(window.location.href).searchParams.has("__theme");
  if (mode && !asked) document.body.classList.toggle("dark", mode === "dark"); } catch (error) {} }"""


def build_app() -> gr.Blocks:
    """The whole page; nothing is loaded or computed before somebody opens it."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as demo:
        saved = gr.BrowserState("", storage_key="mddit-session", secret="mddit")  # noqa: S106 not a secret
        job = gr.BrowserState("", storage_key="mddit-search", secret="mddit")  # noqa: S106
        kept, visit, calibration = gr.State(None), gr.State(()), gr.State(None)
        with gr.Row(elem_id="m-header"):
            gr.HTML(HEADER, padding=False, min_width=300)
            model = gr.Dropdown(
                desk.model_choices(),
                value=None,
                label="Model",
                allow_custom_value=desk.may_type_models(),
                elem_id="model",
                min_width=240,
            )
            with gr.Row(elem_classes="m-buttons", elem_id="m-actions"):
                link = gr.Button("Copy link", size="md", elem_id="copy-link")
                mode = gr.Button("Light / dark", size="md", elem_id="mode")
        parts = desk.build(model)
        inputs = parts.inputs
        with gr.Tabs(elem_id="m-tabs"):
            with gr.Tab("Understand", id="understand"):
                understanding = understand.build(inputs, calibration)
            with gr.Tab("Search", id="search"):
                searching = search.build(inputs, job)
            with gr.Tab("Compare", id="compare"):
                runs_chart, runs_table = compare.build(inputs, visit)
            with gr.Tab("Library", id="library"):
                shelf = library.build(parts)

        quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        spoken: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        desk.wire(parts, calibration)
        ended = studio.wire(inputs, parts.pair, parts.go, parts.stop, kept, visit)
        ended.then(compare.shown_runs, visit, [runs_chart, runs_table], **quiet)

        page = [*inputs, parts.name, *desk.model_outputs(parts), searching.prompts]

        @shown
        def restore(stored: Any, stored_job: Any, request: gr.Request) -> list[Any]:
            session = session_from(request.query_params.get("s"), stored)
            number = request.query_params.get("job") or stored_job
            return [*page_of(session), *search.show(number), number if search.exists(number) else "", library.choices()]

        demo.load(restore, [saved, job], [*page, *searching.outputs, job, shelf.listing], **spoken).then(
            None, None, None, js=DROP_LINK
        )

        @shown
        def change_model(chosen: Any, policy: Policy | None) -> list[Any]:
            spec = known_model(chosen)
            view = view_of(spec.id, policy, spec.steps, "default")
            values = [spec.id, view, captions.default_caption(spec), 0, spec.steps, spec.guidance_scale, "default"]
            more = [view.policy.name, *desk.model_updates(spec), search.default_prompts(spec.id)]
            return [*values, *more, None, None, understand.NOT_MEASURED]

        model.input(
            change_model,
            [model, inputs.grid],
            [*page, kept, calibration, understanding.similarity],
            concurrency_limit=None,
            show_progress="minimal",
            api_visibility="private",
        )

        def remember(name: Any, locked: Any, *values: Any) -> list[Any]:
            """After every change: the session for the browser, where the MACs go, the lines of Python."""
            try:
                session = session_of(*values)
                policy = library.named(session.policy, name)
                packed = pack(Session(session.model, policy, session.config, locks_of(locked, policy)))
                chart = understand.macs_chart(session.model, policy, session.config.steps, session.config.scheduler)
                return [packed, chart, library.snippet_of(policy, catalog.get_model(session.model).source)]
            except MdditError:
                return [gr.skip(), gr.skip(), gr.skip()]  # half-typed values are not worth a toast

        changes = [
            inputs.grid.change,
            inputs.grid.locks.change,
            inputs.prompt.change,
            inputs.seed.change,
            inputs.guidance.change,
            parts.name.change,
        ]
        gr.on(
            changes,
            remember,
            [parts.name, inputs.grid.locks, *inputs],
            [saved, understanding.macs, shelf.snippet],
            trigger_mode="always_last",
            **quiet,
        )

        link_text = gr.Textbox(visible=False)

        @shown
        def link_of(name: Any, locked: Any, *values: Any) -> str:
            session = session_of(*values)
            policy = library.named(session.policy, name)
            return pack(Session(session.model, policy, session.config, locks_of(locked, policy)))

        link.click(link_of, [parts.name, inputs.grid.locks, *inputs], link_text, **spoken).success(
            None, link_text, None, js=COPY_LINK
        )
        mode.click(None, None, None, js=TOGGLE)
    demo.queue(api_open=False, max_size=20, default_concurrency_limit=4, status_update_rate=5)
    return demo


def session_from(link: Any, stored: Any) -> Session | None:
    """The session of the link, else of the browser's storage, else none; a damaged one is said, not raised."""
    for text, from_link in ((link, True), (stored, False)):
        if not text:
            continue
        try:
            session = unpack(text)
            known_model(session.model)
            return session
        except MdditError as error:
            if from_link:
                gr.Warning(escaped(error))
    return None


def page_of(session: Session | None) -> list[Any]:
    """Values of the whole page for a session, or for the first visit."""
    if session is not None:
        try:
            spec = known_model(session.model)
            return _page(spec, session.policy, session)
        except MdditError as error:
            gr.Warning(escaped(error))
    return _page(first_model(), None, None)


def first_model() -> ModelSpec:
    """The demo model, or the first of the list."""
    models = {spec.id: spec for spec in catalog.list_models()}
    return models.get(os.environ.get("MDDIT_MODEL", FIRST_MODEL)) or next(iter(models.values()))


def _page(spec: ModelSpec, policy: Policy | None, session: Session | None) -> list[Any]:
    if session is None:
        sites = shape_of(spec.id, spec.steps, "default")
        policy = desk.preset_policy("Skip-Cache", 3, len(sites.timesteps), len(sites.sites))
        view = view_of(spec.id, policy, spec.steps, "default")
        values = [spec.id, view, captions.default_caption(spec), 0, spec.steps, spec.guidance_scale, "default"]
    else:
        config = session.config
        view = view_of(spec.id, policy, config.steps, config.scheduler)
        view = replace(view, locked=locks_of("/".join(session.locked or ()), view.policy))
        subject = config.prompts[0] if config.prompts else str(config.classes[0])
        values = [spec.id, view, subject, config.image_seeds[0], config.steps, config.guidance_scale, config.scheduler]
    return [*values, view.policy.name, *desk.model_updates(spec), search.default_prompts(spec.id)]


def launch(**more: Any) -> None:
    """Serve the page on http://127.0.0.1:7860 until it is stopped; ``more`` goes to Gradio's ``launch``."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    port = int(os.environ.get("GRADIO_SERVER_PORT", more.pop("server_port", None) or PORT))
    name = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    page = build_app()
    page.launch(
        server_name=name,
        server_port=port,
        theme=theme.theme(),
        css=theme.css(),
        js=ON_LOAD,
        quiet=True,
        show_error=not is_public(),
        run_history=False,
        ssr_mode=False,
        footer_links=[],
        enable_monitoring=False,
        max_file_size=limits.MAX_UPLOAD,
        state_session_capacity=500,
        app_kwargs={"middleware": limits.middleware()},
        prevent_thread_lock=True,
        **more,
    )
    print(f"mddit is on http://{name}:{port} (Ctrl-C stops it)", flush=True)
    page.block_thread()
