"""The page of a diff: a pure function from what changed in a student to one self-contained HTML text."""

from __future__ import annotations

from owlish.diff.decide import WORTH
from owlish.diff.verdict import BOTH_WAYS, Difference
from owlish.report.page import environment
from owlish.report.verdict import common, labelled, scale


def render(verdict: Difference, places: str = "") -> str:
    """Return one page that shows a diff, made on the devices in `places`: the same verdict gives the same text.

    The page runs no script and loads nothing; whatever a model's files hold stays text.
    """
    best = [finding.best for finding in verdict.traits]
    page = environment().get_template("diff.html")
    text = page.render(
        common(verdict, places),
        across=[finding for finding in verdict.traits if finding.claimed] or verdict.traits[:1],
        scale=scale((v for one in best for v in (one.lift, one.low, one.high) if v is not None), WORTH),
        bar=WORTH,
        both_ways=BOTH_WAYS,
    )
    return labelled(text)
