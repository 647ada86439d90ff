"""CLIP score: 100 x cosine of picture and text, Hessel et al. 2021 (arXiv 2104.08718), through open_clip."""

import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from mddit_ui.core.errors import ModelError
from mddit_ui.core.paths import model_folders
from mddit_ui.metrics.base import check_images

CONFIG_FILE = "open_clip_config.json"
BATCH = 32
_PRETRAINED_ID = re.compile(r"[\w.-]{1,80}:[\w.-]{1,80}")

_scorers: dict[str, "ClipScorer"] = {}
_lock = threading.Lock()


class ClipScorer:
    """A CLIP model that judges pictures; numbers of different backbones can't be compared."""

    def __init__(self, backbone: str, model: Any, preprocess: Any, tokenizer: Any) -> None:
        self.backbone = backbone
        self._device = os.environ.get("MDDIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.eval().requires_grad_(False).to(self._device)
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._texts: dict[str, torch.Tensor] = {}

    @classmethod
    def load(cls, clip_id: str) -> "ClipScorer":
        """The scorer of a CLIP id, one for all callers.

        Args:
            clip_id: name of a folder with ``open_clip_config.json`` among the models, such a folder's path, or
                "backbone:pretrained" of open_clip, for example "ViT-B-32:laion2b_s34b_b79k".

        Raises:
            ModelError: there is no such CLIP, or it can't be loaded.
        """
        with _lock:
            if clip_id not in _scorers:
                _scorers[clip_id] = _load(clip_id)
            return _scorers[clip_id]

    @torch.no_grad()
    def score(self, images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """(n,) 100 x cosine of each image and its text.

        Args:
            images: (n, h, w, 3) uint8.
        """
        if len(check_images(images)) != len(texts):
            raise ModelError(
                f"Got {len(images)} images and {len(texts)} texts; expected as many of one as of the other."
            )
        return 100 * (self.embed_images(images) * self.embed_texts(texts)).sum(-1)

    @torch.no_grad()
    def embed_images(self, images: np.ndarray) -> np.ndarray:
        """(n, d) unit vectors."""
        inputs = torch.stack([self._preprocess(Image.fromarray(image)) for image in images])
        parts = [self._model.encode_image(part.to(self._device), normalize=True) for part in inputs.split(BATCH)]
        return torch.cat(parts).double().cpu().numpy()

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) unit vectors; each text is encoded once."""
        new = sorted(set(texts) - self._texts.keys())
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            encoded = self._model.encode_text(self._tokenizer(part).to(self._device), normalize=True)
            self._texts.update(zip(part, encoded, strict=True))
        return torch.stack([self._texts[text] for text in texts]).double().cpu().numpy()


def _load(clip_id: str) -> ClipScorer:
    folders = [folder / clip_id for folder in model_folders()] + [Path(clip_id)]
    local = next((folder for folder in folders if (folder / CONFIG_FILE).is_file()), None)
    if local is None and not _PRETRAINED_ID.fullmatch(clip_id):
        raise ModelError(
            f"No CLIP {clip_id!r}: expected a folder with {CONFIG_FILE}, or open_clip's backbone:pretrained."
        )
    try:
        if local is not None:
            name, weights, backbone = f"local-dir:{local}", None, local.name
        else:
            name, weights = clip_id.split(":")
            backbone = clip_id
        model, _, preprocess = open_clip.create_model_and_transforms(name, pretrained=weights)
        tokenizer = open_clip.get_tokenizer(name)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(f"Can't load the CLIP {clip_id!r}: {str(error).strip().splitlines()[0][:200]}") from error
    return ClipScorer(backbone, model, preprocess, tokenizer)
