"""Rows read from files of any format, and what was met on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from owlish.data.given import Given, files_of, names_of, unreadable
from owlish.data.hub import hub_records, is_hosted, revision
from owlish.data.records import LONGEST, NOT_UTF8, TOO_LONG, Records, records
from owlish.data.rows import Row
from owlish.data.sources.format import Entry, fields_of, format_called, is_row, lacking, refusal, row_of
from owlish.data.spooled import format_source
from owlish.data.wrapped import around_list, over_lines
from owlish.graph.errors import UserError, nearest, suggestion
from owlish.graph.tabled import on_one_line

SHOWN = 10
"""The most problems that are told in full; the others are counted."""

FIX = "Fix the file, or say how to read it: --format names a format, --columns its fields (prompt=q,completion=a)."

ENCODED = r"\udc"
"""How a refusal shows the bytes in the name of a column that are no UTF-8."""

Columns = tuple[tuple[str, str], ...]
"""Fields of a format, each with the name that it has in the files."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: the file, empty where there is one alone, and the number of its line, item or row."""

    file: str
    unit: str
    number: int

    def __str__(self) -> str:
        return f"{self.file} {self.unit} {self.number:,}".strip()


@dataclass
class Reading:
    """Rows of `files`, read once and in order; what is met on the way is counted as it is met.

    `content` is that of `content_of`. `format` names the format of all rows, which is otherwise recognised by their
    fields. `read_as` counts rows by their formats, and `ignored` those with a field that their format does not know;
    `problems` tells of the first of the `bad` lines, which hold no row.
    """

    files: tuple[str, ...]
    content: str
    format: str | None = None
    columns: Columns = ()
    read_as: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many rows were read."""
        return self.read_as.total()

    @property
    def met(self) -> dict[str, Any]:
        """What was met, as plain values."""
        problems, read_as, ignored = list(self.problems), dict(self.read_as), dict(sorted(self.ignored.items()))
        return {"bad": self.bad, "problems": problems, "read_as": read_as, "ignored": ignored}

    def rows(self) -> Iterator[Row]:
        """Yield the rows; raise `UserError` where a file cannot be read, or at the end if there was no row."""
        return (row for _, row in self.lines())

    def lines(self) -> Iterator[tuple[bytes | None, Row]]:
        """Yield the rows, those of JSONL with their lines as they stand."""
        return ((line, row) for _, line, row in self.pieces())

    def placed(self) -> Iterator[tuple[Place, Row]]:
        """Yield the rows with their places."""
        names = names_of(self.files) if len(self.files) > 1 else {}
        for (file, unit, number), _, row in self.pieces():
            yield Place(names.get(file, ""), unit, number), row

    def pieces(self) -> Iterator[tuple[tuple[str, str, int], bytes | None, Row]]:
        """Yield the rows with file, unit and number, those of JSONL with their lines as they stand."""
        names = names_of(self.files)
        for file in self.files:
            read, bad, told = self.read, self.bad, list[str]()
            try:
                before = state_of(file)
                found = self.records(file)
                place = f"{names[file]} {found.unit}" if len(self.files) > 1 else found.unit
                for number, (line, entry) in enumerate(found.pieces, start=1):
                    try:
                        row = self.row(entry, found.unit, line)
                    # One bad line must not hide a file of good ones: it is counted, and the first ten are told.
                    except UserError as problem:
                        self.bad += 1
                        if len(told) < SHOWN:
                            told.append(on_one_line(f"{place} {number}: {problem}"))
                            self.problems += told[-1:] if len(self.problems) < SHOWN else []
                    else:
                        yield (file, found.unit, number), line, row
                if state_of(file) != before:
                    raise UserError(f"{format_source(file)} changed while it was read: ask again when it is whole.")
                # Beside files that hold rows, too: half of the data would be gone, and the rest taken for all.
                if told and self.read == read:
                    raise UserError(self.nothing(file, told, self.bad - bad))
            except OSError as error:
                raise unreadable(file, error) from None
        # At the end, for rows are streamed: nobody knows before whether there is one.
        if not self.read:
            name = ", ".join(map(format_source, self.files[:3])) + (" and others" if len(self.files) > 3 else "")
            raise UserError(f"{name} is empty: give a dataset with at least one row.")

    def records(self, file: str) -> Records:
        """Return what a file holds."""
        # Digests are hexadecimal: only the name of a hosted dataset holds a slash.
        if "/" in self.content:
            return hub_records(file, self.content)
        # Where a user names columns, those decide what a header is and which columns of a table are read.
        own = {name for _, name in self.columns}
        # Before any line is read: the last lines of a list may be rows, and would be taken for all.
        if Path(file).is_file() and (problem := over_lines(file, fields_of() | own)):
            raise UserError(f"{format_source(file)} {problem}")
        return records(file, own.issubset if own else is_row, own or fields_of())

    def row(self, entry: Entry | str, unit: str, line: bytes | None) -> Row:
        """Return the row in a piece of a file, and count it."""
        if isinstance(entry, str):
            raise UserError(entry)
        known, others = self.renamed(entry, unit) if self.columns else (entry, ())
        title, row, left = row_of(known, unit, self.format)
        # An empty answer has nothing to train on but its end, which would teach to say nothing.
        if not any(row.messages[turn].text for turn in row.turns):
            raise UserError("The completion is empty.")
        # Lines are measured as bytes while they are read; rows of tables only here.
        if line is None and sum(len(message.text) for message in row.messages) > LONGEST:
            raise UserError(f"The {unit} {TOO_LONG}")
        self.read_as[title] += 1
        if left or others:
            self.ignored.update({*left, *others})
        return row

    def renamed(self, entry: Entry, unit: str) -> tuple[Entry, Collection[str]]:
        """Return the columns of an entry by the names that a format has for them, and what is beside them."""
        found = {name: entry[own] for name, own in self.columns if own in entry}
        if not is_row(found, self.format):
            turned = [name for name, own in self.columns if name in entry and own in fields_of()]
            if not found and is_row(turned, self.format):
                field, own = self.columns[0]
                raise UserError(f"The {unit} has {field!r} and not {own!r}: turn each pair of --columns round.")
            # Told in the user's names, not in those of the format.
            raise UserError(refusal(entry, unit, [[own for _, own in self.columns]]))
        return found, entry.keys() - {own for _, own in self.columns}

    def nothing(self, file: str, told: Sequence[str], bad: int) -> str:
        """Say that no line of a file is a row, and where to look; `told` are the first problems of `bad` lines."""
        known = fields_of() | {name for _, name in self.columns}
        if bad == 1 and Path(file).is_file() and (problem := around_list(file, known)):
            return f"{format_source(file)} {problem}"
        first, *others = told
        where = ", ".join(problem.partition(":")[0] for problem in others)
        more = f" and {bad - SHOWN:,} more" if bad > SHOWN else ""
        also = f" (Also bad: {where}{more}.)" if others else ""
        # Neither a format nor columns help where bytes are no text.
        encode = NOT_UTF8.partition(": ")[2]
        do = "" if first.endswith(encode) else f" S{encode[1:]}" if ENCODED in first else f" {FIX}"
        return f"{format_source(file)} holds no row. {first}{also}{do}"


def reading(given: Given, *, format: str | None = None, columns: Mapping[str, str] | None = None) -> Reading:
    """Return the rows of what a user gives, to be read once.

    `format` is one of `formats()`, such as "sharegpt". `columns` maps fields of a format to the names that they have
    here: `{"prompt": "question", "completion": "answer"}`. `UserError` is raised where there is no such format or
    field.
    """
    files, named = files_of(given), format_called(format)
    content = revision(files[0]) if is_hosted(files[0]) else ""
    return Reading(files, content, named, columns_of(columns or {}, named))


def columns_of(columns: Mapping[str, str], name: str | None = None) -> Columns:
    """Return columns as pairs; refuse those of which no format, or not the one that is named, makes a row."""
    if not isinstance(columns, Mapping):
        raise UserError('columns is no mapping: give one such as {"prompt": "question"}.')
    unknown = sorted(columns.keys() - fields_of())
    if unknown:
        first = unknown[0]
        # All names are fields, but on the wrong side; a field that is nearly right is a slip of the pen.
        turned = len(unknown) == len(columns) and fields_of().issuperset(columns.values())
        turned = turned and not nearest(first, fields_of(), alike=0.8)
        does = (
            f"turn each pair round, as in {columns[first]}={first}."
            if turned
            else suggestion(first, sorted(fields_of()))
        )
        raise UserError(f"no format has the field {first!r}: {does}")
    # Refused here and not row by row: with these columns there is no row in any file.
    if columns and not is_row(columns, name):
        given = on_one_line(",".join(f"{one}={own}" for one, own in columns.items()))
        raise UserError(f"--columns {given[:60]} {lacking(columns, name)}.")
    return tuple(columns.items())


def state_of(file: str) -> tuple[int, int] | None:
    """Return the size of a file and when it was changed; nothing for what is no file here."""
    if not Path(file).is_file():
        return None
    stat = Path(file).stat()
    return stat.st_size, stat.st_mtime_ns


def formats_said(read_as: Mapping[str, int], ignored: Mapping[str, int]) -> list[str]:
    """Return sentences that say what rows were read as, and which of their fields were ignored."""
    titles = [f"{title} ({count:,})" if len(read_as) > 1 else title for title, count in read_as.items()]
    names = [f"{name} ({count:,})" for name, count in sorted(ignored.items())]
    read = [f"Rows are read as {' and '.join(titles)}."] if titles else []
    return [*read, *([on_one_line(f"Ignored fields: {', '.join(names)}.")] if names else [])]


def read_rows(file: str | Path) -> tuple[Row, ...]:
    """Return the rows of a file that `write_rows` wrote."""
    with Path(file).open("rb") as stream:
        return tuple(row_of(json.loads(line), "line")[1] for line in stream)
