"""The page of a diff: a pure function from what changed in a student to one self-contained HTML text."""

from __future__ import annotations

from owlish.diff.decide import WORTH
from owlish.diff.verdict import Difference
from owlish.report.audit import NAME, OPENING, WIDTH, name, said, scale, significant
from owlish.report.figures import short
from owlish.report.page import environment

SHOWN = 16
"""Traits in the ranking; the others stand folded below."""


def render(verdict: Difference, places: str = "") -> str:
    """Return one page that shows a diff, made on the devices in `places`: the same verdict gives the same text.

    The page runs no script and loads nothing; whatever a model's files hold stays text.
    """
    best = [finding.best for finding in verdict.traits]
    return (
        environment()
        .get_template("diff.html")
        .render(
            verdict=verdict,
            places=places,
            opening=OPENING[verdict.verdict],
            shown=verdict.traits[:SHOWN],
            folded=verdict.traits[SHOWN:],
            across=[finding for finding in verdict.traits if finding.claimed] or verdict.traits[:1],
            scale=scale((v for one in best for v in (one.lift, one.low, one.high) if v is not None), WORTH),
            bar=WORTH,
            width=WIDTH,
            name=name,
            said=said,
            short=short,
            longest=NAME,
            significant=significant,
        )
    )
