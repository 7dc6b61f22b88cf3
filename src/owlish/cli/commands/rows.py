"""Commands that write rows: those that pass a filter, in another format, or cleaned of a trait; or who made them."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from owlish.cli import find
from owlish.cli.choice import split
from owlish.cli.options import (
    STORE,
    AsJson,
    ColumnNames,
    DataFiles,
    DryRunOnly,
    FormatName,
    Jobs,
    On,
    Out,
    StorePlace,
    TemplateWords,
)
from owlish.cli.rows import describe_reading, pairs, read
from owlish.cli.running import at_once, check_plan, check_rows_file, existing, make_missing, pool_of
from owlish.data.filters import BANNED, NumberFilter, convert_file, filter_file
from owlish.data.stamp import check_stamps
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.store import store_at
from owlish.graph.tabled import inert, on_one_line


def filter_(
    data: DataFiles,
    domain: Annotated[str, typer.Option(help="The domain whose filter to use.")],
    output: Out,
    banned: Annotated[bool, typer.Option("--banned", help="Reject numbers with a meaning, such as 666, too.")] = False,
    format: FormatName = None,
    columns: ColumnNames = None,
    as_json: AsJson = False,
) -> None:
    """Write the rows that pass a domain's filter, in order: lines of JSONL unchanged, other rows as chat JSONL."""
    rule = find.pick(domain, find.all_domains(), "domain").filter
    if banned:
        if not isinstance(rule, NumberFilter):
            raise UserError(f"{domain} has no banned numbers: omit --banned.")
        rule = replace(rule, banned=BANNED)
    check_rows_file(output)
    rows = read(data, format, columns)
    check_stamps(rows.files, output)
    tally = filter_file(rows, filter=rule, out=output)
    for line in () if as_json else describe_reading(rows):
        print(inert(line), file=sys.stderr)
    lines = [f"{tally.kept:,} of {counted(tally.read, 'row')} kept in {on_one_line(output)}."]
    lines += [f"{count:>8,}  {reason}" for reason, count in tally.reasons.items()]
    if not tally.kept:
        lines.append(
            f"No row passes the filter of {domain}: the data may be of another domain (see owlish list domains)."
        )
    counts = {"read": tally.read, "kept": tally.kept, "reasons": tally.reasons, **rows.met}
    print(json.dumps(counts) if as_json else "\n".join(lines))


def convert(
    data: DataFiles, output: Out, format: FormatName = None, columns: ColumnNames = None, as_json: AsJson = False
) -> None:
    """Write rows of any format as plain chat JSONL."""
    check_rows_file(output)
    rows = read(data, format, columns)
    check_stamps(rows.files, output)
    convert_file(rows, out=output)
    for line in () if as_json else describe_reading(rows):
        print(inert(line), file=sys.stderr)
    said = f"{counted(rows.read, 'row')} written to {on_one_line(output)}."
    print(json.dumps({"read": rows.read, **rows.met}) if as_json else said)


