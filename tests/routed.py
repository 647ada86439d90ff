"""The tiny PixArt with token routers and ratios that differ from block to block."""

import json
from pathlib import Path

import torch
from diffusers import PixArtAlphaPipeline

from mddit_ui.models.loading import load
from mddit_ui.models.routed_dit import with_routers

RATIOS = [[0.5, 1.0], [1.0, 1.0], [0.3, 0.9], [0.6, 0.7]]  # of target 0.5: four blocks, two regions


def save_routed(folder: Path, plain: str) -> str:
    """A folder with the weights of a tiny model, routers and ratios; its name."""
    loaded = load(plain)
    transformer = with_routers(loaded.pipe.transformer, (0.8, 0.5), 2)
    transformer.ratios.data[1] = torch.tensor(RATIOS)
    pipe = PixArtAlphaPipeline(**{**loaded.pipe.components, "transformer": transformer})
    pipe.save_pretrained(folder)
    facts = json.loads((Path(loaded.spec.source) / "mddit.json").read_text())
    (folder / "mddit.json").write_text(json.dumps({**facts, "id": "tiny-routed"}))
    return str(folder)
