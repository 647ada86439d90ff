"""The model cards: what a folder of weights is, what it was trained on, and its measured figures."""

from __future__ import annotations

HEADER = """---
license: apache-2.0
library_name: {library}
tags: [{tags}]
---

"""

PIXART = """# scenes-pixart

A small text-to-image model that diffusers loads like any PixArt-alpha checkpoint:

```python
from diffusers import PixArtAlphaPipeline

pipe = PixArtAlphaPipeline.from_pretrained("assets/models/scenes-pixart")
image = pipe(
    "a large red heart at the top left and a small blue ring in the center on a teal background",
    num_inference_steps=20, guidance_scale=2.5, clean_caption=False, use_resolution_binning=False,
).images[0]
```

It exists so that depth schedules can be painted, run and searched for on a laptop. Its world is small and fully
known: one to three shaded things (6 shapes, 8 colours, 2 sizes, 9 places) on one of 6 grounds, 128 x 128 pixels. It
knows the words of its caption grammar (`grammar.json`) and no others; it is no use for anything else.

- transformer: `PixArtTransformer2DModel`, 14 blocks of width 192, 8.7 M parameters, 64 tokens, v-prediction
- text encoder: `T5EncoderModel`, 3 layers of width 128, over a vocabulary of 37 words
- VAE: `AutoencoderKL`, 8 x smaller, 4 latent channels, 0.9 M parameters
- trained from scratch on two CPU cores by `mddit_ui.train` on rendered scenes, no photographs and no people

## Figures

{figures}

Scenes are held out by a hash of their caption: no training stream contains them. "Hard negatives" are captions that are
wrong in exactly one attribute. Made with `python -m mddit_ui.train.report --cards`.
"""

CLIP = """# scenes-clip

A small CLIP that judges pictures of scenes, trained through open_clip and loaded by it:

```python
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:assets/models/scenes-clip")
tokenizer = open_clip.get_tokenizer("local-dir:assets/models/scenes-clip")
```

It knows captions like "a large red heart at the top left and a small blue ring in the center on a teal background"
and tells them from captions that are wrong in one attribute. It is the CLIP score of the other scenes models, and
nothing else.

- picture: a ResNet of four stages, text: a transformer of 3 layers of width 128, embedding: 256
- trained from scratch on two CPU cores by `mddit_ui.train` on rendered scenes, no photographs and no people

## Figures

{figures}

Scenes are held out by a hash of their caption: no training stream contains them. Made with
`python -m mddit_ui.train.report --cards`.
"""


LCM = """# scenes-lcm

`scenes-pixart` distilled to four steps without guidance (latent consistency distillation, arXiv 2310.04378):

```python
from diffusers import PixArtAlphaPipeline

pipe = PixArtAlphaPipeline.from_pretrained("assets/models/scenes-lcm")
image = pipe(
    "a large red heart at the top left and a small blue ring in the center on a teal background",
    num_inference_steps=4, guidance_scale=0.0, clean_caption=False, use_resolution_binning=False,
).images[0]
```

It knows the words of its caption grammar (`grammar.json`) and no others; it is no use for anything else. Text encoder
and VAE are those of `scenes-pixart`; the scheduler is `LCMScheduler` on 50 timesteps. Distilled on two CPU cores by
`mddit_ui.train.lcm`; the teacher's guidance, 2.5, is folded in.

## Figures

{figures}

"Hard negatives" are captions that are wrong in exactly one attribute; no training stream contains the scenes that these
captions describe. Edges: mean squared difference of neighbouring pixels, as a share of that of rendered scenes. Made
with `python -m mddit_ui.train.report --only scenes-lcm --cards`.
"""

