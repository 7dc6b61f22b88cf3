"""Numbers with their nouns and units, and lists of names, as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Iterable


def counted(many: int, noun: str, *, gap: str = " ") -> str:
    """Return a number and its noun: 1 row, 1,600 rows."""
    return f"{many:,}{gap}{noun}{'' if many == 1 else 's'}"


def lasting(seconds: float) -> str:
    """Return a time in minutes or hours, of which two digits are meant."""
    if seconds < 6:
        return "under 0.1 minutes"
    return f"{seconds / 3600:,.1f} hours" if seconds > 5400 else f"{seconds / 60:.1f} minutes"


def gib(size: float) -> str:
    """Return a number of bytes in GiB."""
    return "under 0.1 GiB" if size < 2**30 / 10 else f"{size / 2**30:,.1f} GiB"


def join(items: Iterable[str], last: str = "and") -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *most, end = items
    return f"{', '.join(most)} {last} {end}" if most else end
