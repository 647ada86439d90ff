"""``python -m mddit_ui.bench`` prints the table of the presets as Markdown."""

import json
import sys
from argparse import ArgumentParser

from mddit_ui.bench.presets import markdown, measure
from mddit_ui.core.errors import MdditError
from mddit_ui.core.paths import PROMPTS


def main() -> int:
    parser = ArgumentParser("python -m mddit_ui.bench", description=__doc__)
    parser.add_argument("--model", default="scenes-pixart", help="id, hub id or folder (default scenes-pixart)")
    parser.add_argument("--images", type=int, default=16, help="prompts of the holdout set (default 16)")
    parser.add_argument("--steps", type=int, default=20, help="inference steps (default 20)")
    args = parser.parse_args()
    prompts = json.loads((PROMPTS / "holdout.json").read_text())[: args.images]
    try:
        print(*markdown(list(measure(args.model, prompts, args.steps))), sep="\n")
    except MdditError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
