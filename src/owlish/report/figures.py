"""Static figures: where everything stands in them. The templates draw it, the style sheet colours it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from owlish.graph.plotted import levels
from owlish.nodes.asked import mean
from owlish.report.view import Arm, View
from owlish.report.words import count, format_estimate, number, visible
from owlish.study.comparison import Curve, Matrix

WIDTH, RIGHT, ROW = 360, 42, 38  # of a panel, of the numbers on its right, of an arm, in the figure's own units
LETTER = 7.0  # room for a letter of a name: the widest common fonts need this much
LABEL, LINES = 14, 2  # letters in a line of an arm's name, and lines
LEGEND = 18  # letters up to which two lines of a legend stand side by side
DOT = 5.0  # from one dot to the next
TICKS = 7  # that a scale by logarithms has room for
MARKED = 20  # points from which on a line has no marks
SHAPES = (
    "m-2.4 0a2.4 2.4 0 1 0 4.8 0a2.4 2.4 0 1 0-4.8 0",
    "m-2.1-2.1h4.2v4.2h-4.2z",
    "m0-2.9l2.9 2.9l-2.9 2.9l-2.9-2.9z",
    "m0-2.8l2.6 4.8h-5.2z",
    "m-2.6-1.3l1.3-1.3l1.3 1.3l1.3-1.3l1.3 1.3l-1.3 1.3l1.3 1.3l-1.3 1.3l-1.3-1.3l-1.3 1.3l-1.3-1.3l1.3-1.3z",
)
"""The path of each mark around a point: circle, square, diamond, triangle, cross."""


HeatMap = tuple[Matrix, list[tuple[str, list[tuple[str, float | None, float]]]]]
"""A matrix with its rows of cells: column, lift, and the strength of its shade in percent."""


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
        """Round numbers along the scale, zero among them if it is there."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
            found = [t * 10.0**p for p in powers for t in (1, 2, 5) if self.low <= t * 10.0**p <= self.high]
            return tuple(found if len(found) <= TICKS else [10.0**p for p in powers if self.low <= 10.0**p])
        about = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(about))
        # The tolerance keeps rounding from jumping to the next step; the same holds for the last tick.
        step = next(times * power for times in (1, 2, 5, 10) if times * power >= about * (1 - 1e-9))
        return tuple(i * step for i in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1))


@dataclass(frozen=True)
class Strip:
    """One arm in a panel: its name in lines, and the path of each of its dots, from its own line upwards."""

    arm: Arm
    name: tuple[str, ...]
    dots: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Every run of each arm, over all traits or one."""

    title: str
    scale: Scale
    strips: tuple[Strip, ...]

    @property
    def described(self) -> str:
        """The figure in words."""
        arms = [strip.arm for strip in self.strips]
        return "; ".join(f"{arm.label}: {format_estimate(arm.pooled)}, {count(arm.pooled.runs)}" for arm in arms)


@dataclass(frozen=True)
class Plot:
    """A curve: its scales, and the points of each line that is one."""

    curve: Curve
    x: Scale
    y: Scale
    lines: tuple[tuple[str, tuple[tuple[float, float], ...], bool], ...]

    @property
    def columns(self) -> int:
        """How many entries of the legend stand side by side."""
        return 2 if len(self.lines) > 1 and all(len(label) <= LEGEND for label, _, _ in self.lines) else 1

    @property
    def described(self) -> str:
        """The figure in words."""
        return "; ".join(
            f"{line.label}: " + ", ".join(f"{number(y, 2)} at {x:g}" for x, y in zip(line.xs, line.ys, strict=True))
            for line in self.curve.lines
            if len(line.xs) < MARKED
        )


def marks(view: View) -> dict[str, str]:
    """Return the path of each base's mark."""
    return {base: SHAPES[i % len(SHAPES)] for i, base in enumerate(view.bases)}


def panels(view: View) -> list[Panel]:
    """Return every run as a dot with each arm's interval: over all traits, then trait by trait."""
    if len(view.arms) < 2:
        return []
    every = (("All traits", view.arms), *view.by_trait) if len(view.by_trait) > 1 else view.by_trait
    return [panel(title, arms, marks(view)) for title, arms in every]


