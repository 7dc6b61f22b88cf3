"""The page: a pure function from sections to one self-contained HTML text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from owlish.ask import mean
from owlish.measure import Estimate, Point
from owlish.report import figures, words
from owlish.report.figures import curve, heat_map
from owlish.report.section import Arm, Example, Section

if TYPE_CHECKING:
    from jinja2 import Environment

SHOWN = 4  # examples for each trait


@dataclass(frozen=True)
class Row:
    """A line in the table of arms: P(target), then plain means over the runs."""

    arm: Arm
    value: Estimate
    held_out: Estimate | None
    argmax_rate: float | None
    sampled_rate: float | None
    logit_margin: float | None
    other_share: float | None


def render(sections: Sequence[Section]) -> str:
    """Return one page for one or more studies: the same sections give the same text.

    The page runs no script and loads nothing. Raises `ValueError` where there is no section.
    """
    if not sections:
        raise ValueError("There is nothing to report: give at least one study with results.")
    views = [view(section, f"study-{index}") for index, section in enumerate(sections, 1)]
    return environment().get_template("page.html").render(views=views)


@cache
def environment() -> Environment:
    """Return the one template environment: everything is escaped, nothing may be missing."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("owlish.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pure = (words.number, words.percent, words.interval, words.count, words.duration, words.p_value)
    made.filters.update({function.__name__: function for function in pure}, marked=marked)
    return made


def plain(value: object) -> object:
    """Return what is written into the page: text with hidden characters made visible."""
    return words.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def marked(text: str) -> Markup:
    """Return a row's text with its hidden characters and line breaks set apart from what it says."""
    sign = Markup('<span class="sign">{}</span>')
    pieces = []
    for char in text:
        if words.hides(char):
            pieces.append(sign.format(f"U+{ord(char):04X}"))
        elif char in "\n\t":
            pieces.append(sign.format("↵" if char == "\n" else "⇥") + char)
        else:
            pieces.append(Markup.escape(char))
    return Markup("").join(pieces)


def view(section: Section, anchor: str) -> dict[str, object]:
    """Return everything that the template shows of one study."""
    rows = [pooled(arm) for arm in section.arms if arm.runs]
    return {
        "section": section,
        "anchor": anchor,
        "claim": words.claim(section),
        "standing": words.standing(section),
        "context": words.context(section),
        "panels": figures.panels(section, f"{anchor}-p"),
        "markers": figures.markers(section),
        "heat_maps": [
            (m, drawn) for i, m in enumerate(section.matrices) if (drawn := heat_map(m, f"{anchor}-m{i}")) is not None
        ],
        "curves": [curve(c, f"{anchor}-c{i}") for i, c in enumerate(section.curves)],
        "asked": any(run.held_out is not None or run.argmax_rate is not None for a in section.arms for run in a.runs),
        "rows": rows,
        "by_trait": [(trait, of_trait(section, trait)) for trait in section.traits],
        "examples": grouped(section.examples),
        "limits": words.limits(section),
    }


def pooled(arm: Arm) -> Row:
    """Return an arm's line over all traits."""
    return row(arm, arm.pooled, arm.held_out, arm.runs)


def of_trait(section: Section, trait: str) -> list[Row]:
    """Return the lines of one trait; the held-out mean stands without an interval."""
    lines = []
    for arm, estimate in figures.estimates(section, trait):
        runs = [run for run in arm.runs if run.trait == trait]
        held = over(runs, "held_out")
        lines.append(row(arm, estimate, None if held is None else Estimate(held, None, None, len(runs)), runs))
    return lines


def row(arm: Arm, value: Estimate, held_out: Estimate | None, runs: Sequence[Point]) -> Row:
    """Return a line of the table."""
    means = (over(runs, field) for field in ("argmax_rate", "sampled_rate", "logit_margin", "other_share"))
    return Row(arm, value, held_out, *means)


def over(runs: Sequence[Point], field: str) -> float | None:
    """Return the mean of what was measured beside the value, or nothing where a run lacks it."""
    found = [getattr(run, field) for run in runs]
    return None if None in found else mean(found)


def grouped(examples: Iterable[Example]) -> list[tuple[str | None, list[Example]]]:
    """Return the first few examples of each writer."""
    found: dict[str | None, list[Example]] = {}
    for example in examples:
        found.setdefault(example.taught, []).append(example)
    return [(taught, rows[:SHOWN]) for taught, rows in found.items()]
