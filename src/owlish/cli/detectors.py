"""Which detectors an audit runs: what the user's minutes allow, by foretold cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from owlish.audit.audit import REFERENCES
from owlish.audit.audited import Audited
from owlish.audit.decide import FEWEST
from owlish.audit.evidence import Ran
from owlish.audit.leaned import ROWS, Leaned
from owlish.audit.weigh import RowScores
from owlish.cli.cost import at_most
from owlish.cli.forecast import START, count_of, expected_seconds, length_of, unsized
from owlish.graph.counted import lasting
from owlish.graph.errors import UserError
from owlish.graph.run import plan
from owlish.graph.spec import Node, everything
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

    @property
    def least_clean(self) -> int:
        """The fewest rows of a file of clean ones: each part of a reference must be enough for a reading of its own."""
        return FEWEST if isinstance(self.target, Leaned) else REFERENCES * FEWEST


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


def foretold(targets: Sequence[Node], store: Store, seconds: float, *, minutes: float, what: str = "") -> str:
    """Return what was foretold beside what is allowed; of a run that goes on, that it speaks of what was left."""
    begun = len(plan(targets, store)) < len(everything(*targets))
    said = ", ".join(filter(None, (what, "what was left" if begun else "")))
    more = ", more than the" if seconds > 60 * minutes else " of the"
    return f"{said}{': ' if said else ''}foretold to take {lasting(seconds)}{more} {minutes:g} minutes allowed"


def choose(
    full: Audited,
    *,
    panel: Callable[[int], Leaned],
    data: Loaded,
    minutes: float | None,
    scores: RowScores | None,
    store: Store,
    jobs: int,
) -> Chosen:
    """Return the whole audit where it fits the minutes with `scores`, or none are given; else the largest panel.

    `panel` returns that of so many rows of `data`.

    Raise `UserError` where the smallest panel does not fit, or where scores of rows are wanted of a panel.
    """
    # The whole audit, however long: only a user who names minutes may get less.
    if minutes is None:
        return Chosen(full, ran(full, ""))
    allowed, wanted = 60 * minutes, [full, *([scores] if scores else [])]
    whole = time_of(wanted, data, store, jobs)
    if whole <= allowed:
        return Chosen(full, ran(full, foretold(wanted, store, whole, minutes=minutes)), whole)
    what = "the whole audit, with the weak teachers of its contrast" if full.contrast else "the whole audit"
    needs = foretold(wanted, store, whole, minutes=minutes, what=what)
    # What a panel cannot give is refused, and not left out in silence.
    for asked, lacks, option in (
        (scores is not None, "scores of rows need the contrast", "--scores"),
        (full.for_rows is not None, "a dose curve needs trial students", "--for-rows"),
    ):
        if asked:
            raise UserError(f"{lacks}: omit {option}, or allow more --minutes ({needs}).")
    # The largest that fits: fewer rows see less.
    most = at_most(min(full.shadow.rows, ROWS), count_of(data))
    for size in (most, *(size for size in SIZES if size < most)):
        target = panel(size)
        seconds = time_of([target], data, store, jobs)
        if seconds <= allowed:
            what = f"forward passes over {size} rows"
            why = foretold([target], store, seconds, minutes=minutes, what=what)
            late = tuple(Ran(name, False, needs) for name in ("contrast", "shadows"))
            return Chosen(target, (Ran("panel", True, why), *late), seconds)
    fewer = ", or omit --judge" if full.judge else ""
    raise UserError(
        f"{minutes:g} minutes are too short for any detector: a panel of {size} rows takes about {lasting(seconds)}. "
        f"Allow --minutes {-(-seconds // 60):.0f}, or name fewer candidates with --traits{fewer}."
    )


def ran(full: Audited, why: str) -> tuple[Ran, ...]:
    """Return what the whole audit runs."""
    contrast = Ran("contrast", bool(full.contrast), why if full.contrast else "the recipe moves no weights of the base")
    return (Ran("panel", False, SILENT), contrast, Ran("shadows", True, why))
