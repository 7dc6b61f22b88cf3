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
    value, unit = (seconds / 3600, "hours") if seconds > 5400 else (seconds / 60, "minutes")
    return f"{value:.1f} {unit}" if value < 9.95 else f"{float(f'{value:.2g}'):,.0f} {unit}"


def gib(size: float) -> str:
    """Return a number of bytes in GiB."""
    return "under 0.1 GiB" if size < 2**30 / 10 else f"{size / 2**30:,.1f} GiB"


def join(items: Iterable[str], last: str = "and") -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *most, end = items
    return f"{', '.join(most)} {last} {end}" if most else end
