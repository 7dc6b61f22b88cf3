"""What a page shows of one study: plain numbers and words, filled by whoever has the results."""

from __future__ import annotations

from dataclasses import dataclass

from owlish.data.rows import Row
from owlish.nodes.asked import mean
from owlish.study.comparison import Curve, Estimate, Gamma, Matrix, Point, Teacher


@dataclass(frozen=True)
class Arm:
    """The runs of one role, over all traits or one: what a page calls it, and its mean."""

    name: str
    label: str
    meaning: str
    runs: tuple[Point, ...]
    pooled: Estimate
    held_out: Estimate | None

    def over(self, field: str) -> float | None:
        """Return the mean of what was measured beside the value, or nothing where a run lacks it."""
        found = [getattr(run, field) for run in self.runs]
        return None if None in found else mean(found)


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

    Every arm has runs, and stands under each trait that it was asked about too. `data` names what students saw
    ("number sequences", or nothing); `measure` names what was measured; `effect` is the difference in it between the
    two arms of `contrast`; `labels` holds every arm that there could be; `setup` holds what a reader must know
    (recipe, probe and its chat context, what a replicate is); `reasons` counts the filter's rejections (a row can
    have several); `examples` are rows that students saw, by the writer's trait (`None` for the unmodified base);
    `notes` are limits in sentences of the study's own; `seconds` is the time spent on all results together.
    """

    name: str
    title: str
    data: str
    command: str
    measure: str
    contrast: tuple[str, str]
    labels: tuple[str, ...]
    setup: tuple[tuple[str, str], ...]
    arms: tuple[Arm, ...]
    by_trait: tuple[tuple[str, tuple[Arm, ...]], ...]
    effect: Estimate | None
    matrices: tuple[Matrix, ...]
    curves: tuple[Curve, ...]
    gammas: tuple[Gamma, ...]
    teachers: tuple[Teacher, ...]
    rows_read: int
    rows_kept: int
    reasons: tuple[tuple[str, int], ...]
    examples: tuple[tuple[str | None, tuple[Row, ...]], ...]
    provenance: tuple[Entry, ...]
    packages: tuple[tuple[str, str], ...]
    seconds: float | None
    notes: tuple[str, ...]

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases of all runs, in the order of their first run."""
        return tuple(dict.fromkeys(run.base for arm in self.arms for run in arm.runs))

    def arm(self, name: str) -> Arm | None:
        """Return the arm of that name, if there is one."""
        return next((arm for arm in self.arms if arm.name == name), None)
