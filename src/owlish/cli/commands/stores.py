"""Commands about results that a store holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from owlish.cli import find
from owlish.cli.options import STORE, AsJson, KeyStart, Out, StorePlace
from owlish.cli.running import existing
from owlish.graph.counted import counted
from owlish.graph.provenance import describe
from owlish.graph.store import Damaged
from owlish.graph.tabled import on_one_line


def show(key: KeyStart, store: StorePlace = STORE) -> None:
    """Say how a result was made, down to its bases."""
    place = existing(store)
    print(describe(place, place.find(key)))


def results(
    kind: Annotated[str | None, typer.Argument(help="List the results of one kind, such as asked or sampled.")] = None,
    store: StorePlace = STORE,
    as_json: AsJson = False,
) -> None:
    """Say what a store holds."""
    from owlish.cli.results import by_kind, list_results, one_by_one

    found = list_results(existing(store))
    if kind is not None:
        kinds = {kind: kind for kind in sorted({one.kind for one in found})}
        found = [one for one in found if one.kind == find.pick(kind, kinds, "kind of result here")]
    print(json.dumps(list(map(asdict, found))) if as_json else one_by_one(found) if kind else by_kind(found))


def export(key: KeyStart, output: Out, store: StorePlace = STORE) -> None:
    """Copy a result out of a store: rows as JSONL, probabilities as CSV or .eval, folders with a card."""
    from owlish.cli.results import export as copied
    from owlish.cli.stamping import stamp_beside

    place = existing(store)
    written = copied(place, key := place.find(key), output)
    stamped = stamp_beside(place, key, output) if output.is_file() else None
    print(on_one_line(f"{output} holds {written}{f'; {stamped} says who made them' if stamped else ''}."))


def forget(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys, or their first characters.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, and say what would go.")] = False,
    store: StorePlace = STORE,
) -> None:
    """Remove results from a store."""
    from owlish.cli.results import forget as removed

    place = existing(store)
    found = [place.find(key) for key in keys]
    if not dry_run:
        place.check_writable()
    print(removed(place, found, dry=dry_run))


def verify(store: StorePlace = STORE, as_json: AsJson = False) -> None:
    """Read every file of a store again and name the damaged results; exit with 1 if there are any."""
    place, damaged = existing(store), {}
    keys = place.entries()
    for key in keys:
        try:
            place.verify(key)
        except Damaged as error:
            damaged[key] = str(error)
    lines = [*damaged.values(), f"{counted(len(keys), 'result')} checked, {len(damaged)} damaged."]
    lines += ["Run their study again to make them anew."] if damaged else []
    print(json.dumps({"checked": len(keys), "damaged": sorted(damaged)}) if as_json else "\n".join(lines))
    # 1 is "found something", as for an audit: here, damage.
    raise typer.Exit(1 if damaged else 0)
