"""The page: `build_app` puts the parts together, `launch` serves them with safe settings."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from mddit_ui.core.errors import ConfigError, MdditError
from mddit_ui.core.paths import data_dir
from mddit_ui.core.policy import Policy
from mddit_ui.ui import api, captions, desk, download, limits, page, studio, theme, tour, visit
from mddit_ui.ui.errors import shown
from mddit_ui.ui.locks import locks_of
from mddit_ui.ui.parts import AT_ONCE, QUIET, known_model, session_of, view_of
from mddit_ui.ui.preload import Preload
from mddit_ui.ui.quotas import is_public, quotas
from mddit_ui.ui.state import Session, pack
from mddit_ui.ui.tabs import compare, library, routing, search, search_form, understand
from mddit_ui.ui.zero import on_gpu

TITLE = "mddit: depth schedules for diffusion transformers"
PORT = 7860
HEADER = (Path(__file__).parent / "static" / "header.html").read_text()
COPY_LINK = """(packed) => { const url = new URL(window.location.href); url.search = "?s=" + packed;
  navigator.clipboard.writeText(url.toString()).catch(() => window.prompt("Copy this link:", url.toString())); }"""
LATER = "later"  # the id of no tab: what is under the desk is made when the desk stands, unless somebody was faster
# Once read, the link leaves the address: a reload then shows what was painted since, which is in the browser's storage.
RESTORED = """() => { const url = new URL(window.location.href);
  const tabs = [...document.querySelectorAll("#m-tabs [role=tab]")];
  const wanted = url.searchParams.has("job") ? "Search" : "Understand";
  if (!tabs.some((tab) => tab.ariaSelected === "true"))
    tabs.find((tab) => tab.textContent.trim() === wanted)?.click();
  document.body.dataset.restored = "true";
  url.searchParams.delete("s"); window.history.replaceState(null, "", url); }"""
TOGGLE = """() => { const dark = document.body.classList.toggle("dark");
  try { localStorage.setItem("mddit-mode", dark ? "dark" : "light"); } catch (error) {} }"""
ON_LOAD = """() => { try { const mode = localStorage.getItem("mddit-mode");
  const asked = new URL(window.location.href).searchParams.has("__theme");
  if (mode && !asked) document.body.classList.toggle("dark", mode === "dark"); } catch (error) {}
  // Gradio's messages are moved by its scripts, which ask nobody whether that is wanted.
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)"), {animate} = Element.prototype;
  Element.prototype.animate = function (frames, how) {
    const still = {...(how instanceof Object ? how : {}), duration: 0, delay: 0};
    return animate.call(this, frames, calm.matches ? still : how); }; }"""


def build_app() -> gr.Blocks:
    """The whole page; nothing is loaded or computed before somebody opens it."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as demo:
        api.add_endpoints()  # first, so that no handler of the page takes their names
        for work in api.ON_GPU:
            on_gpu(work)
        saved = gr.BrowserState("", storage_key="mddit-session", secret="mddit")  # noqa: S106 not a secret
        job = gr.BrowserState("", storage_key="mddit-search", secret="mddit")  # noqa: S106
        past = gr.BrowserState([], storage_key="mddit-runs", secret="mddit")  # noqa: S106
        kept, calibration = gr.State(None), gr.State(None)
        filled = gr.Textbox("", visible=False)  # "yes" in a page that came with all that a new visitor sees
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
                guide = gr.Button("Tour", size="md", elem_id="tour-again")
        with gr.Row(visible=False, elem_classes="m-panel m-ask", elem_id="ask-model") as ask:
            question = gr.Markdown("", elem_classes="m-question")
            with gr.Row(elem_classes="m-buttons m-right"):
                yes = gr.Button("Download and open", variant="primary", size="md", elem_id="ask-yes")
                no = gr.Button("Not now", size="md", elem_id="ask-no")
        opened, shown_model = gr.State(""), gr.State("")
        parts = desk.build(model)
        inputs = parts.inputs
        with gr.Tabs(elem_id="m-tabs", selected=LATER):
            with gr.Tab("Understand", id="understand"):
                understanding = understand.build(inputs, parts.name, calibration)
            with gr.Tab("Search", id="search") as search_tab:
                searching = search.build(inputs, parts.name, job)
            with gr.Tab("Compare", id="compare") as compare_tab:
                comparing = compare.build(inputs, past)
            with gr.Tab("Library", id="library") as library_tab:
                shelf = library.build(parts, past)

        desk.wire(parts, calibration)
        ended = studio.wire(parts, kept, past)
        runs = [comparing.chart, comparing.table]
        ended.then(compare.shown_runs, past, runs, **AT_ONCE)

        on_desk = [*inputs, parts.name]
        everything = [*on_desk, *desk.model_outputs(parts), searching.prompts]

        of_model = [calibration, understanding.similarity, *understanding.routing, shown_model]
        rest = [*everything[len(on_desk) :], parts.pair, *of_model]

        def is_new(stored: Any, full: Any, request: gr.Request) -> bool:
            """Whether the page that was sent shows what there is to see: nothing was kept, and it came filled in."""
            return bool(full) and not stored and not request.query_params.get("s")

        @shown
        def restore_desk(stored: Any, full: Any, request: gr.Request) -> list[Any]:
            """What is seen at once; the rest of the page follows."""
            if is_new(stored, full, request):
                return [gr.skip()] * len(on_desk)
            session = page.session_from(request.query_params.get("s"), stored, say=False)
            return page.page_of(session, say=False)[: len(on_desk)]

        @shown
        def restore(stored: Any, full: Any, stored_job: Any, request: gr.Request) -> list[Any]:
            number = request.query_params.get("job") or stored_job
            found = number if search.exists(number) else ""
            if is_new(stored, full, request):
                return [found, *[gr.skip()] * len(rest)]
            session = page.session_from(request.query_params.get("s"), stored)
            ready = page.first_visit() if session is None else None
            measured = ready.calibration if ready else None
            maps = understand.NOT_MEASURED if measured is None else understand.map_chart(measured, "")
            values = page.page_of(session)
            tokens = routing.updates(known_model(values[0]), values[1])
            values += [ready.pair if ready else None, measured, maps, *tokens, values[0]]
            if session is None:
                spec, view = known_model(values[0]), values[1]
                cost = understand.macs_chart(spec.id, view.policy, spec.steps, "default")
                more = [cost, library.script_of(view.policy, spec.id), "yes"]
                page.fill(demo, [*on_desk, *rest, understanding.macs, shelf.snippet, filled], [*values, *more])
            return [found, *values[len(on_desk) :]]

        demo.load(restore_desk, [saved, filled], on_desk, **AT_ONCE).then(
            restore, [saved, filled, job], [job, *rest], **QUIET
        ).then(None, None, None, js=RESTORED)

        @shown
        def open_search(stored: Any, other: Any, request: gr.Request) -> list[Any]:
            """Who follows a link may be here before it is restored."""
            return search.show(stored or request.query_params.get("job", ""), other)

        search_tab.select(open_search, searching.shown, searching.outputs, **AT_ONCE)
        compare_tab.select(compare.shown_runs, past, runs, **AT_ONCE)
        library_tab.select(
            shown(library.cards), [shown_model, inputs.steps, inputs.scheduler], shelf.listing, **AT_ONCE
        )

        @shown
        def run_again(event: gr.EventData) -> list[Any]:
            """An earlier run: its request and policy on the desk, its pictures beside it."""
            run = str(getattr(event, "key", ""))[:32]
            return [*page.page_of(visit.session_of_run(run)), visit.pair_again(run), None]

        gr.on(
            [comparing.table.select, comparing.chart.select],
            run_again,
            None,
            [*everything, parts.pair, parts.preset],
            **QUIET,
        )

        @shown
        def change_model(chosen: Any, policy: Policy | None) -> list[Any]:
            spec = known_model(chosen)
            view = view_of(spec.id, policy, spec.steps, "default")
            values = [spec.id, view, captions.default_caption(spec), 0, spec.steps, spec.guidance_scale, "default", 1]
            more = [view.policy.name, *desk.model_updates(spec), search_form.default_prompts(spec.id)]
            return [*values, *more, None, None, understand.NOT_MEASURED, *routing.updates(spec, view), spec.id]

        changed = [*everything, kept, *of_model]

        @shown
        def choose(chosen: Any, before: str, policy: Policy | None) -> list[Any]:
            """A model that is here opens at once; of another, what it needs is said first."""
            spec = known_model(chosen)
            if download.is_here(spec):
                return [*change_model(spec.id, policy), gr.Row(visible=False), gr.skip(), spec.id]
            told = download.text(spec, download.needs(spec))
            return [before or gr.skip(), *[gr.skip()] * (len(changed) - 1), gr.Row(visible=True), told, spec.id]

        @shown
        def open_it(asked: str, policy: Policy | None) -> list[Any]:
            return [*change_model(asked, policy), gr.Row(visible=False)]

        slow: dict[str, Any] = {
            "concurrency_limit": None,
            "show_progress": "minimal",
            "api_visibility": "private",
        }
        chosen = model.input(choose, [model, shown_model, inputs.grid], [*changed, ask, question, opened], **slow)
        allowed = yes.click(open_it, [opened, inputs.grid], [*changed, ask], **slow)
        no.click(lambda: gr.Row(visible=False), None, ask, **AT_ONCE)
        for event in (chosen, allowed):
            event.then(shown(library.cards), [shown_model, inputs.steps, inputs.scheduler], shelf.listing, **AT_ONCE)

        def remember(name: Any, locked: Any, *values: Any) -> list[Any]:
            """After every change: the session for the browser, where the MACs go, the lines of Python."""
            try:
                session = session_of(*values)
                policy = library.named(session.policy, name)
                packed = pack(Session(session.model, policy, session.config, locks_of(locked, policy)))
                chart = understand.macs_chart(session.model, policy, session.config.steps, session.config.scheduler)
                return [packed, chart, library.script_of(policy, session.model)]
            except MdditError:
                return [gr.skip(), gr.skip(), gr.skip()]  # half-typed values are not worth a toast

        changes = [
            inputs.grid.release,
            inputs.grid.locks.change,
            inputs.prompt.change,
            inputs.seed.change,
            inputs.guidance.change,
            inputs.pictures.change,
            parts.name.change,
        ]
        gr.on(
            changes,
            remember,
            [parts.name, inputs.grid.locks, *inputs],
            [saved, understanding.macs, shelf.snippet],
            trigger_mode="always_last",
            **AT_ONCE,
        )

        link_text = gr.Textbox(visible=False)

        @shown
        def link_of(name: Any, locked: Any, *values: Any) -> str:
            session = session_of(*values)
            policy = library.named(session.policy, name)
            return pack(Session(session.model, policy, session.config, locks_of(locked, policy)))

        link.click(link_of, [parts.name, inputs.grid.locks, *inputs], link_text, **QUIET).success(
            None, link_text, None, js=COPY_LINK
        )
        mode.click(None, None, None, js=TOGGLE)
        guide.click(None, None, None, js=tour.START)
        tour.build()
    demo.queue(api_open=False, max_size=20, default_concurrency_limit=4, status_update_rate=5)
    return demo


