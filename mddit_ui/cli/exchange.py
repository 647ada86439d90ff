"""``mddit import`` and ``export``: policies from and to the files of other projects, and as Python."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from mddit_ui.cli.options import DEFAULT_MODEL, POLICY, add_json, add_out, keep, read_policy
from mddit_ui.cli.output import emit, picture, say
from mddit_ui.cli.searched import PREFIX, searched_policy
from mddit_ui.cli.verb import Verb
from mddit_ui.core import interchange
from mddit_ui.core.errors import PolicyError
from mddit_ui.core.paths import atomic_write
from mddit_ui.core.policy import Policy

TITLES = ", ".join(f"{name} ({format.title})" for name, format in interchange.FORMATS.items())


def _add_import(parser: ArgumentParser) -> None:
    parser.add_argument("file", help=f"of any format: {TITLES}; or search:ID")
    parser.add_argument("--format", choices=interchange.FORMATS, help="which it is (default: seen from the content)")
    parser.add_argument("--model", help="made for this one; needed where the file does not say how many blocks")
    parser.add_argument("--name", help="the name in the library (default: the file's)")
    add_out(parser)
    add_json(parser)


def _import(args: Namespace) -> None:
    policy = _read(args)
    given = {"name": args.name} if args.name else {}
    policy = replace(policy, **given)
    where = keep(policy, args.out)
    if args.json:
        steps, sites = policy.actions.shape
        emit({"saved": where, "name": policy.name, "steps": steps, "sites": sites, "digest": policy.digest})
        return
    say(*picture(policy), f"saved as {where}")


def _read(args: Namespace) -> Policy:
    if args.file.startswith(PREFIX):
        return searched_policy(args.file)
    if args.model:
        from mddit_ui.service import exchange

        policy = exchange.read(Path(args.file), args.model, args.format)
    else:
        policy = interchange.load(Path(args.file), args.format)
    return policy if policy.name != "untitled" else replace(policy, name=Path(args.file).stem[:120])


def _add_export(parser: ArgumentParser) -> None:
    parser.add_argument("policy", help=POLICY)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=interchange.FORMATS, default="json", help=f"{TITLES}; default json")
    form.add_argument("--python", action="store_const", dest="format", const="python", help="a script that runs it")
    parser.add_argument("--model", help=f"of the script: for this one (default: the policy's, else {DEFAULT_MODEL})")
    parser.add_argument("-o", "--out", metavar="FILE", help="write it here (default: print it); l2c: .npz or .json")
    add_json(parser)


def _export(args: Namespace) -> None:
    policy = read_policy(args.policy)
    if policy is None:
        raise PolicyError("'full' has no table of its own; make one with: mddit policies make full --model ID")
    if args.format == "python":
        from mddit_ui.service import exchange

        content = exchange.as_script(policy, args.model or policy.model or DEFAULT_MODEL).encode()
    else:
        content = interchange.dumps(policy, args.format, npz=(args.out or "").endswith(".npz"))
    if args.out is None:
        emit({"format": args.format, "content": content.decode()}) if args.json else say(content.decode().rstrip("\n"))
        return
    try:
        atomic_write(Path(args.out), content)
    except OSError as error:
        raise PolicyError(f"Can't write {args.out!r}: {error.strerror or error}.") from None
    facts = {"file": args.out, "format": args.format, "bytes": len(content)}
    emit(facts) if args.json else say(f"written to {args.out}")


IMPORT = Verb("bring a policy into the library, from a file of this or another project", _add_import, _import)
EXPORT = Verb("write a policy for another project, or as a script", _add_export, _export)
