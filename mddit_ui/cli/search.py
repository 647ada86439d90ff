"""``mddit search``: look for policies in the background; watch, pause, resume, stop, and take the best."""

import sys
import time
from argparse import ArgumentParser, Namespace
from typing import Any

from mddit_ui.cli.options import DEFAULT_MODEL, add_json, add_prompt_set, add_sampler, read_prompts
from mddit_ui.cli.output import emit, picture, plain, progress, say, score_line, table
from mddit_ui.cli.verb import Verb, nested
from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import SearchConfig
from mddit_ui.store import library
from mddit_ui.store.searches import SearchRow

POLL_SECONDS = 0.5
MOVING = ("queued", "running")


def _add_start(parser: ArgumentParser) -> None:
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"id, hub id or folder (default {DEFAULT_MODEL})")
    parser.add_argument(
        "--budget", type=float, default=0.5, help="MACs of the policy / MACs of full depth (default 0.5)"
    )
    parser.add_argument("--evaluations", type=int, default=200, help="policies to try (default 200)")
    parser.add_argument("--steps", type=int, help="inference steps (default: the model's)")
    parser.add_argument("--population", type=int, help="policies of a generation (default: CMA-ES's own)")
    parser.add_argument("--sigma", type=float, help="how far the first generation spreads (default 0.4)")
    parser.add_argument("--search-seed", type=int, default=1, help="of the search itself (default 1)")
    parser.add_argument("--detach", action="store_true", help="print the id and return; the search goes on")
    add_sampler(parser)
    add_prompt_set(parser, images=16)
    add_json(parser)


def _start(args: Namespace) -> None:
    from mddit_ui.service import catalog, searches

    spec = catalog.get_model(args.model)
    prompts = read_prompts(args.prompts, args.images)
    more = {name: getattr(args, name) for name in ("population", "sigma") if getattr(args, name) is not None}
    config = SearchConfig(
        model=spec.id,
        prompts=prompts,
        image_seeds=tuple(range(args.seed, args.seed + len(prompts))),
        steps=args.steps or spec.steps,
        guidance_scale=spec.guidance_scale if args.guidance is None else args.guidance,
        scheduler=args.scheduler,
        budget=args.budget,
        evaluations=args.evaluations,
        seed=args.search_seed,
        **more,
    )
    search = searches.start(config)
    if args.detach:
        emit({"id": search}) if args.json else say(search)
        return
    _follow(search, args)


def _watch(args: Namespace) -> None:
    _follow(_full_id(args.id), args)


def _follow(search: str, args: Namespace) -> None:
    """A progress bar until the search no longer moves; Ctrl-C leaves it running."""
    from mddit_ui.service import searches

    row = searches.view(search)
    print(f"Search {search} runs in the background; Ctrl-C leaves it running.", file=sys.stderr)
    with progress(row.config.evaluations, "policy") as bar:
        while row.state in MOVING:
            bar.set_postfix_str(_best_words(row), refresh=False)
            bar.update(row.done - bar.n)
            time.sleep(POLL_SECONDS)
            row = searches.view(search)
        bar.update(row.done - bar.n)
    if row.state == "failed":
        raise SearchError(f"Search {search} failed: {plain(row.error)}")
    _report(row, args)


def _add_list(parser: ArgumentParser) -> None:
    add_json(parser)


def _list(args: Namespace) -> None:
    from mddit_ui.service import searches

    rows = searches.recent()
    if args.json:
        emit([_summary(row) for row in rows])
        return
    head = ("id", "state", "model", "budget", "tried", "best")
    cells = [(r.id[:12], r.state, r.config.model, r.config.budget, _tried(r), _best_words(r) or None) for r in rows]
    say(*table(head, cells))


def _add_id(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="of the search, or its first letters")
    add_json(parser)


def _show(args: Namespace) -> None:
    from mddit_ui.service import searches

    _report(searches.view(_full_id(args.id)), args)


