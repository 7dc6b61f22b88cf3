"""What commands that check have in common: their candidates, the verdicts that fail, the schema, the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, NoReturn

import typer

from owlish.cli import find
from owlish.cli.choice import split
from owlish.graph.errors import UserError

if TYPE_CHECKING:
    from owlish.audit.verdict import Verdict
    from owlish.diff.verdict import Difference
    from owlish.traits.trait import Trait


def print_schema(room: str, file: str) -> Callable[[bool], None]:
    """Return what prints a JSON schema, if it is asked to, and stops."""

    def shown(asked: bool) -> None:
        if asked:
            print(files(room).joinpath(file).read_text(), end="")
            raise typer.Exit

    return shown


Schema = partial(typer.Option, "--schema", is_eager=True, help="Print the JSON schema of a verdict.")


def candidates_of(names: str) -> tuple[Trait, ...]:
    """Return the candidates that `--traits` names; say where a trait's name stands for its whole category."""
    for name in split(names):
        # A candidate alone has nothing that it could stand out from.
        if home := find.category_of(name):
            print(
                f"{name} is one of {home}: all of {home} are candidates, as each is compared with the others.",
                file=sys.stderr,
            )
    return find.candidates(split(names))


def verdicts(names: str) -> list[str]:
    """Return the verdicts that `--fail-on` names."""
    found = [find.pick(name, {w: w for w in ("found", "cannot_say", "none")}, "verdict") for name in split(names)]
    if "none" in found and len(found) > 1:
        raise UserError(f"--fail-on {names} says none and others: give none alone, or omit it.")
    return found


def conclude(verdict: Verdict | Difference, fails: bool, seconds: float, *, as_json: bool) -> NoReturn:
    """Print a verdict, and exit with its code if it `fails`."""
    print(json.dumps({**verdict.json(), "seconds": seconds}) if as_json else verdict)
    raise typer.Exit(verdict.exit_code if fails else 0)
