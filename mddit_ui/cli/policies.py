"""``mddit policies``: list and show saved policies, make one from a preset."""

from argparse import ArgumentParser, Namespace
from typing import Any

from mddit_ui.cli.options import DEFAULT_MODEL, add_json, read_policy
from mddit_ui.cli.output import emit, picture, say, table
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
    "skip_cache": ("n", "b", "full_until"),
}


def _add_list(parser: ArgumentParser) -> None:
    add_json(parser)


def _list(args: Namespace) -> None:
    saved = library.list_policies()
    if args.json:
        emit([{"id": each.id, **_summary(each.policy)} for each in saved])
        return
    rows = [(each.id, each.policy.name, each.policy.model, _size(each.policy)) for each in saved]
    say(*table(("id", "name", "made for", "steps x sites"), rows))


def _add_show(parser: ArgumentParser) -> None:
    parser.add_argument("policy", help="a file or the id of a saved policy")
    parser.add_argument("--model", help="add what it costs on this model")
    add_json(parser)


def _show(args: Namespace) -> None:
    policy = read_policy(args.policy)
    if policy is None:
        raise PolicyError("'full' has no table of its own; make one with: mddit policies make full --model ID")
    macs = None
    if args.model:
        from mddit_ui.service import catalog

        macs = catalog.describe(args.model, policy.steps).mac_table
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
    parser.add_argument("--b", type=int, help="skip_cache: outer pairs of blocks that always run (default 2)")
    parser.add_argument("--full-until", type=int, help="skip_cache: first steps that run in full (default 1)")
    parser.add_argument("--name", help="the name in the file")
    parser.add_argument("-o", "--out", metavar="FILE", help="write it here (default: into saved_policies)")
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
    if args.out:
        policy.save(args.out)
        where = {"file": args.out}
    else:
        where = {"id": library.save(policy)}
    if args.json:
        emit({**_summary(policy), **where, "budget": policy.budget(view.mac_table)})
        return
    say(*picture(policy, view.mac_table), f"saved as {args.out or where['id']}")


def _summary(policy: Policy) -> dict[str, Any]:
    steps, sites = policy.actions.shape
    return {"name": policy.name, "model": policy.model, "steps": steps, "sites": sites, "digest": policy.digest}


def _size(policy: Policy) -> str:
    return f"{policy.actions.shape[0]} x {policy.actions.shape[1]}"


VERB = nested(
    "list, show and make policies",
    {
        "list": Verb("list the saved policies", _add_list, _list),
        "show": Verb("draw a policy", _add_show, _show),
        "make": Verb("make a policy from a preset of the literature", _add_make, _make),
    },
)
