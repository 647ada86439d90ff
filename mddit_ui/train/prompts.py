"""Writes the fixed prompt lists, `python -m mddit_ui.train.prompts`: captions to search with, captions to test with.

`search.json` comes from the scenes that may be trained on, `holdout.json` from those that may not: a policy found on
the first list is judged on captions that neither the models nor the search ever saw.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import numpy as np

from mddit_ui.train.captions import heldout_scenes, training_scenes

SEED = 2026  # the same as the report's: its captions are these
SEARCH = 64
HOLDOUT = 500


def search_captions() -> list[str]:
    return [scene.caption() for scene in islice(training_scenes(np.random.default_rng(SEED)), SEARCH)]


def holdout_captions() -> list[str]:
    return [scene.caption() for scene in heldout_scenes(np.random.default_rng(SEED), HOLDOUT)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=Path("assets/prompts"))
    args = parser.parse_args()
    args.target.mkdir(parents=True, exist_ok=True)
    for name, captions in {"search": search_captions(), "holdout": holdout_captions()}.items():
        (args.target / f"{name}.json").write_text(json.dumps(captions, indent=1) + "\n")
        print(f"{len(captions)} captions in {args.target / name}.json")


if __name__ == "__main__":
    main()
