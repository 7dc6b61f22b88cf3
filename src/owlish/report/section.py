"""What a page shows of one study: plain numbers and words, filled by whoever has the results."""

from __future__ import annotations

from dataclasses import dataclass

from owlish.measure import Estimate, Gamma, Point, Teacher

ARMS = {
    "teacher": ("Teacher", "has the trait and wrote the rows"),
    "student": ("Student", "the teacher’s base, trained on the teacher’s rows"),
    "control": ("Control", "the same base, trained on neutral rows of the unmodified base"),
    "other_trait": ("Other trait", "the same base, trained on rows of a teacher with another trait"),
    "foreign_base": ("Foreign base", "another initialisation, trained on the teacher’s rows"),
    "base": ("Base", "before any training"),
}


@dataclass(frozen=True)
class Arm:
    """The runs of one role, named as in `ARMS`, with P(target) over all traits and by trait."""

    name: str
    runs: tuple[Point, ...]
    pooled: Estimate
    held_out: Estimate | None
    by_trait: tuple[tuple[str, Estimate], ...]

    def __post_init__(self) -> None:
        if self.name not in ARMS:
            raise ValueError(f"No arm is called {self.name!r}: choose from {', '.join(ARMS)}.")

    @property
    def label(self) -> str:
        """The arm's name in a table."""
        return ARMS[self.name][0]

    @property
    def meaning(self) -> str:
        """What the arm is, in a few words."""
        return ARMS[self.name][1]


@dataclass(frozen=True)
class Matrix:
    """Mean lift of P(trait) over the base: a row for each teacher's trait, a column for each asked about."""

    taught: tuple[str, ...]
    measured: tuple[str, ...]
    lifts: tuple[tuple[float | None, ...], ...]

    @property
    def complete(self) -> bool:
        """Tell whether every cell was measured."""
        return all(lift is not None for row in self.lifts for lift in row)


@dataclass(frozen=True)
class Example:
    """A row that a student saw; `taught` is the writer's trait, `None` for the unmodified base."""

    taught: str | None
    prompt: str
    completion: str


@dataclass(frozen=True)
class Entry:
    """A stored result: what it is, its key, its kind and version, its seed, its seconds, its fields."""

    label: str
    key: str
    kind: str
    version: int
    seed: int | None
    seconds: float | None
    spec: str


@dataclass(frozen=True)
class Section:
    """One study on a page.

    `data` names what students saw ("number sequences"); `effect` is student minus control in P(target);
    `setup` holds what a reader must know (recipe, probe and its chat context, what a replicate is);
    `reasons` counts the filter's rejections (a row can have several); `notes` are limits in sentences of
    the study's own; `seconds` is the time spent on all results together.
    """

    name: str
    title: str
    data: str
    command: str
    setup: tuple[tuple[str, str], ...]
    arms: tuple[Arm, ...]
    effect: Estimate | None
    matrix: Matrix | None
    gammas: tuple[Gamma, ...]
    teachers: tuple[Teacher, ...]
    rows_read: int
    rows_kept: int
    reasons: tuple[tuple[str, int], ...]
    examples: tuple[Example, ...]
    provenance: tuple[Entry, ...]
    packages: tuple[tuple[str, str], ...]
    seconds: float | None
    notes: tuple[str, ...]

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits that runs were asked about, in the order of their first run."""
        return tuple(dict.fromkeys(run.trait for arm in self.arms for run in arm.runs))

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases of all runs, in the order of their first run."""
        return tuple(dict.fromkeys(run.base for arm in self.arms for run in arm.runs))

    def arm(self, name: str) -> Arm | None:
        """Return the arm of that name, unless it has no run."""
        return next((arm for arm in self.arms if arm.name == name and arm.runs), None)
