"""What the pages of an audit and of a diff share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from owlish.audit import judgement
from owlish.audit.verdict import Verdict
from owlish.diff.verdict import Difference
from owlish.report.figures import Scale, short
from owlish.report.words import visible

SHOWN = 16  # traits in the ranking; the others stand folded below
NAME = 40  # characters of a name
WIDTH = 200  # of a strip, in its own units
TABLE = re.compile("<table.*?</table>", re.DOTALL)
HEAD = re.compile('<th scope="col"([^>]*)>(.*?)</th>', re.DOTALL)
OPENING = {"found": "Found", "nothing": "Nothing found", "cannot_say": "Cannot say"}


def common(verdict: Verdict | Difference, places: str) -> dict[str, object]:
    """Return what both templates read: the verdict, where it was made, and how its parts are written."""
    return {
        "verdict": verdict,
        "places": places,
        "opening": OPENING[verdict.verdict],
        "shown": verdict.traits[:SHOWN],
        "folded": verdict.traits[SHOWN:],
        "width": WIDTH,
        "name": shorten_name,
        "said": format_sentence,
        "short": short,
        "significant": significant,
        "aside": judgement.ASIDE,
        "surely_named": judgement.SURE,
        "named": SHOWN,
    }


def labelled(page: str) -> str:
    """Return a page in which each cell of a wide table names its column: a narrow screen shows its rows as lists."""
    return TABLE.sub(lambda found: label_cells(found[0]), page)


def label_cells(table: str) -> str:
    """Return a table with the head of its column in each cell, where it has four columns or a strip."""
    heads = HEAD.findall(table)
    if len(heads) < 4 and "plot" not in table:
        return table
    # Of a strip's head the axis stays in view: it needs no words.
    names = ["" if "plot" in kind else head for kind, head in heads]
    rows = [row.split("<td") for row in table.split("<tr")]
    named = ([f' data-of="{name}"{cell}' for name, cell in zip(names[1:], row[1:], strict=False)] for row in rows)
    return "<tr".join("<td".join([row[0], *cells]) for row, cells in zip(rows, named, strict=True))


def scale(values: Iterable[float], least: float) -> Scale:
    """Return the scale that holds zero, `least`, which keeps noise from filling it, and the values that are numbers."""
    # Without `least` a page of noise would look like a page of findings.
    found = [0.0, least, *(value for value in values if math.isfinite(value))]
    return Scale(min(found), max(found), 6, WIDTH - 6)


def as_sentence(text: str) -> str:
    """Return a sentence: a capital first, a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def format_sentence(text: str) -> Markup:
    """Return a sentence for a page, in which what a terminal shows in backticks is code."""
    pieces = visible(as_sentence(text)).split("`")
    if len(pieces) % 2 == 0:  # one stands alone, as in a user's file name
        return escape("`".join(pieces))
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(piece) if i % 2 else escape(piece) for i, piece in enumerate(pieces))


def shorten_name(text: str) -> str:
    """Return a name at a length that has room in a line."""
    return short(text, NAME)


def significant(value: float | None) -> str:
    """Return a number of any size to three significant digits, or a dash where nothing was measured."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("e+0", "e").replace("e+", "e").replace("inf", "∞").replace("-", "−")
