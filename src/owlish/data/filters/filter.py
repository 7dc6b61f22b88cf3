"""What every filter does: say why a row is rejected; and a dataset filtered from file to file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from owlish.data.rows import BadLine, Row, lines
from owlish.graph.files import replacing
from owlish.graph.spec import Value


@dataclass(frozen=True)
class Filter(Value, kind="filter"):
    """A pure rule about one row; it calls no model."""

    def reasons(self, row: Row) -> tuple[str, ...]:
        """Return why `row` is rejected, each reason once; an empty tuple keeps it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tally:
    """What a filter did: rows read and kept, rows with each reason, and the lines that hold no row."""

    read: int
    kept: int
    reasons: dict[str, int]
    bad: tuple[BadLine, ...] = ()


def filter_file(data: str | Path, *, filter: Filter, out: str | Path) -> Tally:
    """Write the lines of `data` that `filter` keeps to `out`, unchanged and in order, and count the others.

    `data` is streamed, and `out` appears whole or not at all. `ValueError` is raised if `data` cannot be read or
    holds no row.
    """
    if Path(out).exists() and Path(data).exists() and Path(out).samefile(data):
        raise ValueError(f"{out} is the dataset itself: give another file to write to.")
    kept = read = 0
    reasons: Counter[str] = Counter()
    bad: list[BadLine] = []
    entries = lines(data)
    with replacing(out) as stream:
        for line, entry in entries:
            if isinstance(entry, BadLine):
                bad.append(entry)
                continue
            read += 1
            found = {reason for part in entry.exchanges() for reason in filter.reasons(part)}
            reasons.update(found)
            if not found:
                kept += 1
                stream.write(line)
    return Tally(read, kept, dict(sorted(reasons.items())), tuple(bad))
