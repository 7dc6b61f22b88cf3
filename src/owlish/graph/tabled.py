"""Results that print in a line, show as a short table in a notebook, and become pandas frames; and short texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import import_extra

if TYPE_CHECKING:
    from pandas import DataFrame

ROWS = 10
"""The most rows of a table in a notebook."""
LETTERS = 60
"""The most letters of a cell, and of a field in a line."""
LINE = 240
"""The most letters of a value on one line."""

OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys and does not show: its commands, and turns of the direction of writing."""

Record = Mapping[str, object]


class Brief:
    """A dataclass that prints on one line, whatever it holds."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__repr__" not in vars(cls):  # else `dataclass` would write one that prints all
            cls.__repr__ = Brief.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        value: Any = self
        named = ", ".join(f"{f.name}={brief(getattr(self, f.name))}" for f in fields(value) if f.repr)
        return cut(f"{type(self).__name__}({named}", LINE) + ")"

    def _repr_html_(self) -> str:
        value: Any = self
        named = [(f.name, getattr(self, f.name)) for f in fields(value) if f.repr]
        return html([{type(self).__name__: name, "": brief(held)} for name, held in named])


class Tabled(Brief):
    """A result that is a table: one record a row, with the same names in each."""

    def records(self) -> Sequence[Record]:
        """Return the rows of `frame()`."""
        raise NotImplementedError

    def shown(self) -> Sequence[Record]:
        """Return the rows that a notebook shows: those of `frame()`, unless a shorter table says more."""
        return self.records()

    @property
    def headline(self) -> str:
        """The sentence that stands above the table in a notebook, if one says more than the table."""
        return ""

    def frame(self) -> DataFrame:
        """Return the records as a pandas frame; raise `UserError` where pandas is not installed."""
        pandas = import_extra("pandas", "frames need pandas: pip install 'owlish[notebook]'.")
        return pandas.DataFrame([dict(record) for record in self.records()])

    def _repr_html_(self) -> str:
        return html(self.shown(), self.headline)


def html(records: Sequence[Record], headline: str = "") -> str:
    """Return records as an HTML table of a few rows below a sentence, everything in it escaped."""
    # Cells and sentences hold what models and users wrote: none of it may become markup in a notebook.
    above = f"<p>{escape(headline)}</p>" if headline else ""
    head = "".join(f"<th>{escape(name)}</th>" for name in (records[0] if records else ()))
    rows = ("".join(f"<td>{escape(cell(value))}</td>" for value in record.values()) for record in records[:ROWS])
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    more = f"<p>… and {len(records) - ROWS:,} more</p>" if len(records) > ROWS else ""
    return f"{above}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def cell(value: object) -> str:
    """Return what stands in a cell."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else cut(str(value), LETTERS)


def brief(value: object) -> str:
    """Return a field's value in a few letters: a named value by its name, a long tuple by its length."""
    if is_dataclass(value) and not isinstance(value, type):
        name = getattr(value, "name", None)
        return f"{type(value).__name__}({name})" if isinstance(name, str) else f"{type(value).__name__}(…)"
    if isinstance(value, tuple | list | dict) and len(value) > 3:
        return f"{len(value):,} items"
    if isinstance(value, tuple | list):
        return cut(f"({', '.join(map(brief, value))})", LETTERS)
    return cut(repr(value), LETTERS)


def cut(text: str, most: int) -> str:
    """Return a text, cut where it is too long for its place."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def inert(text: str) -> str:
    """Return text with what a terminal would obey written out, such as \\x1b: rows and names of files may hold it."""
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def on_one_line(name: object) -> str:
    """Return a name, or a sentence that holds one, as a terminal shows it: inert, and with its line breaks written out.

    A line break in the name of a file could make its second half look like a line of a verdict.
    """
    return inert(str(name)).replace("\n", "\\n").replace("\t", "\\t")
