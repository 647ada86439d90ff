"""The desk: the grid with its presets on the left, captions and pictures on the right."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gradio as gr

from mddit_ui.core.errors import ConfigError
from mddit_ui.core.policy import MAX_NAME, Policy
from mddit_ui.core.presets import PRESETS
from mddit_ui.core.records import ModelSpec
from mddit_ui.service import catalog
from mddit_ui.ui import captions
from mddit_ui.ui.display import Number
from mddit_ui.ui.errors import shown
from mddit_ui.ui.grid import PolicyGrid
from mddit_ui.ui.locks import READ_LOCKS, keep_locked, locks_of
from mddit_ui.ui.painting import confirm
from mddit_ui.ui.pair import FULL, ImagePair
from mddit_ui.ui.parts import QUIET, Inputs, heading, known_model, shape_of, view_of
from mddit_ui.ui.quotas import is_public
from mddit_ui.ui.repaint import Repaint

PRESET_NAMES = {
    "Full depth": "full",
    "Every n-th step": "every",
    "Bands": "bands",
    "Skip-Cache": "skip_cache",
}
SCHEDULERS = {
    "Default": "default",
    "DPM++": "dpm++",
    "DDIM": "ddim",
    "Euler": "euler",
    "Heun": "heun",
    "LCM": "lcm",
}
BUILDER_LISTS = 6  # word lists that the caption builder can show


class Desk(NamedTuple):
    """The components of the desk that others update or listen to."""

    inputs: Inputs
    card: gr.Markdown
    rival: gr.Dropdown
    pair: ImagePair
    go: gr.Button
    stop: gr.Button
    line: gr.HTML
    examples: gr.Dropdown
    builder: gr.Accordion
    lists: tuple[gr.Dropdown, ...]
    add: gr.Button
    clear: gr.Button
    repaint: Repaint
    warning: gr.Markdown
    preset: gr.Radio
    every: gr.Number
    name: gr.Textbox
    save: gr.Button
    download: gr.Button
    upload: gr.UploadButton


def build(model: gr.Dropdown) -> Desk:
    with gr.Row(equal_height=False):
        with gr.Column(scale=11, elem_classes="m-panel", min_width=360):
            heading("Depth schedule", "what each block does at each denoising step")
            with gr.Row(elem_classes="m-tight m-presets"):
                preset = gr.Radio(
                    list(PRESET_NAMES),
                    label="Start from",
                    elem_classes="m-seg",
                    elem_id="preset",
                    scale=4,
                    min_width=300,
                )
                every = Number(
                    3, label="n", precision=0, minimum=2, maximum=20, scale=0, min_width=72, elem_id="preset-n"
                )
            grid = PolicyGrid(None, confirm=confirm, elem_id="editor")
            grid.locks = gr.Textbox("", visible=False)
            with gr.Row(elem_classes="m-tight m-file"):
                name = gr.Textbox("untitled", label="Name", max_length=MAX_NAME, elem_id="policy-name", min_width=150)
                save = gr.Button("Save", size="md", interactive=not is_public(), elem_id="library-save", min_width=70)
                download = gr.Button("Download", size="md", elem_id="library-download", min_width=96)
                upload = gr.UploadButton(
                    "Upload",
                    size="md",
                    type="binary",
                    file_types=[".json", ".yaml", ".yml", ".txt", ".npz"],
                    elem_id="library-upload",
                    min_width=84,
                )
            card = gr.Markdown("", elem_classes="m-note", elem_id="model-card")
        with gr.Column(scale=9, elem_classes="m-panel", min_width=360):
            heading("Pictures", "the same seeds, two policies")
            prompt = gr.Textbox(
                label="Caption, or one a line for several pictures",
                lines=2,
                max_lines=4,
                max_length=4000,
                elem_id="prompt",
            )
            warning = gr.Markdown("", elem_classes="m-warning", elem_id="caption-warning")
            with gr.Accordion("Examples and caption builder", open=False, elem_id="builder") as builder:
                examples = gr.Dropdown([], label="Examples", value=None, elem_id="examples")
                with gr.Row(elem_classes="m-tight"):
                    lists = tuple(
                        gr.Dropdown([], label=f"word {index}", visible=False, min_width=110)
                        for index in range(BUILDER_LISTS)
                    )
                with gr.Row(elem_classes="m-buttons"):
                    add = gr.Button("Add this thing", size="sm", visible=False, elem_id="builder-add")
                    clear = gr.Button("Clear the caption", size="sm")
            with gr.Accordion("Repaint a part", open=False, elem_id="repaint-part"):
                repaint = Repaint(None, elem_id="repaint")
            with gr.Row(elem_classes="m-tight"):
                seed = Number(0, label="Seed", precision=0, minimum=0, min_width=64, elem_id="seed")
                steps = Number(20, label="Steps", precision=0, minimum=1, maximum=200, min_width=64, elem_id="steps")
                guidance = Number(
                    4.5, label="Guidance", minimum=0, maximum=50, step=0.5, min_width=64, elem_id="guidance"
                )
                scheduler = gr.Dropdown(list(SCHEDULERS.items()), value="default", label="Sampler", min_width=120)
            with gr.Row(elem_classes="m-tight m-go"):
                count = gr.Radio(
                    [1, 2, 3, 4], value=1, label="Seeds", elem_classes="m-seg", elem_id="count", min_width=150, scale=0
                )
                rival = gr.Dropdown(
                    [(FULL, "full")],
                    value="full",
                    label="Compare with",
                    elem_id="rival",
                    min_width=150,
                )
                go = gr.Button("Generate", variant="primary", size="md", elem_id="generate", min_width=110)
                stop = gr.Button("Cancel", variant="stop", size="md", visible=False, elem_id="cancel", min_width=110)
            line = gr.HTML("", elem_id="line", padding=False)  # here Gradio says the place in the line
            pair = ImagePair(None, elem_id="pair")
    inputs = Inputs(model, grid, prompt, seed, steps, guidance, scheduler, count)
    pictures = (card, rival, pair, go, stop, line, examples, builder, lists, add, clear, repaint, warning)
    return Desk(inputs, *pictures, preset, every, name, save, download, upload)


def wire(desk: Desk, calibration: gr.State) -> None:
    """Presets, steps, examples and the caption builder."""
    inputs = desk.inputs
    shape = [inputs.model, inputs.grid, inputs.steps, inputs.scheduler, calibration]
    locks = inputs.grid.locks
    inputs.grid.change(None, inputs.grid, locks, js=READ_LOCKS, **QUIET)

    @shown
    def start_from(
        title: Any, n: Any, locked: Any, model: Any, policy: Policy | None, steps: Any, scheduler: Any, measured: Any
    ) -> Any:
        if title not in PRESET_NAMES:
            return gr.skip(), gr.skip()
        sites = shape_of(known_model(model).id, int(steps), scheduler)
        made = preset_policy(str(title), n, len(sites.timesteps), len(sites.sites))
        made = keep_locked(made, policy, locks_of(locked, policy))
        return view_of(model, made, int(steps), scheduler, measured), made.name

    @shown
    def reshape(model: Any, policy: Policy | None, steps: Any, scheduler: Any, measured: Any) -> Any:
        if not isinstance(steps, int | float) or not 1 <= steps <= 200:
            raise ConfigError("Steps: give a whole number from 1 to 200.")
        return view_of(known_model(model).id, policy, int(steps), scheduler, measured)

    gr.on(
        [desk.preset.input, desk.every.input],
        start_from,
        [desk.preset, desk.every, locks, *shape],
        [inputs.grid, desk.name],
        **QUIET,
    )
    gr.on([inputs.steps.blur, inputs.steps.submit, inputs.scheduler.input], reshape, shape, inputs.grid, **QUIET)

    inputs.grid.input(None, None, desk.preset, js="() => null", **QUIET)  # once painted, it is no preset any more

    @shown
    def check(model: Any, prompt: Any) -> str:
        spec = known_model(model)
        return captions.warning(spec, str(prompt or "")) if spec.conditioning == "prompt" else ""

    @shown
    def add_thing(model: Any, prompt: Any, *words: Any) -> str:
        spec = known_model(model)
        names = list(captions.attributes(spec))
        return captions.add_thing(spec, str(prompt or ""), dict(zip(names, map(str, words), strict=False)))

    inputs.prompt.change(check, [inputs.model, inputs.prompt], desk.warning, trigger_mode="always_last", **QUIET)
    desk.examples.input(lambda text: text or gr.skip(), desk.examples, inputs.prompt, **QUIET)
    desk.add.click(add_thing, [inputs.model, inputs.prompt, *desk.lists], inputs.prompt, **QUIET)
    desk.clear.click(lambda: "", None, inputs.prompt, **QUIET)


def preset_policy(title: str, n: Any, steps: int, sites: int) -> Policy:
    """A preset by the title of its button."""
    key = PRESET_NAMES[title]
    if key == "full":
        return Policy.full(steps, sites, name="full depth")
    if not isinstance(n, int | float) or not 2 <= n <= 100:
        raise ConfigError("n is a whole number from 2 to 100.")
    more: Mapping[str, Any] = {"b": min(2, sites // 2)} if key == "skip_cache" else {}
    return PRESETS[key](steps, sites, n=int(n), **more)


def model_updates(spec: ModelSpec) -> list[Any]:
    """New values of the card, the examples, the builder and its lists when the model changes."""
    lists = list(captions.attributes(spec).items())[:BUILDER_LISTS]
    boxes = [
        gr.Dropdown(choices=list(words), value=words[0], label=title, visible=True) for title, words in lists if words
    ]
    boxes += [gr.Dropdown(visible=False)] * (BUILDER_LISTS - len(boxes))
    return [
        card_of(spec),
        gr.Dropdown(choices=captions.examples(spec), value=None),
        *boxes,
        gr.Button(visible=bool(lists)),
    ]


def model_outputs(desk: Desk) -> list[Any]:
    """The components of `model_updates`, in its order."""
    return [desk.card, desk.examples, *desk.lists, desk.add]


def card_of(spec: ModelSpec) -> str:
    """One line about the model."""
    parts = [spec.title or spec.id, f"{spec.width} × {spec.height} px", catalog.precision(), spec.licence]
    return " · ".join(part for part in parts if part) + (f". {spec.description}" if spec.description else "")


def model_choices() -> list[tuple[str, str]]:
    """Title and id of every model on the list."""
    return [(spec.title or spec.id, spec.id) for spec in catalog.list_models()]


def may_type_models() -> bool:
    return not is_public()
