"""The command line: ``mddit <verb>``."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from mddit_ui import __version__
from mddit_ui.cli import evaluate, exchange, generate, models, policies, search, searches, subset
from mddit_ui.cli.output import plain
from mddit_ui.cli.verb import Verb, add_verbs
from mddit_ui.core.errors import MdditError

VERBS = {
    "models": models.VERB,
    "policies": policies.VERB,
    "import": exchange.IMPORT,
    "export": exchange.EXPORT,
    "generate": generate.VERB,
    "evaluate": evaluate.VERB,
    "search": search.VERB,
    "searches": searches.LIST,
    "pause": searches.PAUSE,
    "resume": searches.RESUME,
    "stop": searches.STOP,
    "clone": searches.CLONE,
    "subset": subset.VERB,
}

EPILOG = "Exit codes: 0 done, 1 it can't be done (one line on stderr says why), 2 wrong usage, 130 interrupted."


def parser(verbs: dict[str, Verb] = VERBS) -> ArgumentParser:
    """All verbs and their options."""
    top = ArgumentParser("mddit", description="Depth schedules for diffusion transformers.", epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"mddit {__version__}")
    top.set_defaults(json=False)
    add_verbs(top, verbs)
    return top


def main(argv: Sequence[str] | None = None, verbs: dict[str, Verb] = VERBS) -> int:
    """Run one command; the exit code."""
    args = parser(verbs).parse_args(argv)
    try:
        code = args.run(args)
        sys.stdout.flush()
    except MdditError as error:
        print(f"mddit: {plain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mddit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code or 0
