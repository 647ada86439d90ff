"""What a verb of the command line is: one file each, listed in main.VERBS."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple


class Verb(NamedTuple):
    """``run`` raises MdditError for what the person can mend, and may give an exit code.

    Its heavy imports stand inside it: --help stays quick.
    """

    help: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int | None]


def add_verbs(parser: ArgumentParser, verbs: dict[str, Verb], required: bool = True) -> None:
    """One sub-command a verb; ``args.run`` is the chosen one's."""
    commands = parser.add_subparsers(metavar="verb", required=required)
    for name, verb in verbs.items():
        command = commands.add_parser(name, help=verb.help, description=verb.help)
        verb.add_arguments(command)
        command.set_defaults(run=verb.run)


def nested(alone: Verb, verbs: dict[str, Verb]) -> Verb:
    """A verb that does something alone, and has verbs of its own."""

    def add_arguments(parser: ArgumentParser) -> None:
        alone.add_arguments(parser)
        add_verbs(parser, verbs, required=False)

    return alone._replace(add_arguments=add_arguments)
