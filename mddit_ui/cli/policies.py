"""``mddit policies``: list and show policies, make one from a preset."""

from argparse import ArgumentParser, Namespace
from typing import Any

from mddit_ui.cli import record
from mddit_ui.cli.options import DEFAULT_MODEL, POLICY, add_json, add_out, keep, read_policy
from mddit_ui.cli.output import emit, picture, say, score_line, table
from mddit_ui.cli.searched import PREFIX, find_search
from mddit_ui.cli.verb import Verb, nested
from mddit_ui.core import policy_json
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.core.presets import PRESETS
from mddit_ui.store import library

OPTIONS: dict[str, tuple[str, ...]] = {  # the options of each preset
    "full": (),
    "every": ("n",),
    "bands": ("n", "switch", "share"),
    "skip_cache": ("n", "b", "full_until", "reset_at"),
}


def _add_list(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--from-search", metavar="ID", help="those that a search found and no other of its is cheaper and better than"
    )
    add_json(parser)


def _list(args: Namespace) -> None:
    if args.from_search is not None:
        _list_searched(args)
        return
    saved = library.list_policies()
    if args.json:
        emit([{"id": each.id, **_summary(each.policy)} for each in saved])
        return
    rows = [(each.id, each.policy.name, each.policy.model, _size(each.policy)) for each in saved]
    say(*table(("id", "name", "made for", "steps x sites"), rows))


def _list_searched(args: Namespace) -> None:
    """From the cheapest to the best; the names are taken by every verb that takes a policy."""
    from mddit_ui.service import searches

    row = find_search(args.from_search)
    found = [each for _, _, each in searches.front(row.id).points]
    best = row.best.number if row.best else None
    if best is not None and best not in {each.number for each in found}:
        found = sorted([*found, row.best], key=lambda each: each.budget)  # type: ignore[list-item, union-attr]
    names = [f"{PREFIX}{row.id[:12]}:{each.number}" for each in found]
    if args.json:
        facts = zip(names, found, strict=True)
        emit([{"id": name, "budget": e.budget, "digest": e.digest, "score": e.score.to_dict()} for name, e in facts])
        return
    cells = [
        (name, f"{each.budget:.3f}", score_line(each.score), "the search's best" if each.number == best else "")
        for name, each in zip(names, found, strict=True)
    ]
    say(*table(("id", "budget", "score", ""), cells))


def _add_show(parser: ArgumentParser) -> None:
    parser.add_argument("policy", help=POLICY)
    parser.add_argument("--model", help="add what it costs on this model")
    add_json(parser)


def _show(args: Namespace) -> None:
    policy = read_policy(args.policy)
    if policy is None:
        raise PolicyError("'full' has no table of its own; make one with: mddit policies make full --model ID")
    macs = None
    if args.model:
        from mddit_ui.service.exchange import mac_table

        macs = mac_table(args.model, policy)
    if args.json:
        budget = None if macs is None else policy.budget(macs)
        emit({**_summary(policy), "budget": budget, "policy": policy_json.to_dict(policy)})
        return
    say(*picture(policy, macs))


def _add_make(parser: ArgumentParser) -> None:
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"for this model (default {DEFAULT_MODEL})")
    parser.add_argument("--steps", type=int, help="inference steps (default: the model's)")
    parser.add_argument("--n", type=int, help="every, bands, skip_cache: interval between full steps (default 2)")
    parser.add_argument("--switch", type=float, help="bands: share of the steps that are early (default 0.5)")
    parser.add_argument("--share", type=float, help="bands: share of the blocks that are cached (default 0.5)")
    parser.add_argument("--b", type=int, help="skip_cache: outer pairs of blocks that always run (default 1)")
    parser.add_argument("--full-until", type=float, help="skip_cache: full from timestep 999 to this (default 700)")
    parser.add_argument("--reset-at", type=float, help="skip_cache: full after this timestep (default 50)")
    parser.add_argument("--name", help="the name in the file")
    add_out(parser)
    add_json(parser)


def _make(args: Namespace) -> None:
    from mddit_ui.service import catalog

    given = {
        name: getattr(args, name) for names in OPTIONS.values() for name in names if getattr(args, name) is not None
    }
    if foreign := sorted(set(given) - set(OPTIONS[args.preset])):
        raise PolicyError(f"{args.preset} has no option {', '.join(foreign)}; see: mddit policies make --help")
    spec = catalog.get_model(args.model)
    view = catalog.describe(spec.id, args.steps or spec.steps)
    details: dict[str, Any] = {
        "model": spec.id,
        "timesteps": view.timesteps,
        **({"name": args.name} if args.name else {}),
    }
    notes = {"made_by": "mddit policies make", "preset": args.preset, **given}
    policy = PRESETS[args.preset](len(view.timesteps), view.sites, **given, **details, notes=notes)
    where = keep(policy, args.out)
    if args.json:
        emit({"saved": where, **_summary(policy), "budget": policy.budget(view.mac_table)})
        return
    say(*picture(policy, view.mac_table), f"saved as {where}")


def _add_learned(parser: ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="a model with token routers, such as scenes-routed")
    parser.add_argument("--target", type=float, required=True, help="mean share of the tokens that it was taught")
    parser.add_argument("--steps", type=int, help="inference steps (default: the model's)")
    add_out(parser)
    add_json(parser)


def _learned(args: Namespace) -> None:
    from mddit_ui.service import catalog, routed

    policy = routed.learned_policy(args.model, args.target, args.steps)
    table = catalog.describe(args.model, policy.steps).mac_table
    where = keep(policy, args.out)
    if args.json:
        emit({"saved": where, **_summary(policy), "budget": policy.budget(table)})
        return
    say(*picture(policy, table), f"saved as {where}")


def _summary(policy: Policy) -> dict[str, Any]:
    steps, sites = policy.actions.shape
    return {"name": policy.name, "model": policy.model, "steps": steps, "sites": sites, "digest": policy.digest}


def _size(policy: Policy) -> str:
    return f"{policy.actions.shape[0]} x {policy.actions.shape[1]}"


VERB = nested(
    Verb("list the saved policies; show, make and record them", _add_list, _list),
    {
        "show": Verb("draw a policy", _add_show, _show),
        "make": Verb("make a policy from a preset of the literature", _add_make, _make),
        "learned": Verb("the ratios of tokens that a model has learned, as a policy", _add_learned, _learned),
        "record": record.VERB,
    },
)
