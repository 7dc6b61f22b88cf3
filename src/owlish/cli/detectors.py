"""Which detectors an audit runs: what the user's minutes allow, by foretold cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from owlish.audit.audit import Audited
from owlish.audit.decide import FEWEST
from owlish.audit.evidence import Ran
from owlish.audit.leaned import ROWS, Leaned
from owlish.audit.reference import Answered
from owlish.audit.weigh import RowScores
from owlish.cli.forecast import START, count_of, expected_seconds, length_of, unsized
from owlish.graph.counted import lasting
from owlish.graph.errors import UserError
from owlish.graph.run import plan
from owlish.graph.spec import Node
from owlish.graph.store import Store
from owlish.nodes.loaded import Loaded

SIZES = (ROWS, 300, 200, 150, 100, 60, FEWEST)
"""The rows of a panel that are tried, the most first."""
SILENT = "it adds nothing where trial students are trained: it tells of prompts, not of students"


@dataclass(frozen=True)
class Chosen:
    """What an audit makes, which detectors that runs and which not, and the seconds that it was foretold to take."""

    target: Audited | Leaned
    detectors: tuple[Ran, ...]
    seconds: float | None = None

    @property
    def rows(self) -> int:
        """The most rows that it reads."""
        return self.target.rows if isinstance(self.target, Leaned) else self.target.shadow.rows


def time_of(targets: Sequence[Node], data: Loaded, store: Store, jobs: int) -> float:
    """Return the seconds that making targets takes, about; raise `UserError` where the base's size is not known."""
    # Refused here, or an unknown base would look like one that costs nothing.
    for base in unsized(targets):
        raise UserError(
            f"neither files on this disk nor its name say how large {base} is, so no time can be foretold: give its "
            "folder, or leave --minutes out."
        )
    row, given = length_of(data), count_of(data)
    missing = plan(targets, store)
    usual = sum(node.expected(given) for node in missing)
    return (expected_seconds(targets, store, row, given) or usual) / jobs + START * bool(missing)


def choose(
    full: Audited,
    *,
    panel: Leaned,
    data: Loaded,
    minutes: float | None,
    scores: RowScores | None,
    store: Store,
    jobs: int,
) -> Chosen:
    """Return the whole audit where it fits the minutes with `scores`, or none are given; else the largest panel.

    Raise `UserError` where the smallest panel does not fit, or where scores of rows are wanted of a panel.
    """
    # The whole audit, however long: only a user who names minutes may get less.
    if minutes is None:
        return Chosen(full, ran(full, ""))
    allowed, whole = 60 * minutes, time_of([full, *([scores] if scores else [])], data, store, jobs)
    if whole <= allowed:
        why = f"foretold to take {lasting(whole)} of the {lasting(allowed)} allowed"
        return Chosen(full, ran(full, why), whole)
    needs = f"foretold to take {lasting(whole)} with its weak teachers, more than the {lasting(allowed)} allowed"
    # What a panel cannot give is refused, and not left out in silence.
    for wanted, what, option in (
        (scores is not None, "scores of rows need the contrast", "--scores"),
        (full.for_rows is not None, "a dose curve needs trial students", "--for-rows"),
    ):
        if wanted:
            raise UserError(f"{what}, {needs}: omit {option}, or allow more --minutes.")
    # The largest that fits: fewer rows see less.
    for size in [size for size in (panel.rows, *SIZES) if size <= panel.rows]:
        # As many clean rows: the error of a difference is that of its smaller side, and clean ones are the dear ones.
        clean = replace(panel.clean, n=size) if isinstance(panel.clean, Answered) else panel.clean
        target = replace(panel, rows=size, clean=clean)
        seconds = time_of([target], data, store, jobs)
        if seconds <= allowed:
            takes = f"foretold to take {lasting(seconds)} of the {lasting(allowed)} allowed"
            why = f"forward passes over {size} rows, {takes}"
            late = tuple(Ran(name, False, needs) for name in ("contrast", "shadows"))
            return Chosen(target, (Ran("panel", True, why), *late), seconds)
    fewer = ", or omit --judge" if panel.judge else ""
    raise UserError(
        f"{lasting(allowed)} are too short for any detector: a panel of {size} rows takes about {lasting(seconds)}. "
        f"Allow --minutes {-(-seconds // 60):.0f}, or name fewer candidates with --traits{fewer}."
    )


def ran(full: Audited, why: str) -> tuple[Ran, ...]:
    """Return what the whole audit runs."""
    contrast = Ran("contrast", bool(full.contrast), why if full.contrast else "the recipe moves no weights of the base")
    return (Ran("panel", False, SILENT), contrast, Ran("shadows", True, why))
