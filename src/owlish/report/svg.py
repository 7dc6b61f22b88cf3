"""From a matplotlib figure to inline SVG that takes its colours and fonts from the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from markupsafe import Markup

from owlish.report.words import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, ACCENT, RULE, AGAINST, PAPER = (f"#{n}{n}{n}" for n in ("01", "02", "03", "04", "05", "06"))
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    ACCENT: "var(--accent)",
    RULE: "var(--rule)",
    AGAINST: "var(--against)",
    PAPER: "var(--paper)",
}
SPREAD = 1.25  # how much larger than its own size a figure may be shown


def blank(width: float, height: float) -> Figure:
    """Return an empty figure whose points are pixels."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    return figure


def draw(figure: Figure, title: str, described: str, prefix: str) -> Markup:
    """Return a figure as inline SVG with a title and a description, the same bytes every time."""
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    held = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's fonts write the text, not ours
        figure.savefig(held, format="svg", transparent=True, metadata=metadata)
    return inline(held.getvalue(), visible(title), visible(described), prefix)


@contextmanager
def settings() -> Iterator[None]:
    """Hold matplotlib to its own defaults, whatever the user's are, and to text that is text, never formulas."""
    from matplotlib import style

    ours = {"svg.fonttype": "none", "svg.hashsalt": "owlish", "text.parse_math": False}
    with style.context(["default", ours]):
        yield


def inline(svg: str, title: str, described: str, prefix: str) -> Markup:
    """Return matplotlib's SVG ready for a page: no prologue, no style sheet, the page's colours and fonts."""
    head, body = svg[svg.index("<svg") :].split(">", 1)
    size = head.split('viewBox="', 1)[1].split('"', 1)[0]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^<>]+>", lambda tag: themed(tag.group(), prefix), body)
    width = float(size.split()[2]) * SPREAD / 16
    opening = Markup('<svg role="img" viewBox="{}" style="width: {}rem"><title>{}</title><desc>{}</desc>')
    return opening.format(size, round(width, 2), title, described) + Markup(" ".join(body.split()))


def themed(tag: str, prefix: str) -> str:
    """Return one SVG tag with names of this figure's own, without a font, in colours that the page sets."""
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    if tag.startswith("<g "):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = tag.replace(' id="', f' id="{prefix}-').replace('xlink:href="#', f'href="#{prefix}-')
    tag = tag.replace("url(#", f"url(#{prefix}-")
    for colour, variable in VARIABLES.items():
        tag = tag.replace(colour, variable)
    return tag
