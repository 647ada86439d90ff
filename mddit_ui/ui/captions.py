"""Help with captions: examples, a builder for models of a closed language, and words that a model can't know."""

import json
import re
from collections.abc import Mapping
from typing import Any

from mddit_ui.core.paths import PROMPTS
from mddit_ui.core.records import ModelSpec

OPEN_EXAMPLES = (
    "a red fox in the snow at dawn, photograph",
    "a glass teapot on a wooden table, soft window light",
    "an isometric drawing of a small lighthouse on a rock",
)
MAX_SHOWN = 6


def known_words(spec: ModelSpec) -> frozenset[str]:
    """All words of a model that knows a closed language only; empty for the others."""
    words = (spec.grammar or {}).get("words", ())
    return frozenset(str(word).lower() for word in words) if isinstance(words, list | tuple) else frozenset()


def unknown_words(spec: ModelSpec, caption: str) -> list[str]:
    """The words of a caption that the model never saw, in order, once each."""
    known = known_words(spec)
    if not known:
        return []
    return [word for word in dict.fromkeys(re.findall(r"[^\W\d_]+|\d+", caption.lower())) if word not in known]


def warning(spec: ModelSpec, caption: str) -> str:
    """One line about unknown words, or nothing."""
    unknown = unknown_words(spec, caption)
    if not unknown:
        return ""
    shown = ", ".join(word[:24] for word in unknown[:MAX_SHOWN]) + (" ..." if len(unknown) > MAX_SHOWN else "")
    return f"This model does not know: {shown}. It will ignore or misread them; the builder below has its words."


def attributes(spec: ModelSpec) -> Mapping[str, tuple[str, ...]]:
    """The word lists of the grammar: ``{"shape": ("ball", ...), ..., "ground": (...)}``."""
    lists = (spec.grammar or {}).get("attributes", {})
    if not isinstance(lists, Mapping):
        return {}
    return {str(name): tuple(str(word) for word in words) for name, words in lists.items()}


def phrase(spec: ModelSpec, choice: Mapping[str, str]) -> tuple[str, str]:
    """What the template says about one thing, and about the ground."""
    template = str((spec.grammar or {}).get("template", ""))
    thing, found, ground = template.partition("[and a ...]")
    if not found:
        thing, ground = template, ""
    return _filled(thing.strip(), choice), _filled(ground.strip(), choice)


def add_thing(spec: ModelSpec, caption: str, choice: Mapping[str, str]) -> str:
    """The caption with one more thing; the ground stands at its end."""
    thing, ground = phrase(spec, choice)
    pattern = _filled(re.escape(_ground_template(spec)), dict.fromkeys(attributes(spec), r"[a-z]+"), escaped=True)
    before = re.sub(rf"\s*{pattern}\s*$", "", caption.strip().lower()) if ground else caption.strip()
    things = f"{before} and {thing}" if before else thing
    return f"{things} {ground}".strip()


def examples(spec: ModelSpec, count: int = 8) -> list[str]:
    """Captions to start with."""
    if spec.conditioning == "class":
        names = [label.name for label in spec.classes]
        return names[:: max(len(names) // count, 1)][:count] or ["207", "88", "980", "360"][:count]
    own = (spec.grammar or {}).get("examples", ())
    return [str(text) for text in own][:count] or list(OPEN_EXAMPLES[:count])


def search_prompts(spec: ModelSpec, count: int) -> list[str]:
    """Captions to judge policies by: the chosen subset of the project where it fits the model, or its classes."""
    if spec.conditioning == "class":
        return examples(spec, count)
    if known_words(spec):
        found = [text for text in _stored("search") if not unknown_words(spec, text)]
        return found[:count]
    return list(OPEN_EXAMPLES[:count])


def _stored(name: str) -> list[str]:
    """The prompts of ``assets/prompts/<name>.json``: a list, or an object with the list under "prompts"."""
    path = PROMPTS / f"{name}.json"
    if not path.is_file():
        return []
    content: Any = json.loads(path.read_text())
    found = content.get("prompts", []) if isinstance(content, dict) else content
    return [text if isinstance(text, str) else str(text.get("prompt", "")) for text in found]


def _ground_template(spec: ModelSpec) -> str:
    return str((spec.grammar or {}).get("template", "")).partition("[and a ...]")[2].strip()


def _filled(template: str, choice: Mapping[str, str], escaped: bool = False) -> str:
    opening, closing = (r"\{", r"\}") if escaped else ("{", "}")
    for name, word in choice.items():
        template = template.replace(f"{opening}{name}{closing}", word)
    return template


def default_caption(spec: ModelSpec) -> str:
    """The caption of the first visit: where it can, one with things on both sides of the divider."""
    known = examples(spec, 100)
    return next((text for text in known if "left" in text and "right" in text), next(iter(known), ""))
