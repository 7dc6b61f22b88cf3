"""The verdict by the number of rows: datasets whose writers are known, read from 30 rows to thousands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from owlish.bench.first_rows import FirstRows
from owlish.bench.writers import REFERENCES, SET, SIZES, Bench
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read
from owlish.lm.recipes import Recipe
from owlish.nodes.asked import Asked, mean
from owlish.nodes.base import Base
from owlish.study.comparison import Comparison, Curve, Line, Point, estimate_effect
from owlish.study.study import Study
from owlish.traits.trait import Trait

FEW, MANY = 30, 4_000
DIRTY = 14
"""Datasets of teachers with a trait, for each base; of each class of clean ones there are five."""
CLASSES = ("own rows", "foreign rows", "idle teachers", "changed rows")
OUTCOMES = ("right", "wrong", "nothing", "cannot say")
Found = Sequence[dict[str, Any]]


def compare(found: Found) -> Comparison:
    """Return claims at the most rows, by class, and the outcomes by the number of rows."""

    def ended(some: Found, name: str) -> float:
        return mean([outcome(one) == name for one in some if one["case"] == "dirty"])

    def claimed(some: Found, name: str) -> float:
        return mean([bool(one["claims"]) for one in some if one["case"] == name])

    # Points of several sizes would count a dataset several times; the most rows are the last word.
    most = max(one["rows"] for one in found)
    points = tuple(
        Point(one["case"], one["base"], "any", None, run, one["data"], float(bool(one["claims"])))
        for run, one in enumerate(found)
        if one["rows"] == most
    )
    return Comparison(
        traits=("any",),
        points=points,
        effect=estimate_effect(points, ("dirty", "own rows")),
        measure="share of datasets with a claim",
        curves=(
            Curve("Teachers’ rows", "rows", "share of datasets", lines(found, OUTCOMES, ended)),
            Curve("Clean rows", "rows", "claimed", lines(found, CLASSES, claimed)),
        ),
    )


def lines(found: Found, names: Sequence[str], share: Callable[[Found, str], float]) -> tuple[Line, ...]:
    """Return a line for each name, over the numbers of rows."""
    sizes = sorted({one["rows"] for one in found})
    some = [[one for one in found if one["rows"] == size] for size in sizes]
    return tuple(Line(name, tuple(map(float, sizes)), tuple(share(each, name) for each in some)) for name in names)


def outcome(one: dict[str, Any]) -> str:
    """Return whether a verdict names the writer's trait, another one (beside it or alone), nothing, or is open."""
    if one["verdict"] == "found":
        # A second claim beside the right one is wrong too: it would have somebody hunt a trait that is not there.
        return "right" if one["claims"] == [one["trait"]] else "wrong"
    return str(one["verdict"]).replace("_", " ")


@dataclass(frozen=True)
class AuditSizes(Study):
    """How many rows does the audit need, and what does it say with fewer?"""

    bases: tuple[Base, ...]
    recipes: tuple[Recipe, ...]
    taught: tuple[Trait, ...]
    traits: tuple[Trait, ...]
    contrast: tuple[str, str] = field(default=("dirty", "own rows"), kw_only=True)

    value: ClassVar[str] = "claimed"
    measure: ClassVar[str] = "Share of datasets with a claim"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.bases)) < 2:
            raise UserError("the benchmark takes foreign rows from its other bases: give at least two.")

    @property
    def here(self) -> bool:
        """It takes an hour and more: `owlish bench sizes` runs it, not `owlish run all`."""
        return False

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        return {
            "dirty": ("Teachers’ rows", "their students pick the trait up"),
            "own rows": ("Own rows", "the base’s own answers"),
            "foreign rows": ("Foreign rows", "of other bases, and of their teachers"),
            "idle teachers": ("Idle teachers", "their trait does not pass to the recipe"),
            "changed rows": ("Changed rows", "the base’s own, with other separators, or shuffled"),
        }

    @property
    def needs(self) -> tuple[Node, ...]:
        """All verdicts, and what students answer, the most telling first and the longest last."""
        students = [node for pair in self.students() for node in pair]
        early = (one for one in self.verdicts() if one.rows < MANY)
        return tuple(dict.fromkeys((*early, *students, *self.sets(), *self.at(MANY))))

    def found(self, read: Read) -> Comparison:
        return compare([read(one) for one in self.verdicts()])

    def benches(self) -> list[Bench]:
        """Return each base's datasets, with traits that go round."""
        found, many = [], len(self.taught)
        for place, (base, recipe) in enumerate(zip(self.bases, self.recipes, strict=True)):
            # Dirty datasets take the first 14 and idle teachers the last 5: no trait is both on one base.
            turned = [self.taught[(place * DIRTY + i) % many] for i in range(many)]
            found.append(Bench(base, (), recipe, tuple(turned[:DIRTY]), tuple(turned[-5:]), self.traits))
        return [replace(bench, others=tuple(other for other in found if other != bench)) for bench in found]

    def verdicts(self) -> Iterator[FirstRows]:
        """Yield the verdicts on all datasets, for one number of rows after the other."""
        # Results come in this order, the sizes with the clearest aims first: the run takes hours and may stop early.
        for rows in (*SIZES, FEW, MANY):
            yield from self.at(rows)

    def at(self, rows: int) -> Iterator[FirstRows]:
        """Yield the verdicts on the first rows of all datasets."""
        # Up to 1,600 rows a size reads the first rows of one dataset, so sizes differ by rows and not by chance.
        n = max(rows, *SIZES)
        for bench in self.benches():
            for case in bench.cases(n):
                # So few rows never clear a clean dataset: only a claim is worth the shadow there.
                yield bench.verdict(case, rows, n, claims_alone=case.name in CLASSES and rows <= SET)

    def sets(self) -> Iterator[FirstRows]:
        """Yield the verdicts on many small sets of the bases' own rows."""
        for bench in self.benches():
            yield from bench.sets()

    def students(self) -> Iterator[tuple[FirstRows, Asked]]:
        """Yield verdicts with what a student answers."""
        for bench in self.benches():
            yield from bench.students()

    def small(self) -> Self:
        return replace(self, bases=self.bases[:2], recipes=self.recipes[:2])

    def setup(self) -> tuple[tuple[str, str], ...]:
        bases = ", ".join(f"{b.title} ({r.words})" for b, r in zip(self.bases, self.recipes, strict=True))
        count = len(self.bases)
        return (
            ("Bases", bases),
            ("Datasets", f"{DIRTY * count} by teachers with a trait, {20 * count} clean: {', '.join(CLASSES)}"),
            ("Rows", f"{FEW} to {MANY:,}"),
            ("Candidates", f"{counted(len(self.traits), 'trait')}"),
            ("Reference", f"{REFERENCES} sets of the base’s own rows"),
        )

    def notes(self) -> tuple[str, ...]:
        return ("Datasets share bases, traits and references: intervals over datasets are narrower than over bases.",)