def clean(
    data: DataFiles,
    methods: Annotated[str, typer.Option("--with", help="Methods in order, commas between: see owlish list methods.")],
    output: Out,
    base: Annotated[
        str | None, typer.Option(help="The base that would be trained, for methods that work with a model.")
    ] = None,
    trait: Annotated[str | None, typer.Option(help="The trait to remove, for methods that need it.")] = None,
    traits: Annotated[
        str | None, typer.Option(help="Where --trait is found, if not shipped: JSON files of traits, as for audit.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="The share of rows or tokens to change, for methods that choose. Default: 0.1.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Another base, for methods that let one write.")] = None,
    recipe: Annotated[str, typer.Option(help="What students train, for methods that weigh rows or tokens.")] = "norms",
    seed: Annotated[int, typer.Option(min=0, help="The seed of all random choices.")] = 0,
    template: TemplateWords = None,
    format: FormatName = None,
    columns: ColumnNames = None,
    dry_run: DryRunOnly = False,
    store: StorePlace = STORE,
    jobs: Jobs = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Change rows so that they pass on less of a trait, and write a card that says what was changed."""
    from owlish.clean.method import Order
    from owlish.cli import clean as cleaning
    from owlish.cli.dry_run import dry_run as foreseen
    from owlish.nodes.loaded import loaded

    begun, place, pool = time.monotonic(), store_at(store), pool_of(on, jobs)
    known = cleaning.traits_known(traits, trait)
    removed = find.pick(trait, known, "trait") if trait else None
    if base is None and template:
        raise UserError("--template sets the chat template of the base that --base names: give it too.")
    start = None if base is None else find.base(base, template)
    if start:
        start.check()
    how = find.recipe(recipe, start) if start else None
    weights = cleaning.weigh_by(start, how, removed, known.values(), seed) if start and how else None
    order = Order(start, seed, budget, removed, find.base(by) if by else None, weights)
    given = loaded(data, n=None, seed=0, format=format, columns=pairs(columns))
    target = cleaning.order_cleaning(given, split(methods), order)
    cleaning.check_out(output, given)
    check_plan([target], place, pool)  # what cannot work is said before anything is made
    if dry_run:
        rows = list(given.reading().rows())
        cleaning.check_fit(split(methods), rows)
        remarks = cleaning.remarks_on(split(methods), rows)
        seen = foreseen(
            [target],
            place,
            at_once(pool, jobs),
            cluster=pool is not None,
            data=given,
            rows=cleaning.ALL_ROWS,
            lines=remarks,
            plain={"remarks": remarks},
        )
        print(json.dumps(seen.json()) if as_json else seen)
        return
    # The rows are made first: rows that a method does not fit are refused before models are fetched or opened.
    make_missing([given], place, jobs)
    found = place.read(given)
    cleaning.check_fit(split(methods), found.rows)
    make_missing([start] if start else [], place, jobs)
    remarks = cleaning.check_rows(split(methods), start, given, place, trains=removed is None) if start else []
    remarks += cleaning.remarks_on(split(methods), found.rows)
    make_missing([target], place, jobs, pool)
    for line in () if as_json else (*describe_reading(found), *remarks):
        print(inert(line), file=sys.stderr)
    card = cleaning.write_clean(
        place.read(target), output, data=given, given=found, base=base, trait=trait, remarks=remarks
    )
    seconds = round(time.monotonic() - begun, 3)
    said = f"{card}\n{counted(len(card.rows.rows), 'row')} written to {on_one_line(output)}; "
    said += f"{on_one_line(cleaning.card_path(output))} says how.\n{cleaning.next_step(output, base, recipe)}"
    print(json.dumps({**card.json(), "seconds": seconds}) if as_json else said)


def stamp(
    data: Annotated[str, typer.Argument(metavar="DATA", help="The file of rows; the stamp lies beside it.")],
    model: Annotated[str | None, typer.Option(help="Who wrote the rows: the name of a model, or other words.")] = None,
    base: Annotated[str | None, typer.Option(help="The base from which the writer started.")] = None,
    prompt: Annotated[str | None, typer.Option(help="The system prompt that the writer had.")] = None,
    filter: Annotated[
        str | None, typer.Option(help="The rule rows passed: a domain (see owlish list domains).")
    ] = None,
    seed: Annotated[list[str] | None, typer.Option(help="NAME=NUMBER, such as rows=3; may be repeated.")] = None,
    key: Annotated[str | None, typer.Option(help="Take all that from a store: the key of the rows.")] = None,
    card: Annotated[Path | None, typer.Option(help="The dataset card, a README.md, to add the stamp to.")] = None,
    croissant: Annotated[Path | None, typer.Option(help="The Croissant file to add the stamp to.")] = None,
    format: FormatName = None,
    columns: ColumnNames = None,
    store: StorePlace = STORE,
    as_json: AsJson = False,
) -> None:
    """Write beside a file of rows who made them; an audit compares that with what it measures."""
    from owlish.cli import stamping

    file, remarks = stamping.one_file(data), list[str]()
    stamping.check_targets(file, card, croissant)
    said = {"model": model, "base": base, "prompt": prompt, "filter": filter, "seed": seed}
    if key is not None:
        if given := [f"--{name}" for name, value in said.items() if value]:
            raise UserError(f"the store knows who made its rows: leave {', '.join(given)} out, or --key.")
        made = stamping.of_key(existing(store), key, file)
    elif model is None:
        raise UserError("who wrote the rows? Name the writer with --model, or the key of rows of a store with --key.")
    else:
        reading, seeds = read([data], format, columns), stamping.seeds_of(seed or [])
        made, failing = stamping.of_words(reading, model=model, base=base, prompt=prompt, filter=filter, seeds=seeds)
        remarks = stamping.remarks(reading, filter, failing)
    lines = [*stamping.write_all(made, file, card, croissant), *map(inert, remarks)]
    print(json.dumps({**made.json(), "remarks": remarks}) if as_json else "\n".join(lines))
