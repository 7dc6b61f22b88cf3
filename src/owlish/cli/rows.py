"""What commands that read rows share: how rows are named, and what is said of those that were read."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from owlish.data.reading import SHOWN, Reading, formats_said, reading
from owlish.graph.errors import UserError

DataFiles = Annotated[
    list[str],
    Argument(
        metavar="DATA...", help="Files of any format, patterns, owner/name of Hugging Face, - for standard input."
    ),
]
FormatName = Annotated[
    str | None, Option("--format", help="What rows are read as, such as sharegpt or text. Default: recognised.")
]
ColumnNames = Annotated[
    str | None, Option("--columns", help="Columns by other names, as in prompt=question,completion=answer.")
]


def read(data: list[str], format: str | None, columns: str | None) -> Reading:
    """Return the rows that a command line names."""
    return reading(data, format=format, columns=pairs(columns))


def pairs(columns: str | None) -> dict[str, str]:
    """Return columns as a command line gives them."""
    given = [part.partition("=") for part in (columns or "").split(",") if part.strip()]
    if not all(name.strip() and own.strip() for name, _, own in given):
        raise UserError(f"{columns!r} names no columns: give pairs, such as prompt=question,completion=answer.")
    return {name.strip(): own.strip() for name, _, own in given}


def told(rows: Reading) -> list[str]:
    """Return lines that say how rows were read, and what of the files is in no row: bad lines, and ignored fields."""
    said = list(rows.problems)
    if rows.bad > SHOWN:
        said.append(f"... and {rows.bad - SHOWN:,} more.")
    if rows.bad:
        said.append(f"{rows.bad:,} of {rows.bad + rows.read:,} hold no row and were left out.")
    return [*said, *formats_said(rows.read_as, rows.ignored)]
