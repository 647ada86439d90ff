"""``mddit searches``, ``pause``, ``resume``, ``stop``: what searches there are, and their course."""

from argparse import ArgumentParser, Namespace

from mddit_ui.cli.options import add_json
from mddit_ui.cli.output import emit, say, table
from mddit_ui.cli.searched import find_search
from mddit_ui.cli.verb import Verb
from mddit_ui.cli.watch import budget_of, follow, report, summary, tried


def _add_list(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="show this one; its first letters will do")
    add_json(parser)


def _list(args: Namespace) -> None:
    from mddit_ui.service import searches

    if args.id is not None:
        report(find_search(args.id), args)
        return
    rows = searches.recent()
    if args.json:
        emit([summary(row) for row in rows])
        return
    head = ("id", "state", "model", "budget", "tried", "best CLIP", "its budget")
    cells = []
    for row in rows:
        clip = row.best.score.clip_score if row.best else None
        best = (None if clip is None else f"{clip:.2f}", row.best and f"{row.best.budget:.3f}")
        cells.append((row.id[:12], row.state, row.config.model, budget_of(row), tried(row), *best))
    say(*table(head, cells))


def _add_id(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="of the search, or its first letters")
    add_json(parser)


def _add_resume(parser: ArgumentParser) -> None:
    _add_id(parser)
    parser.add_argument("--detach", action="store_true", help="return at once; the search goes on")


def _pause(args: Namespace) -> None:
    from mddit_ui.service import searches

    search = find_search(args.id).id
    searches.pause(search)
    _say_state(search, args)


def _stop(args: Namespace) -> None:
    from mddit_ui.service import searches

    search = find_search(args.id).id
    searches.stop(search)
    _say_state(search, args)


def _resume(args: Namespace) -> None:
    from mddit_ui.service import searches

    search = find_search(args.id).id
    searches.resume(search)
    if args.detach:
        _say_state(search, args)
    else:
        follow(search, args)


def _say_state(search: str, args: Namespace) -> None:
    from mddit_ui.service import searches

    row = searches.view(search)
    emit(summary(row)) if args.json else say(f"{search[:12]}: {row.state}, wanted: {row.wanted}")


LIST = Verb("list the searches, the newest first, or show how far one is", _add_list, _list)
PAUSE = Verb("pause a search after the evaluation that it is at", _add_id, _pause)
RESUME = Verb("go on with a search where it was (or join one that runs), and watch", _add_resume, _resume)
STOP = Verb("end a search after the evaluation that it is at; what it found stays", _add_id, _stop)
