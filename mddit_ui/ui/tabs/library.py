"""Library: saved policies, files, links, and the lines of Python that use a policy elsewhere."""

import json
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.core.errors import ConfigError, PolicyError
from mddit_ui.core.paths import ROOT
from mddit_ui.core.policy import Policy
from mddit_ui.core.policy_json import MAX_BYTES, dumps, loads
from mddit_ui.store import library
from mddit_ui.ui.desk import Desk
from mddit_ui.ui.errors import shown
from mddit_ui.ui.parts import heading, is_public, view_of
from mddit_ui.ui.tabs.compare import SAVE_FILE


class Tab(NamedTuple):
    """Components that other parts update."""

    listing: gr.Radio
    snippet: gr.Code


def build(desk: Desk) -> Tab:
    """The list and the lines of Python; the file row stands under the grid."""
    inputs, name = desk.inputs, desk.name
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=320):
            heading("Saved policies", "files in saved_policies/")
            listing = gr.Radio([], label="Policies", show_label=False, elem_id="library-list", elem_classes="m-list")
            with gr.Row(elem_classes="m-buttons"):
                open_ = gr.Button("Load into the grid", size="md", elem_id="library-load")
                delete = gr.Button("Delete", size="md", variant="stop", visible=not is_public())
        with gr.Column(elem_classes="m-panel", min_width=320):
            heading("Use it elsewhere", "with any diffusers pipeline of these blocks")
            snippet = gr.Code(
                language="python", interactive=False, show_label=False, max_lines=16, elem_id="snippet", wrap_lines=True
            )
        text, file_name = gr.Textbox(visible=False), gr.Textbox(visible=False)

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    shape = [inputs.model, inputs.steps, inputs.scheduler]

    @shown
    def load(chosen: Any, model: str, steps: Any, scheduler: str) -> list[Any]:
        if not isinstance(chosen, str):
            raise ConfigError("Choose a policy of the list first.")
        policy = library.load(chosen)
        return [view_of(model, _checked_blocks(policy, model, steps, scheduler), int(steps), scheduler), policy.name]

    @shown
    def keep(policy: Policy | None, title: Any) -> Any:
        if is_public():
            raise ConfigError("On this page the library is read-only; download the policy instead.")
        saved = library.save(named(policy, title))
        gr.Info("Saved.")
        return choices(saved)

    @shown
    def remove(chosen: Any) -> Any:
        if is_public() or not isinstance(chosen, str):
            raise ConfigError("Choose a policy of the list first.")
        library.delete(chosen)
        return choices()

    @shown
    def take(raw: Any, model: str, steps: Any, scheduler: str) -> list[Any]:
        if not isinstance(raw, bytes) or len(raw) > MAX_BYTES:
            raise PolicyError(f"A policy file has at most {MAX_BYTES:,} bytes.")
        policy = loads(raw)
        return [view_of(model, _checked_blocks(policy, model, steps, scheduler), int(steps), scheduler), policy.name]

    @shown
    def file(policy: Policy | None, title: Any) -> list[str]:
        content = named(policy, title)
        return [dumps(content), f"{content.digest}.json"]

    open_.click(load, [listing, *shape], [inputs.grid, name], **quiet)
    desk.save.click(keep, [inputs.grid, name], listing, **quiet)
    delete.click(remove, listing, listing, **quiet)
    desk.upload.upload(take, [desk.upload, *shape], [inputs.grid, name], **quiet)
    desk.download.click(file, [inputs.grid, name], [text, file_name], **quiet).success(
        None, [text, file_name], None, js=SAVE_FILE
    )
    return Tab(listing, snippet)


def choices(chosen: str | None = None) -> Any:
    """The saved policies as they stand."""
    found = [(f"{saved.policy.name} · {saved.policy.steps} × {saved.policy.actions.shape[1]}", saved.id)
             for saved in library.list_policies()]  # fmt: skip
    known = {value for _, value in found}
    return gr.Radio(choices=found, value=chosen if chosen in known else None)


def named(policy: Policy | None, title: Any) -> Policy:
    """The policy of the grid under the name in the box."""
    if policy is None:
        raise ConfigError("The grid is still empty; wait until the model is there.")
    return replace(policy, name=" ".join(str(title or "").split()) or "untitled")


def snippet_of(policy: Policy, source: str) -> str:
    """Five lines of Python that run the policy with diffusers."""
    rows = "\n".join(f"    {json.dumps(row)}," for row in policy.rows)
    return (
        "import mddit_ui as mddit\n"
        "from diffusers import DiffusionPipeline\n\n"
        f"pipe = DiffusionPipeline.from_pretrained({json.dumps(source.removeprefix(f'{ROOT}/'))})\n"
        f"policy = mddit.Policy.from_rows([\n{rows}\n])\n"
        "with mddit.apply_policy(pipe, policy):\n"
        f'    image = pipe("...", num_inference_steps={policy.steps}).images[0]\n'
    )


def _checked_blocks(policy: Policy, model: str, steps: Any, scheduler: str) -> Policy:
    blocks = view_of(model, None, int(steps), scheduler).policy.actions.shape[1]
    if policy.actions.shape[1] != blocks:
        made_for = f" (it was made for {policy.model})" if policy.model else ""
        raise PolicyError(f"The policy has {policy.actions.shape[1]} blocks{made_for}; this model has {blocks}.")
    return policy
