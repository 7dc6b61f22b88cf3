"""What commands that read rows share: how rows are named, and what is said of those that were read."""

from __future__ import annotations

import re

from owlish.cli.choice import split
from owlish.data.grouped import grouped
from owlish.data.reading import SHOWN, Reading, formats_said, reading
from owlish.data.sources.format import fields_of
from owlish.graph.errors import UserError
from owlish.graph.tabled import on_one_line
from owlish.nodes.data import Dataset

MARKED = re.compile(r"[;|:&\s]\s*(\w+)\s*=")
"""A name after a mark that parts no pairs."""


def read(data: list[str], format: str | None, columns: str | None) -> Reading:
    """Return the rows that a command line names."""
    return reading(data, format=format, columns=pairs(columns))


def pairs(columns: str | None) -> dict[str, str]:
    """Return columns as a command line gives them."""
    given = [part.partition("=") for part in split(columns)]
    if not all(name.strip() and own.strip() for name, _, own in given):
        raise UserError(f"{columns!r} names no columns: give pairs, such as prompt=question,completion=answer.")
    found = {name.strip(): own.strip() for name, _, own in given}
    if len(found) < len(given):
        raise UserError(f"--columns {columns} names a field twice: give each field one column.")
    # Another mark than the comma makes one pair of all, whose column no file has.
    if parted := [own for own in found.values() if any(name in fields_of() for name in MARKED.findall(own))]:
        raise UserError(
            f"--columns has {on_one_line(parted[0])[:60]!r}: commas part the pairs, as in prompt=q,completion=a."
        )
    return found


def describe_reading(rows: Reading | Dataset) -> list[str]:
    """Return lines that say how rows were read, and what of the files is in no row: bad lines, and ignored fields."""
    said = grouped(rows.problems)
    if rows.bad > SHOWN:
        said.append(f"... and {rows.bad - SHOWN:,} more.")
    if rows.bad:
        said.append(f"Left out for these reasons: {rows.bad:,} of {rows.bad + rows.read:,}.")
    return [*said, *formats_said(rows.read_as, rows.ignored)]
