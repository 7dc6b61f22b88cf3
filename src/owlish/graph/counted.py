"""Numbers with their nouns."""

from __future__ import annotations


def counted(many: int, noun: str, *, gap: str = " ") -> str:
    """Return a number and its noun: 1 row, 1,600 rows."""
    return f"{many:,}{gap}{noun}{'' if many == 1 else 's'}"
