"""The page: a pure function from views of studies to one self-contained HTML text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from owlish.audit.statistics import hides
from owlish.graph.errors import UserError
from owlish.graph.provenance import brief
from owlish.report import figures, words
from owlish.report.view import View

if TYPE_CHECKING:
    from jinja2 import Environment


def render(views: Sequence[View]) -> str:
    """Return one page for one or more studies: the same views give the same text.

    The page runs no script and loads nothing. Raise `UserError` where there is no view.
    """
    if not views:
        raise UserError("There is nothing to report: give at least one study with results.")
    return environment().get_template("page.html").render(views=views)


@cache
def environment() -> Environment:
    """Return the one template environment: everything is escaped, nothing may be missing."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("owlish.report"),
        autoescape=True,  # rows and names are somebody else's text
        undefined=jinja2.StrictUndefined,  # a field that a template misspells must not be an empty place
        # Before escaping, for every value: a character that reorders text could make a page say something else.
        finalize=plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pure = (words.number, words.percent, words.count, words.duration, words.p_value, figures.short, brief)
    made.filters.update({function.__name__: function for function in pure}, mark_signs=mark_signs)
    made.globals.update(words=words, figures=figures)
    return made


def plain(value: object) -> object:
    """Return what is written into the page: text with hidden characters made visible."""
    return words.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def mark_signs(text: str) -> Markup:
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
