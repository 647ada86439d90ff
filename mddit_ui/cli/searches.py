"""``mddit searches``, ``pause``, ``resume``, ``stop``, ``clone``: what searches there are, and their course."""

from argparse import ArgumentParser, Namespace
from typing import get_args

from mddit_ui.cli.options import add_json
from mddit_ui.cli.output import emit, say, table
from mddit_ui.cli.search import add_closeness, budgets
from mddit_ui.cli.searched import find_search
from mddit_ui.cli.verb import Verb
from mddit_ui.cli.watch import budget_of, follow, report, summary, tried
from mddit_ui.core.records import MethodName


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


def _add_clone(parser: ArgumentParser) -> None:
    _add_resume(parser)
    parser.add_argument("--budget", type=budgets, help="another one, or a range (0.3:0.8)")
    parser.add_argument("--method", choices=get_args(MethodName))
    add_closeness(parser)
    parser.add_argument("--evaluations", type=int, help="policies to try")
    parser.add_argument("--population", type=int, help="policies of a generation")
    parser.add_argument("--sigma", type=float, help="how far the first generation spreads")
    parser.add_argument("--search-seed", type=int, help="of the search itself")


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


def _clone(args: Namespace) -> None:
    from mddit_ui.service import searches

    wishes = {name: getattr(args, name) for name in ("method", "closeness", "evaluations", "population", "sigma")}
    changes = {name: wish for name, wish in {**wishes, "seed": args.search_seed}.items() if wish is not None}
    if args.budget:
        changes["least_budget"], changes["budget"] = args.budget
    search = searches.clone(find_search(args.id).id, **changes)
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
CLONE = Verb("begin a search like another one, with some settings changed, and watch", _add_clone, _clone)
STOP = Verb("end a search after the evaluation that it is at; what it found stays", _add_id, _stop)
