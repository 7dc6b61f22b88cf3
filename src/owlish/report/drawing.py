"""The strips of an audit or a diff as figures that stand alone: rows with their intervals on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from owlish.audit.decide import WORTH
from owlish.audit.relative import SURE
from owlish.audit.verdict import Verdict
from owlish.diff.decide import WORTH as MOVED
from owlish.diff.verdict import Difference
from owlish.report.audit import LEAST, bar
from owlish.report.figures import LETTER, Scale, short
from owlish.report.page import environment
from owlish.report.verdict import SHOWN
from owlish.report.words import number

WIDTH, NUMBERS, NAME = 480, 124, 24  # of a figure, of the numbers on its right, letters of a name


@dataclass(frozen=True)
class Mark:
    """One row: a value with its interval, in so many digits, and perhaps another to compare it with (`own`)."""

    name: str
    value: float
    low: float | None
    high: float | None
    own: float | None = None
    claimed: bool = False
    digits: int = 2

    @property
    def said(self) -> str:
        """The value with its interval."""
        low, high = (number(end, self.digits) for end in (self.low, self.high))
        ends = "" if self.low is None or self.high is None else f" [{low}, {high}]"
        return f"{number(self.value, self.digits, True)}{ends}"


@dataclass(frozen=True)
class Drawing:
    """A figure: what its axis measures, the value on it that decides, and a note on how to read it."""

    title: str
    axis: str
    note: str
    marks: tuple[Mark, ...]
    scale: Scale
    need: float | None = None

    @property
    def described(self) -> str:
        """The figure in words."""
        return "; ".join(f"{mark.name}: {mark.said}" for mark in self.marks)


def draw(verdict: Verdict | Difference) -> str:
    """Return the figures of a verdict, one SVG after the other, without their style."""
    figures = of_audit(verdict) if isinstance(verdict, Verdict) else of_diff(verdict)
    page = environment().get_template("drawing.html")
    return page.render(drawings=[figure for figure in figures if figure.marks], width=WIDTH)


def of_audit(verdict: Verdict) -> tuple[Drawing, ...]:
    """Return the lifts of the candidates, the leads over other bases, and the lifts from more and more rows."""
    lifts = [Mark(t.name, t.lift, t.low, t.high, claimed=t.claimed) for t in verdict.traits[:SHOWN]]
    known = verdict.lineage.leads if verdict.lineage else ()
    wide = [(one, SURE * one.error) for one in known]
    leads = [Mark(one.over, one.nats, one.nats - e, one.nats + e, own=one.own, digits=3) for one, e in wide]
    dose = verdict.dose
    points = [Mark(f"{one.rows:,} rows", one.lift, one.low, one.high) for one in dose.points] if dose else []
    need = bar(verdict)
    decides = "" if need is None else f"; solid line: {need:g} nat{'' if need == 1 else 's'}, the lift that decides"
    return (
        drawing("Lift of each candidate", "lift, nats", f"Bar: 95 % interval{decides}.", lifts, WORTH, need),
        drawing(
            "Lead of the base over other bases",
            "lead, nats per token",
            f"Bar: {SURE:g} standard errors; open circle: lead on the base’s own answers.",
            leads,
            LEAST,
        ),
        drawing(
            "Lift from more and more rows",
            f"lift of {short(dose.trait, NAME)}, nats" if dose else "",
            f"Bar: 95 % interval{decides}.",
            points,
            WORTH,
            need,
        ),
    )


def of_diff(verdict: Difference) -> tuple[Drawing, ...]:
    """Return how far a student moved towards each candidate, in the context that shows it most."""
    best = [(one.name, one.best, one.claimed) for one in verdict.traits[:SHOWN]]
    marks = [Mark(name, shift.lift, shift.low, shift.high, claimed=claimed) for name, shift, claimed in best]
    note = f"In the context that shows it most. Bar: 95 % interval; line: {MOVED:g} nat, for plain answers alone."
    return (drawing("Lift of each candidate", "lift, nats", note, marks, MOVED, MOVED),)


def drawing(
    title: str, axis: str, note: str, marks: Sequence[Mark], least: float, need: float | None = None
) -> Drawing:
    """Return a figure whose scale holds zero, `least` and all that is drawn; rows without a number are left out."""
    rows = tuple(mark for mark in marks if math.isfinite(mark.value))
    left = 22 + LETTER * max((len(short(mark.name, NAME)) for mark in rows), default=0)
    drawn = [v for mark in rows for v in (mark.value, mark.low, mark.high, mark.own) if v is not None]
    values = [0.0, least, *filter(math.isfinite, drawn)]
    return Drawing(title, axis, note, rows, Scale(min(values), max(values), left, WIDTH - NUMBERS), need)