def launch(**more: Any) -> None:
    """Serve the page on http://127.0.0.1:7860 until it is stopped; ``more`` goes to Gradio's ``launch``.

    Raises:
        ConfigError: a variable of the environment is wrong.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("GRADIO_TEMP_DIR", str(data_dir() / "gradio"))
    quotas()  # a wrong variable is said now, not to the first visitor
    with_tools = mcp_wanted()
    port = int(more.pop("server_port", None) or os.environ.get("GRADIO_SERVER_PORT") or PORT)
    name = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    demo = build_app()
    demo.launch(
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
        mcp_server=with_tools,
        enable_monitoring=False,
        max_file_size=limits.MAX_UPLOAD,
        state_session_capacity=500,
        app_kwargs={"middleware": [*limits.middleware(), Middleware(Preload)]},
        prevent_thread_lock=True,
        **more,
    )
    tools = f", its tools for MCP on http://{name}:{port}/gradio_api/mcp/" if with_tools else ""
    print(f"mddit is on http://{name}:{port}{tools} (Ctrl-C stops it)", flush=True)
    demo.block_thread()


def mcp_wanted() -> bool:
    """Whether ``$MDDIT_MCP`` asks for the verbs as tools of the Model Context Protocol.

    Raises:
        ConfigError: it does, and the package is missing.
    """
    if os.environ.get("MDDIT_MCP", "").lower() not in ("1", "true", "yes"):
        return False
    if importlib.util.find_spec("mcp") is None:
        raise ConfigError("MDDIT_MCP needs a package that is missing: pip install 'mddit-ui[mcp]'")
    return True
