"""Figures of results in a notebook: rows of dots with their intervals, in the look of the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from owlish.graph.errors import import_extra
from owlish.graph.tabled import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, RULE = "#1d1c1a", "#6b6862", "#dedad2"
Look = Literal["plain", "first", "open", "claimed"]
HUES: Mapping[Look, str] = {"plain": MUTED, "first": "#1f5fa8", "open": INK, "claimed": "#b5562a"}
"""The colour of each look of a row; blue and rust differ for colour-blind readers."""
MARKS = "osD^X"
WIDTH, ROW, LOW, ROOM = 6.4, 0.46, 0.27, 0.8
"""Inches: the width of a figure, the height of a row, of one without dots, and the room for the axis."""
DOT = 4.6
"""Points from one dot to the next."""
STEP, TOP = 0.13, 0.52
"""From one dot to one above it, and from the lowest to the highest of a row, in rows."""
SIZE = 9.0
"""Points of the font."""
NAME = 24
"""The most letters of a name."""


@dataclass(frozen=True)
class Strip:
    """One row: a mean with its interval, and what it is a mean of, in groups with a mark each (bases)."""

    name: str
    mean: float
    low: float | None
    high: float | None
    dots: Mapping[str, Sequence[float]] = field(default_factory=dict)
    look: Look = "plain"


def draw(
    strips: Sequence[Strip],
    *,
    x: str,
    span: tuple[float, float] | None = None,
    dashed: float | None = None,
    bar: tuple[float, str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw rows from the top on `ax`, or on a new figure, and return it; `x` names the axis, which shows `span`.

    A `dashed` line stands where the rows start from, and a `bar` with its words where they have to reach. Raise
    `UserError` where matplotlib is not installed.
    """
    ax = new_axes(len(strips) * (ROW if any(strip.dots for strip in strips) else LOW)) if ax is None else ax
    set_axes(ax, strips, x, span)
    if dashed is not None:
        ax.axvline(dashed, color=MUTED, lw=0.9, ls=(0, (3, 3)), zorder=1)
    if bar is not None:
        ax.axvline(bar[0], color=INK, lw=1.1, zorder=1)
        high = ax.get_xaxis_transform()
        ax.annotate(bar[1], (bar[0], 1), (0, 3), high, "offset points", color=MUTED, fontsize=SIZE, ha="center")
    groups = dict.fromkeys(group for strip in strips for group in strip.dots)
    marks = {group: MARKS[i % len(MARKS)] for i, group in enumerate(groups)}
    for place, strip in enumerate(strips):
        draw_strip(ax, strip, -place, marks)
    if len(marks) > 1:
        # `parse_math=False` here and below: matplotlib would set a user's name that
        # holds two dollar signs as a formula.
        handles = [ax.scatter([], [], marker=mark, s=22, color=MUTED) for mark in marks.values()]
        key = ax.legend(handles, map(plain, marks), loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
        for text in key.get_texts():
            text.set(fontsize=SIZE, color=MUTED, parse_math=False)
    return ax


def new_axes(height: float) -> Axes:
    """Return the axes of a new figure that has room for rows of this height in inches."""
    import_extra("matplotlib", "figures need matplotlib: pip install 'owlish[plot]'.")
    from matplotlib import pyplot

    ax: Axes = pyplot.figure(figsize=(WIDTH, height + ROOM), layout="constrained").add_subplot()
    return ax


def set_axes(ax: Axes, strips: Sequence[Strip], x: str, span: tuple[float, float] | None) -> None:
    """Give the axes their names, their grid and nothing more."""
    ax.set_yticks([-place for place in range(len(strips))], [plain(strip.name) for strip in strips])
    ax.set_ylim(-len(strips) + 0.45, 0.72)
    if span:
        room = 0.03 * (span[1] - span[0])
        ax.set_xlim(span[0] - room, span[1] + room)
    ax.set_xlabel(x, color=MUTED, fontsize=SIZE, parse_math=False)
    ax.tick_params(length=0, labelsize=SIZE, labelcolor=MUTED)
    for text, strip in zip(ax.get_yticklabels(), strips, strict=True):
        strong = strip.look in ("first", "claimed")
        text.set(color=INK, fontsize=SIZE + 1, parse_math=False, weight="bold" if strong else "normal")
    ax.spines[:].set_visible(False)
    ax.grid(axis="x", color=RULE, lw=0.7)
    ax.set_axisbelow(True)


def draw_strip(ax: Axes, strip: Strip, y: float, marks: Mapping[str, str]) -> None:
    """Draw one row: its dots upwards from its line, its interval and mean below, and its mean in numbers."""
    hue, line = HUES[strip.look], y - 0.14 if strip.dots else y
    face, edge = ("white", hue) if strip.look == "open" else (hue, "white")
    if strip.low is not None and strip.high is not None:
        ax.plot([strip.low, strip.high], [line] * 2, color=hue, lw=2.4, solid_capstyle="butt", zorder=2)
    if strip.dots:
        ax.plot([strip.mean] * 2, [line - 0.12, line + 0.12], color=hue, lw=1.6, zorder=2)
    else:
        ax.scatter([strip.mean], [line], s=28, color=hue, zorder=3)
    found = [(value, group) for group, values in strip.dots.items() for value in values]
    low, high = ax.get_xlim()
    near = DOT / 72 * (high - low) / (0.75 * ax.bbox.width / ax.figure.dpi)
    places = levels([value for value, _ in found], near)
    step = min(STEP, TOP / max([1, *places]))
    for (value, group), level in zip(found, places, strict=True):
        at = y + 0.1 + step * level
        ax.scatter([value], [at], marker=marks[group], s=18, facecolor=face, edgecolor=edge, lw=0.6, zorder=3)
    right = ax.get_yaxis_transform()
    mean = f"{strip.mean:.2f}".replace("-", "−")
    ax.text(1.1, y, mean, color=INK, fontsize=SIZE, ha="right", va="center", transform=right)


def levels(places: Sequence[float], near: float) -> list[int]:
    """Return how high each dot stands, each at the lowest level where none is `near`: one sees how many there are."""
    found: list[int] = []
    for place in places:
        taken = {level for other, level in zip(places, found, strict=False) if abs(place - other) < near}
        found.append(next(level for level in range(len(places)) if level not in taken))
    return found


def plain(text: str) -> str:
    """Return a name on one line, cut where it is too long for its place."""
    return cut(" ".join(text.split()), NAME)
