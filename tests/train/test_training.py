"""Every training script, three steps of a tiny model: a resumed run ends where an uninterrupted one does."""

from __future__ import annotations

import copy
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from diffusers import DiTPipeline, PixArtAlphaPipeline
from safetensors.torch import load_file

from mddit_ui.train import clip, dit, lcm, pixart, vae
from mddit_ui.train.captions import parse_caption
from mddit_ui.train.latents import LatentSet, encode
from mddit_ui.train.loop import Schedule, Trainer, replaced_folder
from mddit_ui.train.optim import orthogonal
from mddit_ui.train.publish import LCM_FACTS, dit_facts, generate, pipeline, publish
from mddit_ui.train.text import TextConfig

VAE = vae.VaeConfig(channels=(4, 4, 4, 4), groups=2, batch=2)
CLIP = clip.ClipConfig(
    embed_dim=16, vision={"image_size": 128, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32}, text_width=32,
    text_layers=1, batch=4, negatives=1,
)  # fmt: skip
PIXART = pixart.PixArtConfig(
    layers=2, heads=2, head_dim=16, text=TextConfig(32, 1, 2, 32, 4), text_steps=2, batch=4, taught_block=0
)


@pytest.fixture(autouse=True)
def few_heldout_pictures(monkeypatch: pytest.MonkeyPatch):
    """The figures at the end of a run are not what is tested here."""
    monkeypatch.setattr(vae, "heldout_pictures", lambda count, seed=0: torch.zeros(2, 3, 128, 128))
    monkeypatch.setattr(clip, "heldout_pictures", lambda count, seed=0: torch.zeros(count, 3, 128, 128))
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def small_vae() -> vae.AutoencoderKL:
    torch.manual_seed(0)
    return vae.make_vae(VAE).eval()


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory, small_vae) -> LatentSet:
    folder = tmp_path_factory.mktemp("data") / "latents"
    encode(small_vae, 12, folder, batch=5)
    return LatentSet.load(folder)


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "state.safetensors")


def steps(count: int) -> Schedule:
    return Schedule(steps=count, warmup=1, flat=1 - 1e-9, log_every=1)


def check_resume(tmp_path: Path, run: Callable[[Schedule, Path], object], checkpoint: str = "") -> None:
    run(steps(3), tmp_path / "whole")
    run(steps(1), tmp_path / "parts")
    early = state(tmp_path / "parts" / checkpoint)
    run(steps(3), tmp_path / "parts")
    whole, parts = state(tmp_path / "whole" / checkpoint), state(tmp_path / "parts" / checkpoint)
    assert whole.keys() == parts.keys()
    assert any(key.startswith("optimizer/") for key in whole)
    for key, value in whole.items():
        assert torch.equal(value, parts[key]), key
    assert any(not torch.equal(early[key], parts[key]) for key in early if key.startswith("average/"))


def test_vae_resumes_exactly(tmp_path: Path):
    check_resume(tmp_path, lambda schedule, folder: vae.train(VAE, schedule, folder, False), "whole")


def test_decoder_phase_resumes_exactly_and_moves_no_latent(tmp_path: Path):
    def run(schedule: Schedule, folder: Path) -> None:
        if not (folder / "whole-export").exists():
            vae.train(VAE, steps(1), folder, False)
        vae.train(VAE, schedule, folder, True)

    check_resume(tmp_path, run, "decoder")
    first = vae.AutoencoderKL.from_pretrained(tmp_path / "whole" / "whole-export")
    second = vae.AutoencoderKL.from_pretrained(tmp_path / "whole" / "decoder-export")
    assert first.config.scaling_factor == second.config.scaling_factor != 0.18215
    before, after = first.state_dict(), second.state_dict()
    moved = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert "decoder" in moved
    assert moved <= {"decoder", "post_quant_conv"}


def test_clip_resumes_exactly_and_open_clip_loads_it(tmp_path: Path):
    def run(schedule: Schedule, folder: Path) -> None:
        clip.train(CLIP, schedule, folder, tmp_path / "scenes-clip")

    check_resume(tmp_path, run)
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'scenes-clip'}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'scenes-clip'}")
    ids = tokenizer(["a large red heart at the top left on a teal background"])
    assert ids.shape == (1, 40)
    assert model.encode_text(ids).shape == (1, 16)
    assert list(model.visual.image_mean) == [0.5, 0.5, 0.5]


