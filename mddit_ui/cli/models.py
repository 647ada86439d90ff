"""``mddit models``: which models there are, and what a policy can act on in one of them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mddit_ui.cli.options import add_json
from mddit_ui.cli.output import amount, emit, plain, say, table
from mddit_ui.cli.verb import Verb

if TYPE_CHECKING:
    from mddit_ui.service.catalog import ModelView


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
    around = catalog.around(spec.id)
    if args.json:
        details = {"timesteps": list(view.timesteps), "macs": view.mac_table.to_dict(), "full_macs": full}
        details |= {"rest": dict(view.rest), "around": around, "numbers": view.numbers}
        if view.without_attention is not None:
            details["macs_without_attention"] = view.without_attention.to_dict()
        emit({"spec": spec.to_dict(), "sites": list(view.sites), "residual_bytes": view.residual_bytes, **details})
        return
    say(
        f"{plain(spec.title or spec.id)}: {plain(spec.description)}",
        f"{len(view.timesteps)} model evaluations x {len(view.sites)} sites, {amount(full, 'MACs')} an image, "
        f"{amount(view.residual_bytes, 'B')} for each residual that a policy keeps",
        f"runs in {view.numbers}",
        "",
        "MACs of one step of one image, guidance counted; beside them without attention products, as ECAD counts:",
        *table(("site", "MACs", "without"), _costs(view)),
        "",
        "once an image, not counted above:",
        *table(("part", "MACs"), [(part, amount(macs, "MACs")) for part, macs in around.items()]),
    )


def _costs(view: "ModelView") -> Iterator[tuple[str, str, str]]:
    """The sites, what the rest is made of, and the sum."""
    full, without = view.mac_table, view.without_attention or view.mac_table
    for name, macs, fewer in zip(view.sites, full.site_macs, without.site_macs, strict=True):
        yield name, amount(macs, "MACs"), amount(fewer, "MACs")
    for part, macs in view.rest.items():
        yield f"the rest: {part}", amount(macs, "MACs"), ""
    yield "the rest in all", amount(full.rest_macs, "MACs"), amount(without.rest_macs, "MACs")
    yield "all", amount(full.full(1), "MACs"), amount(without.full(1), "MACs")


VERB = Verb("list the models, or show one", add_arguments, run)
