"""Which models there are: the folders beside the project, and presets of the hub."""

from pathlib import Path
from typing import Any

from mddit_ui.core.errors import ConfigError, ModelError
from mddit_ui.core.paths import model_folders
from mddit_ui.core.records import ModelSpec
from mddit_ui.models.spec import PIPELINE_FILE, SPEC_FILE, is_hub_id, read_json, read_spec

HUB_CLIP = "ViT-B-32:laion2b_s34b_b79k"


def _hub(source: str, title: str, family: str, pixels: int, **more) -> ModelSpec:
    return ModelSpec(
        id=source, source=source, title=title, family=family, height=pixels, width=pixels, clip=HUB_CLIP, **more
    )


HUB_MODELS = (
    _hub("PixArt-alpha/PixArt-XL-2-512x512", "PixArt-α 512", "pixart", 512, licence="OpenRAIL++"),
    _hub("PixArt-alpha/PixArt-XL-2-1024-MS", "PixArt-α 1024", "pixart", 1024, licence="OpenRAIL++"),
    _hub(
        "PixArt-alpha/PixArt-LCM-XL-2-1024-MS",
        "PixArt-α LCM 1024",
        "pixart",
        1024,
        steps=4,
        guidance_scale=0.0,
        licence="OpenRAIL++",
    ),
    _hub("PixArt-alpha/PixArt-Sigma-XL-2-1024-MS", "PixArt-Σ 1024", "pixart", 1024, licence="OpenRAIL++"),
    _hub(
        "facebook/DiT-XL-2-256",
        "DiT-XL/2 256",
        "dit",
        256,
        conditioning="class",
        guidance_scale=4.0,
        steps=50,
        licence="CC-BY-NC-4.0",
    ),
    _hub("Tencent-Hunyuan/HunyuanDiT-v1.2-Diffusers", "Hunyuan-DiT 1.2", "hunyuan", 1024, guidance_scale=5.0, steps=50),
    _hub("stabilityai/stable-diffusion-3.5-medium", "SD 3.5 Medium", "sd3", 1024, steps=40),
    _hub("black-forest-labs/FLUX.1-dev", "FLUX.1 [dev]", "flux", 1024, guidance_scale=3.5, steps=28),
    _hub("Efficient-Large-Model/Sana_600M_512px_diffusers", "Sana 600M 512", "sana", 512),
)


def list_models() -> tuple[ModelSpec, ...]:
    """Every model that can be named: local folders first (by id), then the presets of the hub.

    A folder whose ``mddit.json`` can't be read is left out here; ``get_model`` says what is wrong with it.
    """
    found: dict[str, ModelSpec] = {}
    for folder in _spec_folders():
        try:
            spec = read_spec(folder)
        except ModelError:
            continue
        found.setdefault(spec.id, spec)
    local = sorted(found.values(), key=lambda spec: spec.id)
    return (*local, *(spec for spec in HUB_MODELS if spec.id not in found))


def get_model(id: str) -> ModelSpec:
    """The spec of a registry id, a hub id ``owner/name``, or the folder of a diffusers pipeline.

    Raises:
        ModelError: nothing of that name; or its ``mddit.json`` is broken.
    """
    for folder in _spec_folders():
        if folder.name == id:
            return read_spec(folder)
    for spec in list_models():
        if spec.id == id:
            return spec
    if (Path(id) / PIPELINE_FILE).is_file():
        return _folder_spec(Path(id))
    if is_hub_id(id):
        return ModelSpec(id=id, source=id, title=id, clip=HUB_CLIP)
    known = ", ".join(spec.id for spec in list_models())
    raise ModelError(f"No model {id[:80]!r}; known are {known}; or give a hub id (owner/name) or a pipeline's folder.")


def _spec_folders() -> list[Path]:
    return [path.parent for folder in model_folders() for path in sorted(folder.glob(f"*/{SPEC_FILE}"))]


def _folder_spec(folder: Path) -> ModelSpec:
    """Of a folder by its path, which is its id too unless it lies in one of the known places."""
    folder = folder.resolve()
    if folder in [known.resolve() for known in _spec_folders()]:
        return read_spec(folder)
    try:
        return (read_spec(folder) if (folder / SPEC_FILE).is_file() else _bare_spec(folder)).replace(id=str(folder))
    except ConfigError as error:
        raise ModelError(f"The path {str(folder)[:240]!r} can't be the name of a model: {error}") from None


def _bare_spec(folder: Path) -> ModelSpec:
    """What the files of a pipeline alone tell."""
    made_for: dict[str, Any] = {}
    takes_classes = read_json(folder / PIPELINE_FILE).get("_class_name") == "DiTPipeline"
    if pixels := _pixels(folder):
        made_for = {"height": pixels, "width": pixels}
    return ModelSpec(
        id=str(folder),
        source=str(folder),
        title=folder.name,
        clip=HUB_CLIP,
        conditioning="class" if takes_classes else "prompt",
        **made_for,
    )


def _pixels(folder: Path) -> int | None:
    """The side of a picture that the transformer was made for, where its config says so."""
    files = [folder / part / "config.json" for part in ("transformer", "vae")]
    if not all(file.is_file() for file in files):
        return None
    transformer, vae = map(read_json, files)
    levels = vae.get("block_out_channels") or vae.get("encoder_block_out_channels")
    side = transformer.get("sample_size")
    if not isinstance(levels, list) or not isinstance(side, int):
        return None
    pixels = side * 2 ** (len(levels) - 1)
    return pixels if 16 <= pixels <= 4096 else None
