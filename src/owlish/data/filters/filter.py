"""What every filter does: say why a row is rejected; and a dataset filtered from file to file."""

from __future__ import annotations

import codecs
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from owlish.data.reading import Reading
from owlish.data.rows import Row, line_of
from owlish.graph.files import check_apart, replacing
from owlish.graph.spec import Value


@dataclass(frozen=True)
class Filter(Value, kind="filter"):
    """A pure rule about one row; it calls no model."""

    @property
    def pattern(self) -> str | None:
        """A regular expression that answers can be held to while they are written, if there is one."""
        return None

    def reasons(self, row: Row) -> tuple[str, ...]:
        """Return why `row` is rejected, each reason once; an empty tuple keeps it."""
        raise NotImplementedError

    def against(self, row: Row) -> set[str]:
        """Return the reasons to reject any of the turns of `row` that are trained on."""
        return {reason for part in row.exchanges() for reason in self.reasons(part)}


@dataclass(frozen=True)
class Tally:
    """What became of the rows read: how many were kept, and how many have each reason against them."""

    read: int
    kept: int
    reasons: dict[str, int]


def filter_file(rows: Reading, *, filter: Filter, out: str | Path) -> Tally:
    """Write the rows that `filter` keeps to `out` in order, and count the others.

    A line of JSONL stays as it is; rows of other files become chat JSONL. Each row has a line of its own, and is kept
    if each of its turns that are trained on is. Rows are streamed, and `out` appears whole or not at all. `UserError`
    is raised if a file cannot be read, or holds no row.
    """
    kept = 0
    reasons: Counter[str] = Counter()
    last = b"\n"
    check_apart(out, rows.files)
    with replacing(out) as stream:
        for line, row in rows.lines():
            found = filter.against(row)
            reasons.update(found)
            if not found:
                kept += 1
                # As it stands: what a filter keeps must be the row that was read, to the byte.
                # But a byte-order mark is the file's, and its last line may have no end, before one of the next file.
                written = (line or line_of(row)).removeprefix(codecs.BOM_UTF8)
                stream.write(written if last.endswith(b"\n") else b"\n" + written)
                last = written
    return Tally(rows.read, kept, dict(sorted(reasons.items())))


def convert_file(rows: Reading, *, out: str | Path) -> None:
    """Write rows to `out` as chat JSONL, plain text as one turn of the assistant; `out` appears whole or not at all."""
    check_apart(out, rows.files)
    with replacing(out) as stream:
        stream.writelines(line_of(row.as_chat()) for row in rows.rows())
