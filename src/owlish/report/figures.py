"""Static figures: matplotlib draws them, the page's style sheet colours them, light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from owlish.measure import Curve, Estimate, Matrix, Point
from owlish.report.section import Arm, Section
from owlish.report.svg import ACCENT, AGAINST, INK, MUTED, PAPER, RULE, blank, draw, settings
from owlish.report.words import count, number, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle": "^", "cross": "X"}
WIDTH, LEFT, RIGHT, TOP, BOTTOM, ROW = 360, 78, 40, 26, 36, 38  # pixels at the figure's own size
LABEL = 24  # letters of an arm's name
DOT = 4.6  # pixels across


def markers(section: Section) -> dict[str, str]:
    """Return the name of each base's marker."""
    names = list(MARKERS)
    return {base: names[i % len(names)] for i, base in enumerate(section.bases)}


def panels(section: Section, prefix: str) -> tuple[Markup, ...]:
    """Return every run as a dot with each arm's interval: over all traits, then trait by trait."""
    if sum(bool(arm.runs) for arm in section.arms) < 2:
        return ()
    traits = section.traits
    wanted: tuple[str | None, ...] = (None, *traits) if len(traits) > 1 else traits
    return tuple(panel(section, trait, f"{prefix}-{index}") for index, trait in enumerate(wanted))


@settings()
def panel(section: Section, trait: str | None, prefix: str) -> Markup:
    """Return what was measured of one trait, or of all (`None`), a row for each arm."""
    rows = list(estimates(section, trait))
    left = 12 + max([66, *(5.9 * len(short(arm.label, LABEL)) for arm, _ in rows)])
    title = "All traits" if trait is None else trait
    height = TOP + BOTTOM + ROW * len(rows)
    described = "; ".join(f"{arm.label}: {spoken(estimate)}" for arm, estimate in rows)
    figure = blank(WIDTH, height)
    axes = figure.add_axes((left / WIDTH, BOTTOM / height, 1 - (left + RIGHT) / WIDTH, ROW * len(rows) / height))
    negative = any(run.value < 0 for arm, _ in rows for run in arm.runs)
    axes.set_xlim(-1 if negative else 0, 1)
    axes.set_ylim(0, ROW * len(rows))  # so that one unit is one pixel
    for index, (arm, estimate) in enumerate(reversed(rows)):
        colour = {section.contrast[0]: ACCENT, "teacher": INK}.get(arm.name, MUTED)
        runs = [run for run in arm.runs if trait in (None, run.trait) and math.isfinite(run.value)]
        dots(axes, runs, markers(section), colour, hollow=arm.name == "teacher", floor=ROW * index + 14, room=ROW - 18)
        bar(axes, arm, estimate, colour, ROW * index, strong=arm.name == section.contrast[0])
    scale(axes, section.measure, [estimate.mean for arm, estimate in rows if arm.name == "base"])
    figure.text(2 / WIDTH, 1 - 15 / height, short(title, 40), color=INK, size=12, weight="bold")
    return draw(figure, f"{section.measure}, {title}", f"Mean over runs with its 95 % interval. {described}.", prefix)


def estimates(section: Section, trait: str | None) -> Iterator[tuple[Arm, Estimate]]:
    """Yield the arms that have runs with their P(target), over all traits or one."""
    for arm in section.arms:
        estimate = arm.pooled if trait is None else dict(arm.by_trait).get(trait)
        if arm.runs and estimate is not None:
            yield arm, estimate


def dots(
    axes: Axes,
    runs: Sequence[Point],
    shapes: dict[str, str],
    colour: str,
    *,
    hollow: bool,
    floor: float,
    room: float,
) -> None:
    """Draw every run of an arm, stacked upwards from `floor` within `room` pixels where they are close."""
    levels = stack([run.value for run in runs])
    step = min(DOT + 0.6, room / max(1, *levels)) if levels else DOT
    for base, shape in shapes.items():
        chosen = [
            (run.value, floor + step * level) for run, level in zip(runs, levels, strict=True) if run.base == base
        ]
        axes.scatter(
            [x for x, _ in chosen],
            [y for _, y in chosen],
            s=DOT**2,
            marker=MARKERS[shape],
            c=PAPER if hollow else colour,
            edgecolors=colour if hollow else PAPER,
            linewidths=0.8 if hollow else 0.4,
            clip_on=False,
            zorder=3,
        )


