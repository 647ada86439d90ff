"""``python -m mddit_ui`` is the command line, with the app and the benchmarks as two more verbs."""

import os
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Sequence

from mddit_ui.bench import registry
from mddit_ui.cli import main as cli
from mddit_ui.cli.output import say, table
from mddit_ui.cli.verb import Verb


def _add_bench(parser: ArgumentParser) -> None:
    parser.add_argument("bench", nargs="?", choices=registry.names(), help="the benchmark; none: list them")
    parser.add_argument("arguments", nargs=REMAINDER, help="its own options; see: mddit bench NAME --help")


def _bench(args: Namespace) -> int:
    if args.bench is None:
        say(*table(("bench", "measures"), [(name, registry.subject(name)) for name in registry.names()]))
        return 0
    return registry.run(args.bench, args.arguments)


def _add_app(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="default 7860, or $GRADIO_SERVER_PORT")
    parser.add_argument("--mcp", action="store_true", help="offer the verbs as MCP tools, too ($MDDIT_MCP=1)")


def _app(args: Namespace) -> None:
    from mddit_ui.ui.app import launch

    os.environ |= {"MDDIT_MCP": "1"} if args.mcp else {}
    launch(**({} if args.port is None else {"server_port": args.port}))


VERBS = {
    **cli.VERBS,
    "app": Verb("start the app", _add_app, _app),
    "bench": Verb("measure: speed, searches, the app, the tables of the documents", _add_bench, _bench),
}


def parser() -> ArgumentParser:
    """All verbs and their options."""
    return cli.parser(VERBS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    return cli.main(argv, VERBS)


if __name__ == "__main__":
    sys.exit(main())
