"""Library: saved policies as cards, files of this and of other projects, and the script that runs a policy."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from mddit_ui.core import interchange
from mddit_ui.core.errors import ConfigError, MdditError, PolicyError
from mddit_ui.core.paths import ROOT
from mddit_ui.core.policy import Action, Policy
from mddit_ui.service.catalog import ModelView
from mddit_ui.service.exchange import as_script
from mddit_ui.store import library
from mddit_ui.ui import visit
from mddit_ui.ui.cards import Card, CardList, CardsView
from mddit_ui.ui.desk import Desk
from mddit_ui.ui.display import template
from mddit_ui.ui.errors import shown
from mddit_ui.ui.parts import QUIET, heading, shape_for, shape_of, view_of
from mddit_ui.ui.quotas import is_public
from mddit_ui.ui.tabs.compare import SAVE_FILE

MAX_TAGS = 8
ENDINGS = {"json": "json", "ecad": "json", "smoothcache": "json", "l2c": "json", "cache-dit": "yaml"}


class Tab(NamedTuple):
    """Components that other parts update."""

    listing: CardList
    snippet: gr.HTML


def build(desk: Desk, past: gr.BrowserState) -> Tab:
    """The cards and the script; the file row stands under the grid."""
    inputs, name = desk.inputs, desk.name
    with gr.Column(elem_classes="m-panel"):
        with gr.Row(elem_classes="m-top m-wrap"):
            heading("Saved policies", "one readable file each")
            tags = gr.Textbox(
                label="Tags of the next one that you save",
                placeholder="fast, for slides",
                max_length=200,
                elem_id="library-tags",
                visible=not is_public(),
                scale=0,
                min_width=260,
            )
        listing = CardList(None, elem_id="library-list")
    with gr.Row(equal_height=True):
        with gr.Column(elem_classes="m-panel", min_width=320):
            heading("Use it elsewhere", "the policy in the grid as a script of its own")
            snippet = gr.HTML("", elem_id="snippet", padding=False, **template("code"))
        with gr.Column(elem_classes="m-panel", min_width=320):
            heading("For other projects", "Upload, under the grid, reads these files too")
            kind = gr.Radio(
                [(form.title, key) for key, form in interchange.FORMATS.items()],
                value="json",
                label="Format",
                elem_id="export-format",
                elem_classes="m-list",
            )
            with gr.Row(elem_classes="m-buttons"):
                export = gr.Button("Export", size="md", elem_id="export-policy")
            gr.Markdown(
                "What a format can't say (a skipped cell, say) is refused with the reason; nothing is rounded.",
                elem_classes="m-note",
            )
        text, file_name = gr.Textbox(visible=False), gr.Textbox(visible=False)

    shape = [inputs.model, inputs.steps, inputs.scheduler]

    @shown
    def act(model: str, steps: Any, scheduler: str, event: gr.EventData) -> list[Any]:
        key, what = str(getattr(event, "key", "")), getattr(event, "do", "")
        if what == "load":
            policy = library.load(key)
            view = view_of(model, _checked_blocks(policy, model, steps, scheduler), int(steps), scheduler)
            return [view, policy.name, None, gr.skip()]
        if is_public():
            raise ConfigError("On this page the library is read-only.")
        library.delete(key)
        return [gr.skip(), gr.skip(), gr.skip(), cards(model, steps, scheduler)]

    @shown
    def keep(policy: Policy | None, title: Any, words: Any, runs: Any, model: str, steps: Any, scheduler: str) -> Any:
        if is_public():
            raise ConfigError("On this page the library is read-only; download the policy instead.")
        content = named(policy, title)
        library.save(replace(content, notes={**provenance(content, runs), **_tags(words)}))
        gr.Info("Saved.")
        return cards(model, steps, scheduler)

    @shown
    def take(raw: Any, model: str, steps: Any, scheduler: str) -> list[Any]:
        if not isinstance(raw, bytes) or len(raw) > interchange.MAX_BYTES:
            raise PolicyError(f"A policy file has at most {interchange.MAX_BYTES:,} bytes.")
        policy = _read(raw, shape_of(model, int(steps), scheduler))
        view = view_of(model, _checked_blocks(policy, model, steps, scheduler), int(steps), scheduler)
        return [view, policy.name, None]

    @shown
    def file(policy: Policy | None, title: Any, format: Any = "json") -> list[str]:
        content = named(policy, title)
        body = interchange.dumps(content, str(format)).decode()
        return [body, f"{content.digest}.{ENDINGS.get(str(format), 'json')}"]

    on_desk = [inputs.grid, name, desk.preset]
    listing.select(act, shape, [*on_desk, listing], **QUIET)
    desk.save.click(keep, [inputs.grid, name, tags, past, *shape], listing, **QUIET)
    desk.upload.upload(take, [desk.upload, *shape], on_desk, **QUIET)
    desk.download.click(file, [inputs.grid, name], [text, file_name], **QUIET).success(
        None, [text, file_name], None, js=SAVE_FILE
    )
    export.click(file, [inputs.grid, name, kind], [text, file_name], **QUIET).success(
        None, [text, file_name], None, js=SAVE_FILE
    )
    return Tab(listing, snippet)


def cards(model: Any, steps: Any = 20, scheduler: Any = "default") -> CardsView | None:
    """The saved policies as they stand, beside the model on the desk."""
    try:
        shape = shape_of(model, int(steps), scheduler)
    except (MdditError, TypeError, ValueError):
        return None
    return CardsView([_card(saved, shape) for saved in library.list_policies()], mine=not is_public())


def provenance(policy: Policy, past: Any) -> dict[str, Any]:
    """What is known of a policy: the scores of the newest run of this visit that used it."""
    notes: dict[str, Any] = {"made_by": "mddit_ui", "saved": time.strftime("%Y-%m-%d")}
    for line in reversed(visit.lines(past)):
        if visit.policy_of(line.id).digest == policy.digest:
            score = line.record.score
            known = {"clip_score": score.clip_score, "psnr": score.psnr, "pictures": score.images}
            return {**notes, **{key: round(value, 3) for key, value in known.items() if value is not None}}
    return notes


def named(policy: Policy | None, title: Any) -> Policy:
    """The policy of the grid under the name in the box."""
    if policy is None:
        raise ConfigError("The grid is still empty; wait until the model is there.")
    return replace(policy, name=" ".join(str(title or "").split()) or "untitled")


def script_of(policy: Policy, model: str) -> str:
    """The script that runs the policy on its model; a model that comes along is named as seen from this project."""
    return as_script(policy, model).replace(f"{ROOT}/", "")


def _card(saved: library.Saved, blocks: ModelView) -> Card:
    policy, notes = saved.policy, saved.policy.notes
    shape = blocks.of_width(policy.actions.shape[1])
    fits = policy.actions.shape[1] == len(shape.sites)
    if fits:
        keep = policy.keep if shape.mac_table.routed is not None else None
        cost = f"{100 * shape.mac_table.budget(policy.actions, keep):.1f} % of MACs"
    else:
        cost = f"{100 * float((policy.actions == Action.COMPUTE).mean()):.0f} % of cells computed"
    facts = [f"{cost} · {policy.steps} steps × {policy.actions.shape[1]} blocks", *_facts(notes)]
    return Card(saved.id, policy.name, policy.model, policy.rows, tuple(facts), _tags_of(notes), fits)


def _facts(notes: Mapping[str, Any]) -> list[str]:
    """Scores and provenance from the notes, which may hold anything."""

    def number(name: str) -> float | None:
        value = notes.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    clip, psnr, pictures = number("clip_score"), number("psnr"), number("pictures")
    scores = [f"CLIP score {clip:.2f}"] if clip is not None else []
    scores += [f"PSNR {psnr:.1f} dB"] if psnr is not None else []
    on = f" on {pictures:.0f} picture{'s' if pictures != 1 else ''}" if scores and pictures else ""
    lines = [" · ".join(scores) + on] if scores else []
    origin = [str(notes[name])[:80] for name in ("made_by", "preset", "saved") if isinstance(notes.get(name), str)]
    return [*lines, *([" · ".join(origin)] if origin else [])]


def _tags(words: Any) -> dict[str, list[str]]:
    found = [" ".join(word.split())[:30] for word in str(words or "").split(",")]
    tags = list(dict.fromkeys(word for word in found if word))[:MAX_TAGS]
    return {"tags": tags} if tags else {}


def _tags_of(notes: Mapping[str, Any]) -> tuple[str, ...]:
    tags = notes.get("tags")
    return tuple(str(tag)[:30] for tag in tags[:MAX_TAGS]) if isinstance(tags, list | tuple) else ()


def _read(raw: bytes, shape: ModelView) -> Policy:
    """The policy of a file; where it names columns of the model, in their places, and what it does not name computed.

    Raises:
        PolicyError: it is no policy, or not for this model.
    """
    grids = [shape, *([shape.branches] if shape.branches else [])]
    policy = interchange.loads(raw, blocks=shape.sites, branches=shape.branches.sites if shape.branches else ())
    sites = next((grid.sites for grid in grids if policy.sites and set(policy.sites) <= set(grid.sites)), ())
    if not sites:
        return policy
    places = [sites.index(site) for site in policy.sites]
    actions = np.full((policy.steps, len(sites)), Action.COMPUTE, np.int8)
    actions[:, places] = policy.actions
    keep = None if policy.keep is None else np.ones(actions.shape)
    if keep is not None:
        keep[:, places] = policy.keep
    return replace(policy, actions=actions, sites=sites, keep=keep)


def _checked_blocks(policy: Policy, model: str, steps: Any, scheduler: str) -> Policy:
    blocks = len(shape_for(policy, model, int(steps), scheduler).sites)
    if policy.actions.shape[1] != blocks:
        made_for = f" (it was made for {policy.model})" if policy.model else ""
        raise PolicyError(f"The policy has {policy.actions.shape[1]} blocks{made_for}; this model has {blocks}.")
    return policy
