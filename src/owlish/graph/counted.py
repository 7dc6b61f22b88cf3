"""Numbers with their nouns, and lists of names, as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Iterable


def counted(many: int, noun: str, *, gap: str = " ") -> str:
    """Return a number and its noun: 1 row, 1,600 rows."""
    return f"{many:,}{gap}{noun}{'' if many == 1 else 's'}"


def join(items: Iterable[str], last: str = "and") -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *most, end = items
    return f"{', '.join(most)} {last} {end}" if most else end
