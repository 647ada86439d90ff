"""What a model of the hub will download and need; said before anything is loaded."""

from pathlib import Path
from typing import NamedTuple

from mddit_ui.core.errors import ModelError
from mddit_ui.core.records import ModelSpec
from mddit_ui.models import hub

WEIGHTS = (".safetensors",)
ROOM = 1.3  # memory, as a multiple of the weights: activations, the VAE at full size


class Needs(NamedTuple):
    """``bytes`` to download, ``None`` when the hub could not be asked; ``reason`` says why."""

    bytes: int | None
    reason: str = ""


def is_here(spec: ModelSpec) -> bool:
    """Whether a model can be loaded without downloading: a folder, or a hub model in the cache."""
    return Path(spec.source).is_dir() or hub.is_here(spec.source)


def needs(spec: ModelSpec) -> Needs:
    """Asks the hub for the sizes of the files that would be loaded; never raises."""
    try:
        info = hub.ask(spec.source)
    except ModelError as error:
        return Needs(None, str(error))
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    weights = {name: size for name, size in sizes.items() if name.endswith(WEIGHTS) and "/" in name}
    plain = {name: size for name, size in weights.items() if ".fp16." not in name and ".bf16." not in name}
    return Needs(sum((plain or weights).values()) or None, "" if plain or weights else "it holds no safetensors")


def text(spec: ModelSpec, found: Needs) -> str:
    """One line for people, as Markdown without anything that strangers wrote."""
    name = spec.title or spec.id
    licence = f" Licence: {spec.licence}." if spec.licence else ""
    if found.bytes is None:
        return f"**{name}** is not on this machine yet. How much it downloads is not known: {found.reason}.{licence}"
    gigabytes = found.bytes / 1e9
    need = f"wants about {gigabytes * ROOM:.1f} GB of memory, better of a GPU"
    return f"**{name}** downloads {gigabytes:.1f} GB once, and {need}.{licence}"
