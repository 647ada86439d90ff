"""Puts a trained text-to-image model into the folder that PixArtAlphaPipeline loads, and what the app reads."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
)
from transformers import T5EncoderModel

from mddit_ui.train.captions import ATTRIBUTES, GROUNDS, TEMPLATE, class_scenes, heldout_scenes, known_words
from mddit_ui.train.loop import replaced_folder
from mddit_ui.train.words import t5_tokenizer

SHARD = "8MB"  # every file stays below 10 MB
STEPS = 20
GUIDANCE = 2.5
DIT_GUIDANCE = 1.5
SIZE = 128
REPORTED = ("README.md", "samples.png", "real.npy")  # by train.report and train.prompts

# Linear betas as in PixArt-alpha. The terminal signal is 0.6 % of the latent: no need to rescale it to nothing.
NOISE = {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
PREDICTION = "v_prediction"

FACTS: dict[str, Any] = {
    "id": "scenes-pixart",
    "family": "pixart",
    "conditioning": "prompt",
    "steps": STEPS,
    "guidance_scale": GUIDANCE,
    "height": SIZE,
    "width": SIZE,
    "licence": "apache-2.0",
    "title": "Scenes (PixArt)",
    "description": "A small PixArt-alpha transformer, 14 blocks of width 192, trained on rendered scenes of shaded "
    "things. It knows the words of its caption grammar and no others.",
    "clip": "scenes-clip",
    # Three things take 31 tokens; the rest of the 120 that the pipeline pads to is masked, but costs time.
    "call": {"clean_caption": False, "use_resolution_binning": False, "max_sequence_length": 40},
}

LCM_FACTS: dict[str, Any] = {
    **FACTS,
    "id": "scenes-lcm",
    "steps": 4,
    "guidance_scale": 0.0,
    "title": "Scenes (LCM, 4 steps)",
    "description": "The model of scenes-pixart, distilled to four steps without guidance (latent consistency). It "
    "knows the words of its caption grammar and no others.",
}

SKIP_FACTS: dict[str, Any] = {
    **FACTS,
    "id": "scenes-skip",
    "title": "Scenes (Skip-DiT)",
    "description": "The model of scenes-pixart with long skip branches from its first blocks to its last (Skip-DiT), "
    "made for Skip-Cache. It knows the words of its caption grammar and no others.",
}

ROUTED_FACTS: dict[str, Any] = {
    **FACTS,
    "id": "scenes-routed",
    "title": "Scenes (DiffRatio-MoD)",
    "description": "The model of scenes-pixart with token routers: a block may run on its most important tokens alone, "
    "at shares that were learned. It knows the words of its caption grammar and no others.",
}


def dit_facts() -> dict[str, Any]:
    return {
        **{key: FACTS[key] for key in ("steps", "height", "width", "licence", "clip")},
        "id": "scenes-dit",
        "family": "dit",
        "conditioning": "class",
        "guidance_scale": DIT_GUIDANCE,
        "title": "Scenes (DiT, by class)",
        "description": "A small class-conditional DiT, 8 blocks of width 192. Its 48 classes are the shapes in their "
        "colours, one large thing in the center.",
        "classes": [{"name": f"{scene.things[0].colour} {scene.things[0].shape}", "caption": scene.caption()}
                    for scene in class_scenes()],
    }  # fmt: skip


def scheduler() -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(**NOISE, prediction_type=PREDICTION, timestep_spacing="trailing")


def pipeline(transformer: PixArtTransformer2DModel, encoder: T5EncoderModel, vae: AutoencoderKL) -> PixArtAlphaPipeline:
    pipe = PixArtAlphaPipeline(t5_tokenizer(), encoder, vae, transformer, scheduler())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe: PixArtAlphaPipeline, captions: list[str], seed: int, batch: int = 16, **overrides) -> torch.Tensor:
    """One picture a caption, (b, 3, 128, 128) float32 in -1..1; picture i has the seed `seed + i`."""
    call = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "height": SIZE, "width": SIZE, **FACTS["call"]}
    pictures = []
    for start in range(0, len(captions), batch):
        part = captions[start : start + batch]
        noise = [torch.Generator().manual_seed(seed + start + index) for index in range(len(part))]
        made = pipe(part, generator=noise, output_type="pt", **{**call, **overrides}).images
        pictures.append(made.float().cpu() * 2 - 1)
    return torch.cat(pictures)


def sheet(pictures: torch.Tensor, columns: int = 8) -> np.ndarray:
    """Pictures (b, 3, h, w) in -1..1 laid out in rows, (rows h, columns w, 3) uint8; b a multiple of columns."""
    b, c, h, w = pictures.shape
    grid = pictures.view(b // columns, columns, c, h, w).permute(0, 3, 1, 4, 2).reshape(-1, columns * w, c)
    return ((grid + 1) * 127.5).round().clamp(0, 255).byte().numpy()


def grammar() -> dict:
    """The caption grammar as data, for the app, which knows nothing of training."""
    scenes = heldout_scenes(np.random.default_rng(7), 16)
    return {
        "template": TEMPLATE,
        "attributes": {**{name: list(words) for name, words in ATTRIBUTES.items()}, "ground": list(GROUNDS)},
        "things": {"fewest": 1, "most": 3, "joined_by": " and "},
        "words": known_words(),
        "examples": [scene.caption() for scene in scenes],
    }


def publish(pipe: DiffusionPipeline, target: Path, facts: dict[str, Any] = FACTS) -> None:
    """Write all of the folder, float16 but for the text encoder; what a report wrote there stays."""
    kept = {name: (target / name).read_bytes() for name in REPORTED if (target / name).exists()}
    written = {"mddit.json": facts} | ({"grammar.json": grammar()} if facts["conditioning"] == "prompt" else {})
    with replaced_folder(target) as fresh:
        # Asked for no dtype, diffusers loads float32 and transformers what is stored: a float16 encoder would not fit.
        parts = {name: copy.deepcopy(getattr(pipe, name)).half() for name in ("transformer", "vae")}
        if "text_encoder" in pipe.components:
            parts["text_encoder"] = copy.deepcopy(pipe.components["text_encoder"]).float()
        more = {name: value for name, value in pipe.config.items() if name not in pipe.components and name[0] != "_"}
        made = type(pipe)(**{**pipe.components, **parts}, **more)
        made.register_to_config(**more)  # DiTPipeline's labels
        made.save_pretrained(fresh, max_shard_size=SHARD)
        for path in fresh.glob("*/config.json"):  # where the parts were loaded from is nobody's business
            config = {key: value for key, value in json.loads(path.read_text()).items() if key != "_name_or_path"}
            path.write_text(json.dumps(config, indent=2) + "\n")
        for name, content in written.items():
            (fresh / name).write_text(json.dumps(content, indent=2) + "\n")
        for name, content in kept.items():
            (fresh / name).write_bytes(content)