def stack(values: Sequence[float]) -> list[int]:
    """Return a level for each dot, 0 or above, so that no two overlap."""
    near = (DOT + 0.4) / (WIDTH - LEFT - RIGHT)
    levels: list[int] = []
    for value in values:
        taken = {level for other, level in zip(values, levels, strict=False) if abs(value - other) < near}
        levels.append(next(level for level in range(len(values)) if level not in taken))
    return levels


def bar(axes: Axes, arm: Arm, estimate: Estimate, colour: str, bottom: float, *, strong: bool) -> None:
    """Draw an arm's interval and mean below its dots, its name on the left, the mean as a number on the right."""
    below = bottom + 7
    if estimate.low is not None and estimate.high is not None:
        low, high = axes.get_xlim()  # a t interval may reach beyond what a probability can
        ends = [max(estimate.low, low), min(estimate.high, high)]
        axes.plot(ends, [below, below], color=colour, lw=2.2, clip_on=False, zorder=4)
    axes.plot([estimate.mean] * 2, [below - 4, below + 4], color=colour, lw=1.6, clip_on=False, zorder=4)
    weight = "bold" if strong else "normal"
    for text, end, away in ((short(arm.label, LABEL), axes.get_xlim()[0], -10), (number(estimate.mean, 2), 1, 36)):
        axes.annotate(text, (end, bottom + 13), xytext=(away, 0), textcoords="offset points", ha="right",
                      va="center", color=INK, size=11, weight=weight)  # fmt: skip


def scale(axes: Axes, measure: str, base: Sequence[float]) -> None:
    """Draw the scale from 0 to 1 and a line at the base's own rate."""
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set(color=RULE)
    axes.set_yticks([])
    ticks = (0, 0.25, 0.5, 0.75, 1) if axes.get_xlim()[0] == 0 else (-1, -0.5, 0, 0.5, 1)
    axes.set_xticks(ticks, labels=[f"{tick:g}".replace("-", "−") for tick in ticks])
    axes.tick_params(colors=MUTED, labelsize=10, length=0, pad=5)
    for tick in ticks:
        axes.axvline(tick, color=RULE, lw=0.7, zorder=0)
    for mean in base:
        axes.axvline(mean, color=MUTED, lw=0.9, ls=(0, (3, 3)), zorder=1)
    axes.set_xlabel(measure, color=MUTED, size=10, labelpad=3)