def _pause(args: Namespace) -> None:
    _change(args, "pause")


def _resume(args: Namespace) -> None:
    _change(args, "resume")


def _stop(args: Namespace) -> None:
    _change(args, "stop")


def _change(args: Namespace, verb: str) -> None:
    from mddit_ui.service import searches

    search = _full_id(args.id)
    getattr(searches, verb)(search)
    row = searches.view(search)
    emit(_summary(row)) if args.json else say(f"{search}: {row.state}, wanted: {row.wanted}")


def _add_best(parser: ArgumentParser) -> None:
    _add_id(parser)
    parser.add_argument("-o", "--out", metavar="FILE", help="write it here (default: into saved_policies)")


def _best(args: Namespace) -> None:
    from mddit_ui.service import catalog, searches

    row = searches.view(_full_id(args.id))
    if row.best is None:
        raise SearchError(f"Search {row.id[:12]} has tried no policy yet; wait for the first.")
    config = row.config
    view = catalog.describe(config.model, config.steps, config.scheduler)
    policy = Policy.from_rows(
        row.best.policy_rows,
        sites=view.sites,
        timesteps=view.timesteps,
        model=config.model,
        name=f"searched {row.best.budget:.2f}",
        notes={"made_by": "mddit search best", "search": row.id, "evaluation": row.best.number},
    )
    if args.out:
        policy.save(args.out)
    where = args.out or library.save(policy)
    if args.json:
        emit({"saved": where, **_summary(row)["best"]})
        return
    say(*picture(policy, view.mac_table), score_line(row.best.score), f"saved as {where}")


def _full_id(start: str) -> str:
    """The one search whose id begins so."""
    from mddit_ui.service import searches

    found = [row.id for row in searches.recent() if row.id.startswith(start)]
    if len(found) != 1:
        raise SearchError(f"{len(found) or 'No'} searches begin with {start[:40]!r}; see: mddit search list")
    return found[0]


def _report(row: SearchRow, args: Namespace) -> None:
    if args.json:
        emit(_summary(row))
        return
    of = f"budget {row.config.budget} of {plain(row.config.model)}"
    say(f"{row.id}: {row.state}, {_tried(row)} policies tried at {of}")
    if row.reference:
        say(f"full depth: {score_line(row.reference)}")
    for name, score in row.baselines.items():
        say(f"{plain(name)}: {score_line(score)}")
    if row.best:
        say(f"best (number {row.best.number}, budget {row.best.budget:.3f}): {score_line(row.best.score)}")
        say(f"take it: mddit search best {row.id[:12]}")


def _tried(row: SearchRow) -> str:
    return f"{row.done}/{row.config.evaluations}"


def _best_words(row: SearchRow) -> str:
    return f"objective {row.best.objective:.3f} at {row.best.budget:.3f}" if row.best else ""


def _summary(row: SearchRow) -> dict[str, Any]:
    best = row.best
    return {
        "id": row.id,
        "state": row.state,
        "model": row.config.model,
        "budget": row.config.budget,
        "done": row.done,
        "evaluations": row.config.evaluations,
        "seconds_left": row.seconds_left,
        "reference": row.reference.to_dict() if row.reference else None,
        "best": best
        and {"number": best.number, "digest": best.digest, "budget": best.budget, "score": best.score.to_dict()},
    }


VERB = nested(
    "look for policies in the background",
    {
        "start": Verb("start a search and watch it", _add_start, _start),
        "watch": Verb("watch a search that runs", _add_id, _watch),
        "list": Verb("list the searches, the newest first", _add_list, _list),
        "show": Verb("show how far a search is", _add_id, _show),
        "pause": Verb("pause a search", _add_id, _pause),
        "resume": Verb("go on with a search", _add_id, _resume),
        "stop": Verb("end a search", _add_id, _stop),
        "best": Verb("save the best policy of a search", _add_best, _best),
    },
)