def test_pixart_resumes_exactly_and_diffusers_loads_it(tmp_path: Path, latents: LatentSet, small_vae):
    made = {}

    def run(schedule: Schedule, folder: Path) -> None:
        made["parts"] = pixart.train(PIXART, schedule, folder, latents)

    check_resume(tmp_path, run, "transformer")
    publish(pipeline(*made["parts"], small_vae), tmp_path / "scenes-pixart")
    pipe = PixArtAlphaPipeline.from_pretrained(tmp_path / "scenes-pixart")
    pipe.set_progress_bar_config(disable=True)
    facts = json.loads((tmp_path / "scenes-pixart" / "mddit.json").read_text())
    caption = json.loads((tmp_path / "scenes-pixart" / "grammar.json").read_text())["examples"][0]
    parse_caption(caption)
    call = dict(num_inference_steps=2, guidance_scale=facts["guidance_scale"], **facts["call"])
    image = pipe(caption, generator=torch.Generator().manual_seed(0), **call).images[0]
    assert image.size == (facts["width"], facts["height"]) == (128, 128)
    again = generate(pipe, [caption], seed=0, num_inference_steps=2)
    assert np.abs(np.asarray(image) - (again[0].permute(1, 2, 0).numpy() + 1) * 127.5).max() < 1


@pytest.fixture(scope="module")
def teacher(small_vae) -> PixArtAlphaPipeline:
    torch.manual_seed(0)
    transformer = pixart.make_transformer(PIXART).requires_grad_(False)
    for block in transformer.transformer_blocks:  # a new one says nothing
        torch.nn.init.normal_(block.attn1.to_out[0].weight, std=0.1)
    torch.nn.init.normal_(transformer.proj_out.weight, std=0.1)
    return pipeline(transformer, pixart.make_text_encoder(PIXART.text), small_vae)


def test_lcm_resumes_exactly_and_runs_few_steps_without_guidance(tmp_path: Path, latents: LatentSet, teacher):
    made = {}

    def run(schedule: Schedule, folder: Path) -> None:
        made["student"] = lcm.train(lcm.LcmConfig(batch=2), schedule, folder, teacher, latents)

    check_resume(tmp_path, run)
    teacher.vae.register_to_config(_name_or_path=str(tmp_path))  # as after from_pretrained
    publish(lcm.pipeline(made["student"], teacher), tmp_path / "scenes-lcm", LCM_FACTS)
    assert not any(str(tmp_path) in file.read_text() for file in (tmp_path / "scenes-lcm").rglob("*.json"))
    pipe = PixArtAlphaPipeline.from_pretrained(tmp_path / "scenes-lcm")
    pipe.set_progress_bar_config(disable=True)
    facts = json.loads((tmp_path / "scenes-lcm" / "mddit.json").read_text())
    pipe("a large red heart at the top left on a teal background", num_inference_steps=facts["steps"],
         guidance_scale=facts["guidance_scale"], **facts["call"])  # fmt: skip
    assert pipe.scheduler.timesteps.tolist() == [999, 759, 499, 259]


def test_a_consistent_student_has_no_loss(latents: LatentSet, teacher):
    """A teacher that always says the same clean latent is its own student: nothing is left to learn."""
    loss = lcm.ConsistencyLoss(lcm.LcmConfig(batch=8, guidance=1.0), teacher, latents, 0)
    clean, diffusion = torch.full((1, 4, 16, 16), 0.5), loss.diffusion

    class Sure(torch.nn.Module):
        def forward(self, noisy, *, timestep, **more):
            alpha = diffusion.alphas[timestep].view(-1, 1, 1, 1)
            return SimpleNamespace(sample=(alpha.sqrt() * noisy - clean) / (1 - alpha).sqrt())

    loss.student, loss.teacher = Sure(), [SimpleNamespace(
        transformer=Sure(), tokenizer=teacher.tokenizer, text_encoder=teacher.text_encoder
    )]  # fmt: skip
    assert float(loss(0, Sure())["loss"]) < 1e-3
    assert float(loss(0, teacher.transformer)["loss"]) > 0.1


def test_dit_resumes_exactly_and_knows_its_classes(tmp_path: Path, small_vae, teacher):
    config = dit.DitConfig(blocks=(0, 1), batch=4)
    encode(small_vae, 48, tmp_path / "latents", scenes_of=dit.draw_class_scenes)
    data = LatentSet.load(tmp_path / "latents")
    assert sorted(data.captions) == sorted(label["caption"] for label in dit_facts()["classes"])
    made = {}

    def run(schedule: Schedule, folder: Path) -> None:
        made["transformer"] = dit.train(config, schedule, folder, teacher.transformer, data)

    check_resume(tmp_path, run)
    publish(dit.pipeline(made["transformer"], small_vae), tmp_path / "scenes-dit", dit_facts())
    pipe = DiTPipeline.from_pretrained(tmp_path / "scenes-dit")
    pipe.set_progress_bar_config(disable=True)
    assert pipe.get_label_ids(["red ball", "white ring"]) == [0, 47]
    assert dit.generate(pipe, [0, 47], 0, num_inference_steps=2).shape == (2, 3, 128, 128)