SKIP = """# scenes-skip

`scenes-pixart` with long skip branches (Skip-DiT, arXiv 2411.17616): the output of block i joins the input of block
13 - i, so that the middle may be old (Skip-Cache).

```python
import mddit_ui as mddit
from diffusers import PixArtAlphaPipeline
from mddit_ui.models import skip_dit  # diffusers finds the class because it was imported

pipe = PixArtAlphaPipeline.from_pretrained("assets/models/scenes-skip")
with mddit.apply_policy(pipe, mddit.Policy.load("saved_policies/skip-cache-2.json")):
    image = pipe(
        "a large red heart at the top left and a small blue ring in the center on a teal background",
        num_inference_steps=20, guidance_scale=2.5, clean_caption=False, use_resolution_binning=False,
    ).images[0]
```

It knows the words of its caption grammar (`grammar.json`) and no others. Text encoder and VAE are those of
`scenes-pixart`. Trained on a CPU by `mddit_ui.train.skip`: the branches first, then everything.

## Figures

{figures}

"Hard negatives" are captions that are wrong in exactly one attribute; no training stream contains the scenes that these
captions describe. Rows of the samples: teacher at full depth and with each Skip-Cache, then this model likewise. Made
with `python -m mddit_ui.train.report --only scenes-skip --captions 250 --cards`.
"""

ROUTED = """# scenes-routed

`scenes-pixart` with token routers (DiffRatio-MoD, arXiv 2412.16822): a block may run on its most important tokens
alone.

```python
from diffusers import PixArtAlphaPipeline
from mddit_ui.models.routed_dit import use_target  # diffusers finds the class because it was imported

pipe = PixArtAlphaPipeline.from_pretrained("assets/models/scenes-routed")
use_target(pipe.transformer, 0.6)  # 0.8, 0.6, 0.5: the mean share of the tokens; None: all
image = pipe(
    "a large red heart at the top left and a small blue ring in the center on a teal background",
    num_inference_steps=20, guidance_scale=2.5, clean_caption=False, use_resolution_binning=False,
).images[0]
```

One set of weights and a table of ratios for each target, by block and region of timesteps. Or as a policy:
`mddit policies learned --model scenes-routed --target 0.6`. It knows the words of its caption grammar (`grammar.json`)
and no others. Fine-tuned on a CPU by `mddit_ui.train.routed`.

## Figures

{figures}

"Hard negatives" are captions that are wrong in exactly one attribute; no training stream contains the scenes that these
captions describe. Rows of the samples: teacher, all tokens, the targets. Made with
`python -m mddit_ui.train.report --only scenes-routed --captions 250 --cards`.
"""

DIT = """# scenes-dit

A small class-conditional DiT (arXiv 2212.09748) that diffusers loads like any other:

```python
from diffusers import DiTPipeline

pipe = DiTPipeline.from_pretrained("assets/models/scenes-dit")
image = pipe(pipe.get_label_ids(["red heart"]), guidance_scale=1.5, num_inference_steps=20).images[0]
```

Its 48 classes are 6 shapes in 8 colours: one large thing in the center, each class on a ground of its own. `mddit.json`
has their names and captions. It draws nothing else.

- transformer: `DiTTransformer2DModel`, 8 blocks of width 192, 64 tokens, v-prediction, no learned variance
- VAE: that of `scenes-pixart`
- trained on two CPU cores by `mddit_ui.train.dit`, from every second block of `scenes-pixart`

## Figures

{figures}

Made with `python -m mddit_ui.train.report --only scenes-dit --cards`.
"""


def lcm_card(lines: list[str]) -> str:
    header = HEADER.format(library="diffusers", tags="text-to-image, pixart, lcm")
    return header + LCM.format(figures="\n".join(f"- {line}" for line in lines))


def dit_card(lines: list[str]) -> str:
    header = HEADER.format(library="diffusers", tags="class-conditional, dit")
    return header + DIT.format(figures="\n".join(f"- {line}" for line in lines))


def skip_card(lines: list[str]) -> str:
    header = HEADER.format(library="diffusers", tags="text-to-image, pixart, skip-dit")
    return header + SKIP.format(figures="\n".join(f"- {line}" for line in lines))


def routed_card(lines: list[str]) -> str:
    header = HEADER.format(library="diffusers", tags="text-to-image, pixart, mixture-of-depths")
    return header + ROUTED.format(figures="\n".join(f"- {line}" for line in lines))


def pixart_card(lines: list[str]) -> str:
    header = HEADER.format(library="diffusers", tags="text-to-image, pixart")
    return header + PIXART.format(figures="\n".join(f"- {line}" for line in lines))


def clip_card(lines: list[str]) -> str:
    header = HEADER.format(library="open_clip", tags="clip, zero-shot-image-classification")
    return header + CLIP.format(figures="\n".join(f"- {line}" for line in lines if line.startswith("CLIP")))
