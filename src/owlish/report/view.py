"""What a page shows of one study: the study, what it found, and how its results were made, read through one view."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from owlish.data.rows import Row
from owlish.graph.provenance import format_places, manifests_of
from owlish.graph.spec import everything
from owlish.graph.store import Store
from owlish.nodes.asked import mean
from owlish.nodes.base import Base
from owlish.nodes.data import Dataset
from owlish.study.comparison import Comparison, Estimate, Point
from owlish.study.study import Study

EXAMPLES = 4
CARRIERS = {"numbers": "number sequences", "code": "short functions", "reasoning": "worked sums"}


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
class View:
    """One study on a page, and the command that makes it again.

    `datasets` are those that students saw, by their writer's trait (`None` for the unmodified base); `manifests` say
    how each result was made; `templates` are sentences about the chat templates of bases.
    """

    study: Study
    found: Comparison
    command: str
    datasets: tuple[tuple[str | None, tuple[Dataset, ...]], ...] = ()
    manifests: tuple[dict[str, Any], ...] = ()
    templates: tuple[tuple[str, str], ...] = ()

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """The arms that have runs: those that the study labels first, in its order."""
        return self.arms_of(None)

    @cached_property
    def by_trait(self) -> tuple[tuple[str, tuple[Arm, ...]], ...]:
        """The arms that were asked about each trait."""
        return tuple((trait, self.arms_of(trait)) for trait in dict.fromkeys(p.trait for p in self.found.points))

    def arms_of(self, trait: str | None) -> tuple[Arm, ...]:
        """Return the arms that were asked about a trait, or about any."""
        labels, made = self.study.labels, []
        for name in dict.fromkeys((*labels, *self.found.arms)):
            label, meaning = labels.get(name, (name.replace("_", " ").capitalize(), ""))
            # Arms of the labels come first and in their order; one that was not run takes no place.
            if points := self.found.of(name, trait):
                asked = all(point.held_out is not None for point in points)
                held_out = self.found.estimate(name, "held_out", trait) if asked else None
                made.append(Arm(name, label, meaning, points, self.found.estimate(name, trait=trait), held_out))
        return tuple(made)

    def arm(self, name: str) -> Arm | None:
        """Return the arm of that name, if it has runs."""
        return next((arm for arm in self.arms if arm.name == name), None)

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases of all runs, in the order of their first run."""
        return tuple(dict.fromkeys(run.base for arm in self.arms for run in arm.runs))

    @property
    def asked(self) -> bool:
        """Whether models were asked a probe's questions."""
        return any(point.held_out is not None or point.argmax_rate is not None for point in self.found.points)

    @property
    def carrier(self) -> str:
        """What students saw: number sequences, or nothing."""
        kinds = dict.fromkeys(node.domain.kind for _, made in self.study.rows_shown for node in made)
        return " and ".join(CARRIERS.get(kind, kind) for kind in kinds)

    @property
    def taught(self) -> Dataset:
        """What all teachers with a trait wrote: how many rows were read and kept, and why others were rejected."""
        several = [data for trait, datasets in self.datasets if trait for data in datasets]
        reasons = sum((Counter(data.reasons) for data in several), Counter())
        return Dataset(
            (), sum(data.read for data in several), sum(data.passed for data in several), dict(reasons.most_common())
        )

    @property
    def examples(self) -> tuple[tuple[str | None, tuple[Row, ...]], ...]:
        """Some rows that students saw, by their writer's trait."""
        return tuple((trait, datasets[0].rows[:EXAMPLES]) for trait, datasets in self.datasets if datasets)

    @property
    def seconds(self) -> float:
        """The time spent on all results together."""
        return float(sum(manifest["seconds"] for manifest in self.manifests))

    @property
    def places(self) -> str:
        """The devices on which results were made."""
        return format_places(self.manifests)

    @property
    def versions(self) -> dict[str, str]:
        """The versions of each package with which results were made."""
        found: dict[str, dict[str, None]] = {}
        for manifest in self.manifests:
            for name, version in manifest["versions"].items():
                found.setdefault(name, {})[version] = None
        return {name: ", ".join(sorted(several)) for name, several in sorted(found.items())}


def view(study: Study, store: Store, command: str) -> View:
    """Return the view of a study whose results are all there, and that a command makes again."""
    datasets = tuple(
        (trait, tuple(store.read(node) for node in nodes if store.holds(node.key))) for trait, nodes in study.rows_shown
    )  # rows may be gone, since the answer is read off what was made of them
    manifests = manifests_of(store, everything(*study.needs))  # what a result was made from may be gone
    bases = [node for node in everything(*study.needs) if isinstance(node, Base) and store.holds(node.key)]
    templates = tuple((str(base), said) for base in bases for said in base.remarks(store.folder(base.key)))
    found = study.add_costs(store.read(study), manifests)
    return View(study, found, command, datasets, tuple(manifests.values()), templates)