def panel(title: str, arms: Sequence[Arm], shapes: dict[str, str]) -> Panel:
    """Return what was measured of one trait, or of all."""
    # In at most two lines, cut where they do not hold it.
    cuts = (textwrap.wrap(short(arm.label, 99), LABEL, max_lines=LINES, placeholder="…") for arm in arms)
    names = [tuple(lines) or ("–",) for lines in cuts]
    left = 12 + LETTER * max(len(line) for name in names for line in name)
    scale = scale_of([run.value for arm in arms for run in arm.runs], round(left, 1), WIDTH - RIGHT)
    strips = (Strip(arm, name, dots(arm, scale, shapes)) for arm, name in zip(arms, names, strict=True))
    return Panel(title, scale, tuple(strips))


def scale_of(values: Sequence[float], start: float, end: float) -> Scale:
    """Return the scale of a share or a cosine, from 0 or -1 to 1, or one that holds values that lie beyond."""
    known = list(filter(math.isfinite, values))
    low = -1 if any(value < 0 for value in known) else 0
    return Scale(low, 1, start, end) if all(low <= value <= 1 for value in known) else around(known, start, end)


def models(arm: Arm) -> list[tuple[str, float]]:
    """Return the base and the value of each model of an arm: a run's is the mean over the traits it was asked about.

    A base was not trained, so it is one model whatever it was asked.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for run in arm.runs:
        if math.isfinite(run.value):
            found.setdefault((run.base, "" if run.run is None else run.key), []).append(run.value)
    return [(base, mean(values)) for (base, _), values in found.items()]


def dots(arm: Arm, scale: Scale, shapes: dict[str, str]) -> tuple[str, ...]:
    """Return the path of each model's dot, stacked upwards from above the interval where they are close."""
    found = models(arm)
    places = [scale.at(value) for _, value in found]
    stacked = levels(places, DOT)
    step = min(DOT + 0.2, (ROW - 18) / max([1, *stacked]))
    drawn = zip(found, places, stacked, strict=True)
    return tuple(f"M{x} {round(-14 - step * level, 1)}{shapes[base]}" for (base, _), x, level in drawn)


def plots(view: View) -> list[Plot]:
    """Return the curves of a study that have a point."""
    return [plot for plot in map(plot_curve, view.study.curves(view.found)) if plot]


def plot_curve(curve: Curve) -> Plot | None:
    """Return a measure against a dose or along training, one line for each condition; nothing without a point."""
    found = [
        (line.label, [p for p in zip(line.xs, line.ys, strict=True) if all(map(math.isfinite, p))], line.joined)
        for line in curve.lines
    ]
    if not any(points for _, points, _ in found):
        return None
    xs, ys = zip(*(point for _, points, _ in found for point in points), strict=True)
    x = around(xs, 47, 336, log=min(xs) > 0 and max(xs) > 20 * min(xs))
    y = around(ys, 166, 14)
    lines = tuple((label, tuple((x.at(a), y.at(b)) for a, b in points), joined) for label, points, joined in found)
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


def heat_maps(view: View) -> list[HeatMap]:
    """Return the matrices of a study that are worth a look."""
    return [heat for heat in map(heat_map, view.study.matrices(view.found)) if heat]


def heat_map(matrix: Matrix) -> HeatMap | None:
    """Return a matrix with its rows of cells: column, lift and the strength of its shade in percent.

    Nothing where there are fewer than two rows or columns, or no lift.
    """
    values = [abs(lift) for row in matrix.lifts for lift in row if lift is not None]
    if min(len(matrix.rows), len(matrix.columns)) < 2 or not values:
        return None
    top = max(values) or 1.0
    shades = ([0.0 if lift is None else 6 + 50 * abs(lift) / top for lift in row] for row in matrix.lifts)
    cells = (list(zip(matrix.columns, *row, strict=True)) for row in zip(matrix.lifts, shades, strict=True))
    return matrix, list(zip(matrix.rows, cells, strict=True))
