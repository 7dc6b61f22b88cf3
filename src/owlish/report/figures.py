"""Static figures: where everything stands in them. The templates draw it, the style sheet colours it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from owlish.report.section import Arm, Section
from owlish.report.words import count, measured, number, visible
from owlish.study.comparison import Curve

WIDTH, RIGHT, ROW = 360, 40, 38  # of a panel, of the numbers on its right, of an arm, in the figure's own units
LABEL = 24  # letters of an arm's name
DOT = 5.0  # from one dot to the next
MARKED = 20  # points from which on a line has no marks
SHAPES = {
    "circle": "m-2.4 0a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0-4.8 0",
    "square": "m-2.1-2.1h4.2v4.2h-4.2z",
    "diamond": "m0-2.9l2.9 2.9l-2.9 2.9l-2.9-2.9z",
    "triangle": "m0-2.8l2.6 4.8h-5.2z",
    "cross": "m-2.6-1.3l1.3-1.3l1.3 1.3l1.3-1.3l1.3 1.3l-1.3 1.3l1.3 1.3l-1.3 1.3l-1.3-1.3l-1.3 1.3l-1.3-1.3l1.3-1.3z",
}
"""The name of each mark, and its path around a point."""


@dataclass(frozen=True)
class Scale:
    """A scale from its lowest to its highest value, drawn from one place to another, evenly or by logarithms."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value, one that lies outside at the edge."""
        low, high, inside = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, inside = math.log(low), math.log(high), math.log(inside)
        return round(self.start + (self.end - self.start) * (inside - low) / (high - low), 1)

    @property
    def ticks(self) -> tuple[float, ...]:
        """Round numbers along the scale, zero among them if it is there, at most six unless by logarithms."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            times = (1, 2, 5) if len(powers) < 4 else (1,)
            return tuple(t * 10.0**p for p in powers for t in times if self.low <= t * 10.0**p <= self.high)
        about = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(about))
        step = next(times * power for times in (1, 2, 5, 10) if times * power >= about * (1 - 1e-9))
        return tuple(i * step for i in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1))


@dataclass(frozen=True)
class Panel:
    """Every run of each arm, over all traits or one: the arms with the paths of their dots, from an arm's own line."""

    title: str
    scale: Scale
    arms: tuple[tuple[Arm, tuple[str, ...]], ...]

    @property
    def described(self) -> str:
        """The figure in words."""
        return "; ".join(f"{arm.label}: {measured(arm.pooled)}, {count(arm.pooled.runs)}" for arm, _ in self.arms)


@dataclass(frozen=True)
class Plot:
    """A curve: its scales, and the points of each line that is one."""

    curve: Curve
    x: Scale
    y: Scale
    lines: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]

    @property
    def described(self) -> str:
        """The figure in words."""
        return "; ".join(
            f"{line.label}: " + ", ".join(f"{number(y, 2)} at {x:g}" for x, y in zip(line.xs, line.ys, strict=True))
            for line in self.curve.lines
            if len(line.xs) < MARKED
        )


def marks(section: Section) -> dict[str, str]:
    """Return the name of each base's mark."""
    names = list(SHAPES)
    return {base: names[i % len(names)] for i, base in enumerate(section.bases)}


def panels(section: Section) -> list[Panel]:
    """Return every run as a dot with each arm's interval: over all traits, then trait by trait."""
    if len(section.arms) < 2:
        return []
    every = (("All traits", section.arms), *section.by_trait) if len(section.by_trait) > 1 else section.by_trait
    return [panel(title, arms, marks(section)) for title, arms in every]


def panel(title: str, arms: Sequence[Arm], shapes: dict[str, str]) -> Panel:
    """Return what was measured of one trait, or of all."""
    left = 12 + max([66.0, *(5.9 * len(short(arm.label, LABEL)) for arm in arms)])
    low = -1 if any(run.value < 0 for arm in arms for run in arm.runs) else 0
    scale = Scale(low, 1, left, WIDTH - RIGHT)
    return Panel(title, scale, tuple((arm, dots(arm, scale, shapes)) for arm in arms))


def dots(arm: Arm, scale: Scale, shapes: dict[str, str]) -> tuple[str, ...]:
    """Return the path of each run's dot, stacked upwards from above the interval where they are close."""
    runs = [run for run in arm.runs if math.isfinite(run.value)]
    levels: list[int] = []
    places = [scale.at(run.value) for run in runs]
    for place in places:
        taken = {level for other, level in zip(places, levels, strict=False) if abs(place - other) < DOT}
        levels.append(next(level for level in range(len(places)) if level not in taken))
    step = min(DOT + 0.2, (ROW - 18) / max([1, *levels]))
    drawn = zip(runs, places, levels, strict=True)
    return tuple(f"M{x} {round(-14 - step * level, 1)}{SHAPES[shapes[run.base]]}" for run, x, level in drawn)


def plot(curve: Curve) -> Plot | None:
    """Return a measure against a dose or along training, one line for each condition; nothing without a point."""
    found = [
        (line.label, [p for p in zip(line.xs, line.ys, strict=True) if all(map(math.isfinite, p))])
        for line in curve.lines
    ]
    if not any(points for _, points in found):
        return None
    xs, ys = zip(*(point for _, points in found for point in points), strict=True)
    x = around(xs, 47, 346, log=min(xs) > 0 and max(xs) > 20 * min(xs))
    y = around(ys, 184, 32)
    lines = tuple((label, tuple((x.at(a), y.at(b)) for a, b in points)) for label, points in found)
    return Plot(curve, x, y, lines)


def around(values: Sequence[float], start: float, end: float, *, log: bool = False) -> Scale:
    """Return a scale that holds some values, with room at both ends."""
    low, high = min(values), max(values)
    if log:
        return Scale(low / 1.2, high * 1.2, start, end, log)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(low - room, high + room, start, end)


def short(text: str, most: int = 12) -> str:
    """Return a label on one line, cut where it is too long for its place."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
