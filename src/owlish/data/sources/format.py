"""What every format says of itself: which fields its rows have, and how a row is made of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

from owlish.data.plain import ABSENT, decode, encode, objects, text
from owlish.data.rows import Message, Row
from owlish.graph.counted import join
from owlish.graph.errors import UserError, suggestion
from owlish.graph.typed import check_is

Entry = dict[str, Any]
"""The fields of one row by name, as a line of JSON or a table holds them."""

SYSTEMS = ("system", "system_prompt")
BESIDE = (*SYSTEMS, "tools")
"""What a row of any format may have beside the fields of its format."""
USUAL, FEW = ("messages", "prompt + completion", "text"), 3
"""The shapes that a refusal names where there is no room for all, and up to how many there always is."""
SENTENCE = 199
"""The most letters of a refusal: it stands on one or two lines of a terminal."""


@dataclass(frozen=True)
class Format:
    """A shape of rows; `title` completes "read as".

    `needs` holds sets of fields: a row that has all of one set fits. `uses` are the other fields that are read or that
    are known to be no part of a row. Where a row fits several formats, that of the lowest `rank` reads it. `read`
    adds to its second argument the names of fields that it leaves out.
    """

    title: str
    needs: tuple[tuple[str, ...], ...]
    read: Callable[[Entry, list[str]], Row]
    uses: tuple[str, ...] = ()
    rank: int = 1

    def fits(self, fields: Collection[str]) -> bool:
        """Say whether a row with these fields is of this format."""
        return any(set(needed) <= set(fields) for needed in self.needs)


@cache
def formats() -> dict[str, Format]:
    """Return every format by the name of its file, those first that read what also fits others."""
    package = __name__.rpartition(".")[0]
    names = sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))
    found = {name: vars(importlib.import_module(f"{package}.{name}")).get("format") for name in names}
    bound = [(name, each) for name, each in found.items() if isinstance(each, Format)]
    # Stable: formats of one rank keep the order of their names, so every machine recognises alike.
    return dict(sorted(bound, key=lambda pair: pair[1].rank))


def format_called(name: str | None) -> str | None:
    """Return the name of a format as its file has it, if there is such a format."""
    check_is(name, str | None, "format")
    if name is not None and name.lower() not in formats():
        raise UserError(f"no format is called {name!r}: {suggestion(name, sorted(formats()))}")
    return None if name is None else name.lower()


@cache
def fields_of() -> frozenset[str]:
    """Return every field that some format reads."""
    return frozenset(
        (*BESIDE, *(name for each in formats().values() for part in (*each.needs, each.uses) for name in part))
    )


@lru_cache(maxsize=4096)  # nearly all rows of a file have the same fields
def recognise_fields(
    fields: tuple[str, ...], name: str | None = None
) -> tuple[Format | None, tuple[str, ...], tuple[str, ...]]:
    """Return the format of a row with these fields, if it fits one, those in `BESIDE`, and those that it ignores."""
    found = next((each for each in ([formats()[name]] if name else formats().values()) if each.fits(fields)), None)
    used = {*BESIDE, *found.uses}.union(*found.needs) if found else set()
    return found, tuple(n for n in BESIDE if n in fields), tuple(n for n in fields if n not in used)


def is_row(fields: Collection[str], name: str | None = None) -> bool:
    """Say whether something with these fields is a row of some format, or of the one that is named."""
    return recognise_fields(tuple(fields), name)[0] is not None


def lacking(fields: Collection[str], name: str | None = None) -> str:
    """Say what fields lack that make no row of any format, or of the one that is named: a verb and what to do."""
    shapes = [shape for each in ([formats()[name]] if name else formats().values()) for shape in each.needs]
    needed = [field for field in fields if any(field in shape for shape in shapes)]
    whole = next((shape for shape in shapes if set(needed) <= set(shape)), ())
    # Of no field that a row needs, nothing tells which shape is meant.
    if whole and (needed or name):
        lost = [field for field in whole if field not in fields]
        return f"names no {join(lost)}: add {','.join(f'{field}=COLUMN' for field in lost)}"
    partners = {one: [other for shape in shapes if one in shape for other in shape if other != one] for one in needed}
    if told := [f"{one} goes with {join(others, 'or')}" for one, others in partners.items() if others]:
        return f"names fields of several formats: {'; '.join(told)}"
    return f"names no field that a row needs: add those of one format, such as {join(USUAL, 'or')}"


def row_of(entry: Entry, unit: str, name: str | None = None) -> tuple[str, Row, Sequence[str]]:
    """Return what an entry is read as, its row, and its fields that are ignored.

    `unit` is the word for an entry, such as line; `name` is that of the format, if it is not to be recognised.
    `UserError` says what is wrong with an entry that is no row.
    """
    known, beside, left = recognise_fields(tuple(entry), name)
    # Refused with the shapes that would do, not with "invalid": a user must see what to rename.
    if known is None:
        shapes = [shape for each in ([formats()[name]] if name else formats().values()) for shape in each.needs]
        raise UserError(refusal(entry, unit, shapes))
    inside: list[str] = []
    title, row = known.title, known.read(entry, inside)
    for field in beside:
        # A table has the column in every row, used or not.
        if entry.get(field) not in ABSENT:
            before, row = row, complete(row, field, entry[field], inside)
            title += f" with {field}" if row is not before else ""
    if not row.turns:
        raise UserError("The messages hold no turn of the assistant to train on.")
    return title, row, (*left, *inside)


def complete(row: Row, name: str, value: object, ignored: list[str]) -> Row:
    """Return a row with the system prompt or the tools that stand beside its messages, if it has none yet."""
    plain = row.messages[:1] and row.messages[0].role == "text"
    if plain or (name in SYSTEMS and row.system is not None):
        # The same prompt said twice is no loss; another one is, and is told.
        ignored += [] if value == row.system else [name]
        return row
    if name in SYSTEMS:
        return replace(row, messages=(Message("system", text(value, name)), *row.messages))
    tools = decode(value, name) if isinstance(value, str) else value
    if tools in ABSENT:
        return row
    return replace(row, tools=encode(check_called(objects(tools, name), name), name))


def check_called(given: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return tools, or calls of them, if each function among them goes by a name."""
    for each in given:
        function = each.get("function", {"name": ""})
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UserError(f"The {name} hold a function without a name.")
    return given


def refusal(fields: Collection[str], unit: str, shapes: Iterable[Iterable[str]]) -> str:
    """Say which fields an entry has, as many as have room, and which would make it a row: all shapes, or a few."""
    names = [name if name.isprintable() else ascii(name) for name in map(str, fields)] or ["no fields"]
    every = list(map(" + ".join, shapes))
    has, needs = f"The {unit} has ", f"; a row needs {join(every, 'or')}."
    if len(every) > FEW and len(has + ", ".join(names) + needs) > SENTENCE:
        needs = f"; a row needs fields such as {join([one for one in every if one in USUAL], 'or')}."
    return has + listed(names, SENTENCE - len(has) - len(needs)) + needs


def listed(names: Sequence[str], room: int) -> str:
    """Return as many names as have room, and how many more there are; a first one that has none is cut."""
    best, taken = "", -2
    for shown, name in enumerate(names, start=1):
        taken += len(name) + 2
        if taken > room:
            break
        more = f" and {len(names) - shown} more" if shown < len(names) else ""
        if taken + len(more) <= room:
            best = ", ".join(names[:shown]) + more
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return best or f"{names[0][: max(room - len(more) - 3, 0)]}...{more}"