def test_a_dit_starts_as_the_blocks_of_its_donor_without_cross_attention(teacher):
    donor = copy.deepcopy(teacher.transformer)
    for block in donor.transformer_blocks:
        torch.nn.init.zeros_(block.attn2.to_out[0].weight)
        torch.nn.init.zeros_(block.attn2.to_out[0].bias)
    donor.scale_shift_table.data[1] = 0.3
    made = dit.make_transformer(dit.DitConfig(blocks=(0, 1)), donor).eval()
    noisy, timestep = torch.randn(3, 4, 16, 16), torch.tensor([10, 400, 990])
    with torch.inference_mode():
        ours = made(noisy, timestep=timestep, class_labels=torch.tensor([0, 5, 1000])).sample
        hidden = made.pos_embed(noisy)
        modulation, _ = donor.adaln_single(timestep, None, hidden_dtype=torch.float32)
        for block in donor.transformer_blocks:
            hidden = block(hidden, encoder_hidden_states=torch.zeros(3, 1, 32), timestep=modulation)
        shift, scale = donor.scale_shift_table
        hidden = donor.proj_out(donor.norm_out(hidden) * (1 + scale) + shift)  # (3, 64, 16)
    patches = hidden.view(3, 8, 8, 2, 2, 4).permute(0, 5, 1, 3, 2, 4).reshape(3, 4, 16, 16)
    error = (ours - patches).square().mean() / patches.square().mean()
    assert error < 1e-4  # not 0: the timesteps' frequencies of the two kinds differ a little


def test_a_run_that_is_asked_to_end_saves_and_resumes(tmp_path: Path, latents: LatentSet):
    """SIGTERM ends a run after the step it is in; what was learned is in the checkpoint."""
    torch.manual_seed(0)
    model = pixart.DiffusionLoss(PIXART, pixart.make_text_encoder(PIXART.text), latents, 0)
    made = pixart.optimizers(model.named_parameters(), 0.02, 1e-3)
    trainer = Trainer(model, made, tmp_path / "run", steps(50))

    def loss_of(step: int) -> dict[str, torch.Tensor]:
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return model(step)

    trainer.run(loss_of)
    assert trainer.step == 2
    assert json.loads((tmp_path / "run" / "state.json").read_text())["step"] == 2
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_timesteps_are_drawn_most_where_outlines_are_decided():
    cdf = pixart.timestep_cdf(1000)
    assert cdf[-1] == pytest.approx(1)
    assert np.diff(cdf, prepend=0).min() > 0.0002  # none is left out
    assert cdf[450] - cdf[100] > 0.45  # 0.35 of the range


def test_padding_to_the_pipelines_length_changes_no_word(latents: LatentSet):
    """Training pads to the longest caption of a batch, the pipeline to 120 tokens: the mask must make them equal."""
    torch.manual_seed(0)
    encoder = pixart.make_text_encoder(PIXART.text).eval()
    tokenizer = pixart.t5_tokenizer()
    ids, mask = pixart.tokenize(tokenizer, latents.captions[:3])
    padded = tokenizer(latents.captions[:3], padding="max_length", max_length=120, return_tensors="pt")
    with torch.inference_mode():
        short = encoder(ids, attention_mask=mask)[0]
        long = encoder(padded.input_ids, attention_mask=padded.attention_mask)[0][:, : ids.shape[1]]
    assert torch.allclose(short[mask.bool()], long[mask.bool()], atol=1e-5)


def test_encoded_scenes_are_scenes_to_train_on(latents: LatentSet):
    assert latents.latents.shape == (12, 4, 16, 16)
    assert latents.latents.dtype == np.float16
    assert not any(parse_caption(text).is_held_out() for text in latents.captions)


def test_muon_makes_singular_values_about_one():
    torch.manual_seed(0)
    for shape in ((8, 8), (8, 40), (40, 8)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_schedule_warms_up_stays_and_falls_to_zero():
    schedule = Schedule(steps=100, minutes=1, warmup=10, flat=0.5)
    assert schedule.factor(0, 0) == pytest.approx(0.1)
    assert schedule.factor(40, 0) == 1
    assert schedule.factor(75, 0) == schedule.factor(0 + 50, 45) == pytest.approx(0.5)
    assert schedule.factor(100, 0) == 0


def test_a_failed_write_leaves_the_old_folder(tmp_path: Path):
    with replaced_folder(tmp_path / "model") as fresh:
        (fresh / "weights").write_text("good")
    with pytest.raises(FileNotFoundError), replaced_folder(tmp_path / "model") as fresh:
        (fresh / "missing" / "weights").write_text("half")
    assert (tmp_path / "model" / "weights").read_text() == "good"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
