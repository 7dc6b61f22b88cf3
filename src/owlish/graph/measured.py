"""What is measured while a result is made, such as the loss of each step: it is told at once, and not kept here."""

from __future__ import annotations

Point = tuple[str, int, float]
"""What was measured, after how many steps, and its value."""

untold: list[Point] = []
"""What was measured of the result that this process is making, and was not told yet."""


def measure(name: str, step: int, value: float) -> None:
    """Note a value that was measured after some steps, for whoever draws curves of the run."""
    untold.append((name, step, value))


def take_points() -> tuple[Point, ...]:
    """Return what was measured since the last call."""
    points = tuple(untold)
    untold.clear()
    return points
