"""What a verb of the command line is: one file each, listed in main.VERBS."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple


class Verb(NamedTuple):
    """``run`` raises MdditError for what the person can mend. Its heavy imports stand inside it: --help stays quick."""

    help: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]


def add_verbs(parser: ArgumentParser, verbs: dict[str, Verb]) -> None:
    """One sub-command a verb; ``args.run`` is the chosen one's."""
    commands = parser.add_subparsers(metavar="verb", required=True)
    for name, verb in verbs.items():
        command = commands.add_parser(name, help=verb.help, description=verb.help)
        verb.add_arguments(command)
        command.set_defaults(run=verb.run)


def nested(help: str, verbs: dict[str, Verb]) -> Verb:
    """A verb that has verbs of its own."""
    return Verb(help, lambda parser: add_verbs(parser, verbs), lambda args: None)
