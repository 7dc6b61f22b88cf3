"""The page: a pure function from sections to one self-contained HTML text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from owlish.audit.statistics import hides
from owlish.report import figures, words
from owlish.report.section import Section
from owlish.study.comparison import Matrix

if TYPE_CHECKING:
    from jinja2 import Environment


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
    pure = (words.number, words.percent, words.count, words.duration, words.p_value, figures.short)
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
        if hides(char):
            pieces.append(sign.format(f"U+{ord(char):04X}"))
        elif char in "\n\t":
            pieces.append(sign.format("↵" if char == "\n" else "⇥") + char)
        else:
            pieces.append(Markup.escape(char))
    return Markup("").join(pieces)


def view(section: Section, anchor: str) -> dict[str, object]:
    """Return everything that the template shows of one study."""
    return {
        "section": section,
        "anchor": anchor,
        "claim": words.claim(section),
        "standing": words.standing(section),
        "context": words.context(section),
        "panels": figures.panels(section),
        "marks": figures.marks(section),
        "heat_maps": [heat for heat in map(heat_map, section.matrices) if heat],
        "plots": [plot for plot in map(figures.plot, section.curves) if plot],
        "asked": any(run.held_out is not None or run.argmax_rate is not None for a in section.arms for run in a.runs),
        "limits": words.limits(section),
    }


def heat_map(matrix: Matrix) -> tuple[Matrix, list[tuple[str, list[tuple[str, float | None, float]]]]] | None:
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
