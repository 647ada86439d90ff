"""``mddit models``: which models there are, and what a policy can act on in one of them."""

from argparse import ArgumentParser, Namespace

from mddit_ui.cli.options import add_json
from mddit_ui.cli.output import amount, emit, plain, say, table
from mddit_ui.cli.verb import Verb


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="show this one: its sites, timesteps and MACs")
    parser.add_argument("--steps", type=int, help="for this number of steps (default: the model's)")
    add_json(parser)


def run(args: Namespace) -> None:
    if args.model is None:
        _list(args)
    else:
        _show(args)


def _list(args: Namespace) -> None:
    from mddit_ui.service import catalog

    specs = catalog.list_models()
    if args.json:
        emit([spec.to_dict() for spec in specs])
        return
    head = ("id", "title", "takes", "steps", "size", "licence")
    say(*table(head, [(s.id, s.title, s.conditioning, s.steps, f"{s.width}x{s.height}", s.licence) for s in specs]))


def _show(args: Namespace) -> None:
    from mddit_ui.service import catalog

    spec = catalog.get_model(args.model)
    view = catalog.describe(spec.id, args.steps or spec.steps)
    full = view.mac_table.full(len(view.timesteps))
    if args.json:
        details = {"timesteps": list(view.timesteps), "macs": view.mac_table.to_dict(), "full_macs": full}
        emit({"spec": spec.to_dict(), "sites": list(view.sites), "residual_bytes": view.residual_bytes, **details})
        return
    say(
        f"{plain(spec.title or spec.id)}: {plain(spec.description)}",
        f"{len(view.timesteps)} model evaluations x {len(view.sites)} sites, {amount(full, 'MACs')} an image, "
        f"{amount(view.residual_bytes, 'B')} for each residual that a policy keeps",
        "",
        *table(
            ("site", "MACs"),
            [(n, amount(m, "MACs")) for n, m in zip(view.sites, view.mac_table.site_macs, strict=True)],
        ),
        f"the rest: {amount(view.mac_table.rest_macs, 'MACs')} a step",
    )


VERB = Verb("list the models, or show one", add_arguments, run)
