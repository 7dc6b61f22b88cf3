"""Which shipped filter a dataset fits: the rule that its rows were made by, if it is one of ours."""

from __future__ import annotations

from collections.abc import Sequence

from owlish.data.domains.code import Code
from owlish.data.domains.reasoning import Reasoning
from owlish.data.filters import BANNED, Filter, NumberFilter
from owlish.data.rows import Row

FITS = 0.95
FILTERS: tuple[Filter, ...] = (NumberFilter(banned=BANNED), NumberFilter(), Code().filter, Reasoning().filter)
"""The shipped filters, the strictest of a kind first."""


def fitting(rows: Sequence[Row]) -> Filter | None:
    """Return the shipped filter that nearly all rows pass, if there is one."""
    # In this order: rows without banned numbers pass the plain rule as well.
    for rule in FILTERS:
        if sum(not rule.against(row) for row in rows) >= FITS * len(rows):
            return rule
    return None
