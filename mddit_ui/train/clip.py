"""Trains the CLIP of scenes, `python -m mddit_ui.train.clip`: the judge of all pictures made from scene captions.

Three lessons at once: tell the pictures of a batch apart, tell a caption from captions wrong in one attribute, and
say what lies at each of the nine places. The heads of the third are thrown away; it turns the hard part, binding
attributes to places, into plain classification, on the same unit vectors that the cosine is taken of.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from open_clip import CLIP
from safetensors.torch import save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mddit_ui.train.captions import (
    COLOURS,
    GROUNDS,
    PLACES,
    SHAPES,
    SIZES,
    Scene,
    codes,
    hard_negatives,
    heldout_scenes,
    training_scenes,
)  # fmt: skip
from mddit_ui.train.judge import choices, cosines, verdict
from mddit_ui.train.loop import Schedule, Trainer, add_schedule_arguments, autocast, device, replaced_folder, step_rng
from mddit_ui.train.optim import optimizers
from mddit_ui.train.scenes import render
from mddit_ui.train.vae import heldout_pictures, to_tensor
from mddit_ui.train.words import CLIP_CONTEXT, clip_ids, clip_tokenizer

SLOTS = (len(SHAPES) + 1, len(COLOURS) + 1, len(SIZES) + 1)  # answers per place; 0 = nothing there
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}  # pictures in -1..1


@dataclass(frozen=True)
class ClipConfig:
    embed_dim: int = 256
    vision: dict = field(default_factory=lambda: {"image_size": 128, "layers": [1, 1, 2, 1], "width": 16})
    text_width: int = 128
    text_layers: int = 3
    batch: int = 64
    negatives: int = 3  # hard ones a caption in the loss
    not_muon: tuple[str, ...] = ("positional_embedding", "token_embedding", "text_projection", "heads", "logit_scale")
    muon_lr: float = 0.02
    adam_lr: float = 2e-3


def model_cfg(config: ClipConfig) -> dict:
    """The `model_cfg` of open_clip_config.json."""
    text = {
        "context_length": CLIP_CONTEXT,
        "vocab_size": len(clip_tokenizer()),
        "hf_tokenizer_name": "scenes-clip",  # any name: from a local folder, open_clip reads the tokenizer beside it
        "width": config.text_width,
        "heads": config.text_width // 32,
        "layers": config.text_layers,
    }
    return {"embed_dim": config.embed_dim, "vision_cfg": config.vision, "text_cfg": text}


class ClipLoss(nn.Module):
    """A CLIP with its classroom: heads that both towers share, and the three losses."""

    def __init__(self, config: ClipConfig, seed: int, vae: AutoencoderKL | None = None):
        super().__init__()
        cfg = model_cfg(config)
        self.clip = CLIP(cfg["embed_dim"], cfg["vision_cfg"], cfg["text_cfg"])
        self.heads = nn.Linear(config.embed_dim, len(PLACES) * sum(SLOTS) + len(GROUNDS))
        self.config, self.seed = config, seed
        self.tokenizer = clip_tokenizer()
        self.round_trip = [vae]  # in a list, so that it is no part of the model

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        rng = step_rng(self.seed, step)
        stream = training_scenes(rng)
        scenes = [next(stream) for _ in range(self.config.batch)]
        pictures = self.pictures(scenes, rng)
        captions = [scene.caption() for scene in scenes]
        for caption in tuple(captions):
            captions += hard_negatives(caption, self.config.negatives, rng)
        ids = clip_ids(self.tokenizer, captions).to(device())
        with autocast(), sdpa_kernel(SDPBackend.MATH):  # the CPU's fused attention is slow backwards
            seen = self.clip.encode_image(pictures)
            read = self.clip.encode_text(ids)
        seen, read = F.normalize(seen.float(), dim=-1), F.normalize(read.float(), dim=-1)
        match = self.match_loss(seen, read)
        picture_truth = self.truth_loss(seen, scenes)
        text_truth = self.truth_loss(read[: len(scenes)], scenes)
        loss = match + picture_truth + text_truth
        return {"loss": loss, "match": match, "picture": picture_truth, "text": text_truth}

    def pictures(self, scenes: list[Scene], rng: np.random.Generator) -> torch.Tensor:
        """Rendered, then a little damaged, since pictures to judge come out of a VAE; (b, 3, 128, 128) in -1..1."""
        clean = to_tensor(np.stack([render(scene, rng) for scene in scenes])).to(device())
        if (vae := self.round_trip[0]) is not None:
            part = clean[: len(clean) // 8]
            with torch.no_grad(), autocast():
                latents = vae.encode(part).latent_dist.mode()
                noise = torch.rand(len(part), 1, 1, 1, device=part.device) * 0.3 * latents.std()
                clean[: len(part)] = vae.decode(latents + noise * torch.randn_like(latents)).sample.float()
        share = torch.rand(len(clean), 1, 1, 1, device=clean.device)
        soft = clean.lerp(F.avg_pool2d(clean, 3, 1, 1, count_include_pad=False), share)
        return soft + 0.06 * torch.rand_like(share) * torch.randn_like(soft)

    def match_loss(self, seen: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
        """Picture to all captions and their hard negatives, caption to all pictures; (b, d), (b + b k, d)."""
        scores = self.clip.logit_scale.exp().clamp(max=100) * seen @ read.T  # (b, b + b k)
        truth = torch.arange(len(seen), device=seen.device)
        return (F.cross_entropy(scores, truth) + F.cross_entropy(scores[:, : len(seen)].T, truth)) / 2

    def truth_loss(self, vectors: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
        """Cross-entropy of what is where, read from unit vectors by a linear head."""
        answers = self.heads(16 * vectors)
        grounds = torch.tensor([GROUNDS.index(scene.ground) for scene in scenes], device=vectors.device)
        table = torch.from_numpy(np.stack([codes(scene) for scene in scenes])).to(vectors.device)  # (b, 9, 3)
        places, ground = answers.split((len(PLACES) * sum(SLOTS), len(GROUNDS)), 1)
        parts = places.view(len(scenes), len(PLACES), -1).split(SLOTS, 2)
        losses = [F.cross_entropy(part.flatten(0, 1), table[..., kind].flatten()) for kind, part in enumerate(parts)]
        return sum(losses) + F.cross_entropy(ground, grounds) / 2


def evaluate(clip: CLIP, count: int, seed: int = 0) -> tuple[float, dict[str, int]]:
    """Share of held-out rendered scenes whose caption wins against 15 hard negatives, and the mistakes by attribute."""
    captions = [scene.caption() for scene in heldout_scenes(np.random.default_rng(seed), count)]
    options = choices(captions, seed)
    tokenizer = clip_tokenizer()
    scores = cosines(clip, lambda texts: clip_ids(tokenizer, texts), heldout_pictures(count, seed), options)
    return verdict(scores, options)


def export(clip: CLIP, config: ClipConfig, target: Path) -> None:
    """Write the folder that `open_clip.create_model_and_transforms("local-dir:...")` loads."""
    preprocess = {"size": [128, 128], **HALF, "interpolation": "bicubic", "resize_mode": "squash"}
    with replaced_folder(target) as fresh:
        state = {key: value.half() if value.is_floating_point() else value for key, value in clip.state_dict().items()}
        save_file({key: value.contiguous().clone() for key, value in state.items()},
                  fresh / "open_clip_model.safetensors", metadata={"format": "pt"})  # fmt: skip
        written = {"model_cfg": model_cfg(config), "preprocess_cfg": preprocess, "training": asdict(config)}
        (fresh / "open_clip_config.json").write_text(json.dumps(written, indent=2) + "\n")
        clip_tokenizer().save_pretrained(fresh)


def train(
    config: ClipConfig, schedule: Schedule, folder: Path, target: Path, vae: AutoencoderKL | None = None, seed: int = 0
) -> CLIP:
    torch.manual_seed(seed)
    model = ClipLoss(config, seed, vae).to(device())
    trainer = Trainer(
        model, optimizers(model.named_parameters(), config.muon_lr, config.adam_lr, config.not_muon), folder, schedule
    )

    def checkpoint() -> str:
        export(trainer.average.clip, config, target)
        right, mistakes = evaluate(trainer.average.clip, 200)
        return f"held out {right:.1%} right, mistaken: {mistakes}"

    trainer.run(model, checkpoint)
    export(trainer.average.clip, config, target)
    return trainer.average.clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_schedule_arguments(parser, minutes=30)
    parser.add_argument("--folder", type=Path, default=Path("runs/clip"), help="checkpoints")
    parser.add_argument("--target", type=Path, default=Path("assets/models/scenes-clip"))
    parser.add_argument("--vae", type=Path, help="folder of a trained VAE, to show the CLIP its traces")
    parser.add_argument("--muon-lr", type=float, default=ClipConfig.muon_lr, help="peak rate of the matrices")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    vae = AutoencoderKL.from_pretrained(args.vae).to(device()).float() if args.vae else None
    schedule = Schedule(steps=args.steps, minutes=args.minutes, save_every=300)
    clip = train(ClipConfig(muon_lr=args.muon_lr), schedule, args.folder, args.target, vae, args.seed)
    right, mistakes = evaluate(clip, 1000)
    print(f"{right:.1%} of 1,000 held-out scenes: true caption first among 15 hard negatives; mistaken: {mistakes}")


if __name__ == "__main__":
    main()