@settings()
def heat_map(matrix: Matrix, prefix: str) -> Markup | None:
    """Return the lifts as shaded cells with numbers, or nothing where there are fewer than two rows or columns."""
    values = [lift for row in matrix.lifts for lift in row if lift is not None]
    if min(len(matrix.rows), len(matrix.columns)) < 2 or not values:
        return None
    top = max(map(abs, values)) or 1.0
    cell, left, head = (44, 84, 74) if slanted(matrix.columns) else (52, 84, 44)
    width, height = left + cell * len(matrix.columns) + 4, head + 34 * len(matrix.rows) + 4
    figure = blank(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for i, (name, row) in enumerate(zip(matrix.rows, matrix.lifts, strict=True)):
        y = head + 34 * i
        axes.text(left - 8, y + 17, short(name), color=INK, size=11, ha="right", va="center_baseline")
        for j, (column, lift) in enumerate(zip(matrix.columns, row, strict=True)):
            shade(axes, (left + cell * j, y), cell, lift, top, name == column)
    column_names(axes, matrix.columns, cell, left, head)
    axes.text(2, 10, "teacher ↓ · student →", color=MUTED, size=9.5, va="center_baseline")
    described = "; ".join(
        f"{name}: " + ", ".join(f"{c} {number(v, 2, True)}" for c, v in zip(matrix.columns, row, strict=True))
        for name, row in zip(matrix.rows, matrix.lifts, strict=True)
    )
    return draw(figure, f"Mean lift over the base. {matrix.title}", described, prefix)


@settings()
def curve(curve: Curve, prefix: str) -> Markup:
    """Return a measure against a dose or along training, one line for each condition."""
    figure = blank(WIDTH, 230)
    axes = figure.add_axes((0.13, 0.2, 0.83, 0.64))
    for index, line in enumerate(curve.lines):
        colour, style = (ACCENT, INK, MUTED, AGAINST)[index % 4], ("-", "--", ":", "-.")[index // 4 % 4]
        (drawn,) = axes.plot(line.xs, line.ys, lw=1.8, color=colour, ls=style, label=short(line.label, LABEL))
        drawn.set(marker="o" if len(line.xs) < 20 else "", markersize=3.4)
    xs = [x for line in curve.lines for x in line.xs]
    if xs and min(xs) > 0 and max(xs) > 20 * min(xs):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda x, place: f"{x:g}")
        axes.xaxis.set_minor_formatter(lambda x, place: "")
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=RULE)
    axes.tick_params(which="both", colors=MUTED, labelsize=10, length=0, pad=5)
    axes.grid(color=RULE, lw=0.6)
    axes.set_xlabel(short(curve.x, LABEL), color=MUTED, size=10, labelpad=3)
    axes.set_ylabel(short(curve.y, LABEL), color=MUTED, size=10, labelpad=3)
    axes.legend(frameon=False, fontsize=9.5, labelcolor=INK, loc="best")
    figure.text(2 / WIDTH, 1 - 15 / 230, short(curve.title, 52), color=INK, size=12, weight="bold")
    described = "; ".join(
        f"{line.label}: " + ", ".join(f"{number(y, 2)} at {x:g}" for x, y in zip(line.xs, line.ys, strict=True))
        for line in curve.lines
        if len(line.xs) < 20
    )
    return draw(figure, curve.title, f"{curve.y} against {curve.x}. {described}", prefix)


def slanted(names: Sequence[str]) -> bool:
    """Say whether names of columns are too many or too long to stand beside one another."""
    return len(names) > 6 or max(map(len, names)) > 8


def column_names(axes: Axes, names: Sequence[str], cell: int, left: int, head: int) -> None:
    """Write the names of columns over them, slanted where they need room."""
    many = slanted(names)
    for j, name in enumerate(names):
        x = left + cell * (j + (0.35 if many else 0.5))
        axes.text(x, head - 8, short(name), color=INK, size=11, rotation=45 if many else 0,
                  rotation_mode="anchor", ha="left" if many else "center")  # fmt: skip


def shade(axes: Axes, corner: tuple[float, float], cell: int, lift: float | None, top: float, own: bool) -> None:
    """Draw one cell: the stronger the lift, the fuller its colour; the teacher's own trait is outlined."""
    from matplotlib.patches import Rectangle

    x, y = corner
    if lift is not None:
        strength = 0.06 + 0.5 * abs(lift) / top
        axes.add_patch(
            Rectangle((x + 1, y + 1), cell - 2, 32, fc=ACCENT if lift >= 0 else AGAINST, alpha=strength, lw=0)
        )
    if own:
        axes.add_patch(Rectangle((x + 1, y + 1), cell - 2, 32, fc="none", ec=INK, lw=1.1))
    weight = "bold" if own else "normal"
    text = number(lift, 2, True)
    axes.text(x + cell / 2, y + 17, text, color=INK, size=11, weight=weight, ha="center", va="center_baseline")


def spoken(estimate: Estimate) -> str:
    """Return an estimate in words, for those who do not see the figure."""
    ends = "no interval"
    if estimate.low is not None and estimate.high is not None:
        ends = f"interval {number(estimate.low, 2)} to {number(estimate.high, 2)}"
    return f"{number(estimate.mean, 2)}, {ends}, {count(estimate.runs)}"


def short(text: str, most: int = 12) -> str:
    """Return a label on one line, cut where it is too long for its place."""
    line = " ".join(visible(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
