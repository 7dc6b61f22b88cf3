"""The detectors' benchmark: many teachers, recipes and clean sets, and what each detector says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

from owlish.bench.cases import Case, benches
from owlish.bench.scores import CLASSES, DETECTORS, Benched, compare_detectors
from owlish.bench.trial import Trial, trial
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.study.comparison import Comparison
from owlish.study.study import Study
from owlish.traits.trait import Trait

REFERENCES = 6  # as many as an audit makes by default
PANEL = (
    *(("norms", n) for n in (0, 3, 8)),
    *(("norms, weak", n) for n in (0, 2)),
    *(("biases", n) for n in (1, 4)),
    *((name, 0) for name in ("biases, weak", "code", "worked problems", "25% dirty", "5% dirty")),
    ("bad advice", 1),
    *(("own rows", n) for n in (0, 1)),
    ("foreign rows", 0),
    *(("idle teachers", n) for n in (0, 7, 12)),
    ("changed rows", 0),
)
"""The cases, by name and place, for which students are trained; on the first base every detector is run, too."""


@dataclass(frozen=True)
class AuditBench(Study):
    """Which detector tells the datasets that pass a trait on from those that do not, and from how many rows?"""

    bases: tuple[Base, ...]
    stranger: Base
    animals: tuple[Trait, ...]
    trees: tuple[Trait, ...]
    persona: Trait
    candidates: tuple[Trait, ...]
    contrast: tuple[str, str] = field(default=("shadow", "contrast"), kw_only=True)

    value: ClassVar[str] = "auroc"
    measure: ClassVar[str] = "AUROC"
    settable: ClassVar[tuple[str, ...]] = ("bases",)

    @property
    def here(self) -> bool:
        """It takes an hour and more: `owlish bench audit` runs it, not `owlish run all`."""
        return False

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        return DETECTORS

    @property
    def needs(self) -> tuple[Node, ...]:
        readings = {node.key: node for trial in self.trials for node in trial.nodes()}
        return (*self.bases, *readings.values())

    def found(self, read: Read) -> Benched:
        return compare_detectors(self.outcomes(read))

    def outcomes(self, read: Read) -> list[dict[str, Any]]:
        """Return what came of each trial, as plain values."""
        # Once a base: to open it costs seconds, and there are over a hundred trials of each.
        words = {base: read(base).open().vocabulary for base in self.bases}
        return [trial.outcome(read, words[trial.case.base]) for trial in self.trials]

    @cached_property
    def trials(self) -> list[Trial]:
        """The trials of all bases."""
        found = []
        for bench in benches(self.bases, self.stranger, self.animals, self.trees, self.persona):
            places: dict[str, int] = {}
            for case in bench.cases:
                # The panel names a case by its number among those of its name: cases of other names may come and go.
                place = places[case.name] = places.get(case.name, -1) + 1
                panel = (case.name, place) in PANEL
                first = bench.base == self.bases[0]
                # The detectors that only the benchmark has cost most of its time, so they run on one base.
                found.append(trial(case, self.candidates, references(case), panel=panel, others_too=first))
        return found

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.bases)) < 2:
            raise UserError("the benchmark takes foreign rows from its other bases: give at least two.")

    def small(self) -> Self:
        return replace(self, bases=self.bases[:2])

    def setup(self) -> tuple[tuple[str, str], ...]:
        cases = [one.case for one in self.trials]
        dirty = sum(case.dirty for case in cases)
        return (
            ("Bases", ", ".join(base.title for base in self.bases)),
            ("Datasets", f"{dirty} by teachers with a trait, {len(cases) - dirty} clean: {', '.join(CLASSES)}"),
            ("Candidates", f"{counted(len(self.candidates), 'trait')}"),
            ("Reference", f"{REFERENCES} sets of the base’s own rows for each kind of prompt"),
            ("AUROC", "datasets of teachers against clean ones, by the detector’s largest score; one value a base"),
        )

    def notes(self) -> tuple[str, ...]:
        return (
            "Dirty means that a teacher with a trait wrote; whether students pick it up was measured for a part alone.",
            "Datasets share bases, teachers and references, so the unit of an interval is a base.",
        )

    def summary(self, found: Comparison) -> dict[str, Any]:
        """Return what it found, with the share of clean datasets on which each detector claims a trait."""
        alarms = found.alarms if isinstance(found, Benched) else None
        rows = {} if alarms is None else dict(zip(alarms.rows, alarms.lifts, strict=True))
        names = () if alarms is None else alarms.columns
        return {**super().summary(found), "alarms": {k: dict(zip(names, v, strict=True)) for k, v in rows.items()}}


def references(case: Case) -> tuple[Data, ...]:
    """Return sets of the base's own rows to the same kind of prompts, through the same filter."""
    base, domain = case.base, case.domain
    # By base and number alone: all cases of a base and domain share their references, which are paid once.
    seeds: Sequence[int] = [fresh("bench", base.identity, "reference", k) for k in range(REFERENCES)]
    return tuple(base.sample(domain, n=2000, seed=seed) for seed in seeds)
