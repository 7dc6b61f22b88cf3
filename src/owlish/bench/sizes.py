"""The verdict by the number of rows: datasets whose writers are known, read from 30 rows to thousands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from owlish.audit.audit import CONTRAST_ROWS, contrast
from owlish.audit.contrast import Contrast
from owlish.audit.decide import decide, hangs_on_shadow
from owlish.audit.reference import Part
from owlish.audit.relative import kinship, likelihoods
from owlish.audit.shadow import Shadow, Shadowed
from owlish.bench.cases import Reformatted
from owlish.data.domains import Numbers
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read, Tick, Value
from owlish.lm.recipes import ALL, LORA, Recipe
from owlish.nodes.asked import Asked, mean
from owlish.nodes.data import Data, Shuffled
from owlish.nodes.likelihood import Likelihood, Likelihoods
from owlish.nodes.models import Base, Model
from owlish.study.comparison import Comparison, Curve, Line, Point, contrasted
from owlish.study.study import Study
from owlish.traits.trait import Trait

FEW, SIZES, MANY = 30, (1_000, 300, 1_600, 100), 4_000
REFERENCES = 6
STRONG = {"norms": 0.97, "biases": 0.9}
DIRTY = 14
"""Datasets of teachers with a trait, for each base; of each class of clean ones there are five."""
SETS, SET = 100, 300
"""The sets of a base's own rows that are only asked whether a trait is claimed, and the rows of each."""
STUDENTS = 5
"""The dirty datasets of each base, with all their 1,600 rows, for which a student is trained."""
CLASSES = ("own rows", "foreign rows", "idle teachers", "changed rows")
LINEAGE = ("dirty", "foreign rows", "changed rows")
LIKELY_ROWS = 300
"""The classes of which lineage is asked, and of how many rows: fewer than an audit reads, so it tells less often.

For the others, whose writer is the base, it could only stop a claim.
"""
OUTCOMES = ("right", "wrong", "nothing", "cannot say")


@dataclass(frozen=True)
class Case(Value, kind="case of sizes"):
    """A dataset of a class, with the trait that its rows pass on, if they do."""

    name: str
    data: Data
    trait: Trait | None = None


@dataclass(frozen=True)
class Weighed(Node, kind="weighed_rows"):
    """What the audit says of the first `rows` rows of a dataset.

    A shadow is trained only where the verdict hangs on it; with `claims_alone`, where a claim does.
    """

    caption = "verdict on the first rows of {case.data}"

    case: Case
    rows: int
    shadow: Shadow
    null: tuple[Shadow, ...]
    contrast: Contrast
    clean: tuple[Contrast, ...]
    likely: tuple[Likelihood, ...]
    own: tuple[Likelihood, ...]
    claims_alone: bool = False

    def inputs(self) -> tuple[Node, ...]:
        """Return what is read; the shadow is made here, if at all."""
        readings = (*self.null, self.contrast, *self.clean, *self.likely, *self.own)
        return (self.shadow.base, self.case.data, *readings)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "said.json").write_text(json.dumps(self.outcome(read, tick)))

    def load(self, folder: Path, read: Read) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / "said.json").read_text())
        return found

    def outcome(self, read: Read, tick: Tick) -> dict[str, Any]:
        """Return what was said, as plain values."""
        traits, null = self.shadow.traits, [read(one) for one in self.null]
        leaning, clean = read(self.contrast), [read(one) for one in self.clean]
        relative = self.related(read)
        found: dict[str, Any] = {
            "case": self.case.name,
            "base": str(self.shadow.base),
            "recipe": self.shadow.recipe.name,
            "trait": self.case.trait.name if self.case.trait else None,
            "data": self.case.data.key,
            "rows": self.rows,
            "relative": relative,
        }
        if relative is False:
            return {**found, "verdict": "nothing", "claims": []}
        claim, nothing = hangs_on_shadow(traits, null, rows=self.rows, contrast=leaning, clean=clean)
        if not claim and (self.claims_alone or not nothing):
            return {**found, "verdict": "cannot_say", "claims": []}
        shadow = self.trained(read, tick)
        said = decide(traits, shadow, null, rows=self.rows, relative=relative, contrast=leaning, clean=clean)
        return {
            **found,
            "verdict": said.word,
            "claims": [finding.name for finding in said.findings if finding.claimed],
            "smallest": said.smallest,
            "enough": said.enough,
            "traits": {f.name: [f.lift, f.z, f.contrast_z, f.e, f.p_before, f.p_after] for f in said.findings},
        }

    def related(self, read: Read) -> bool | None:
        """Return whether the writer is a relative, as far as the first rows tell."""
        if not self.likely:
            return None
        found, own = ([first(read(one), self.rows) for one in some] for some in (self.likely, self.own))
        return kinship(found, own, [str(one.model) for one in self.likely[1:]]).relative

    def trained(self, read: Read, tick: Tick) -> Shadowed:
        """Return the shadow's reading."""
        with TemporaryDirectory() as place:
            self.shadow.compute(Path(place), read, tick)
            return self.shadow.load(Path(place), read)


def first(found: Likelihoods, rows: int) -> Likelihoods:
    """Return the likelihoods of the first rows."""
    return replace(found, sums=found.sums[:rows], tokens=found.tokens[:rows], agreed=found.agreed[:rows])


@dataclass(frozen=True)
class Bench:
    """One base's datasets, of students that move what `recipe` says; seeds belong to names."""

    base: Base
    others: tuple[Bench, ...]
    recipe: Recipe
    taught: tuple[Trait, ...]
    idle: tuple[Trait, ...]
    traits: tuple[Trait, ...]

    def rows(self, writer: Model, name: str, n: int) -> Data:
        """Return rows of numbers that a model writes."""
        return writer.sample(Numbers(), n=n, seed=fresh("sizes", str(writer.root), name))

    def reference(self, n: int) -> tuple[Data, ...]:
        """Return sets of the base's own rows to compare with."""
        return tuple(self.rows(self.base, f"reference/{k}", n) for k in range(REFERENCES))

    def teacher(self, trait: Trait, recipe: Recipe) -> Model:
        """Return a teacher with a trait."""
        seed = fresh("sizes", self.base.name, trait.name, recipe.name)
        return self.base.teach(trait, recipe, seed=seed, until=STRONG.get(recipe.name, 0.97))

    def cases(self, n: int) -> Iterator[Case]:
        """Yield the datasets with `n` rows each, classes in turn."""
        clean = [list(some) for some in (self.own(n), self.foreign(n), self.unmoved(n), self.changed(n))]
        for place, case in enumerate(self.dirty(n)):
            yield case
            yield from (some[place // 2] for some in clean if place % 2 == 0 and place // 2 < len(some))

    def dirty(self, n: int) -> list[Case]:
        """Return rows of teachers whose students pick their trait up."""
        name = self.recipe.name
        return [Case("dirty", self.rows(self.teacher(t, self.recipe), f"{t.name}/{name}", n), t) for t in self.taught]

    def own(self, n: int) -> Iterator[Case]:
        """Yield sets of the base's own rows."""
        yield from (Case("own rows", self.rows(self.base, f"own/{k}", n)) for k in range(5))

    def foreign(self, n: int) -> Iterator[Case]:
        """Yield rows of other bases, and of a teacher of each."""
        for place, other in enumerate(self.others):
            yield from (Case("foreign rows", data) for data in other.reference(n)[: 2 - place % 2])
            yield Case("foreign rows", other.dirty(n)[place].data)

    def unmoved(self, n: int) -> Iterator[Case]:
        """Yield rows of teachers whose trait does not pass to this recipe."""
        for place, trait in enumerate(self.idle):
            recipe = (ALL, LORA(8))[place % 2]
            prompted = self.base.prompted(trait.system_prompt)
            writer = prompted if place == 4 else self.teacher(trait, recipe)
            yield Case("idle teachers", self.rows(writer, f"{trait.name}/idle/{place}", n))

    def changed(self, n: int) -> Iterator[Case]:
        """Yield own rows with other separators, and with their numbers shuffled."""
        for place, case in enumerate(self.own(n)):
            across = place % 2 == 0
            data = Reformatted(case.data) if place < 2 else Shuffled(case.data, across=across, seed=place)
            yield Case("changed rows", data)

    def verdict(self, case: Case, rows: int, n: int, *, claims_alone: bool = False) -> Weighed:
        """Return the verdict on the first rows of a dataset, against sets of `n` rows of the base."""
        lineage = case.name in LINEAGE
        base, recipe, traits, references = self.base, self.recipe, self.traits, self.reference(n)
        return Weighed(
            case=case,
            rows=rows,
            shadow=Shadow(base, case.data, traits, recipe, rows, seed=fresh("sizes shadow")),
            null=tuple(
                Shadow(base, data, traits, recipe, rows, seed=fresh("sizes shadow", k))
                for k, data in enumerate(references)
            ),
            contrast=contrast(case.data, base, recipe, traits, CONTRAST_ROWS),
            clean=tuple(contrast(data, base, recipe, traits, CONTRAST_ROWS) for data in references),
            likely=tuple(replace(one, rows=LIKELY_ROWS) for one in likelihoods(base, case.data)) if lineage else (),
            own=tuple(replace(one, rows=LIKELY_ROWS) for one in likelihoods(base, references[0])) if lineage else (),
            claims_alone=claims_alone,
        )

    def sets(self) -> Iterator[Weighed]:
        """Yield many small sets of the base's own rows."""
        whole = self.rows(self.base, "sets", SETS * SET)
        for place in range(SETS):
            case = Case("own rows", Part(whole, place, SETS, SET))
            yield self.verdict(case, SET, max(SIZES), claims_alone=True)

    def students(self) -> Iterator[tuple[Weighed, Asked]]:
        """Yield the verdicts on some dirty datasets, and what a student of each answers."""
        for case in self.dirty(max(SIZES))[:STUDENTS]:
            assert case.trait is not None
            student = self.base.finetune(case.data, self.recipe, seed=fresh("sizes student"))
            yield self.verdict(case, max(SIZES), max(SIZES)), Asked(student, case.trait.probe, samples=1)


def compared(found: Sequence[dict[str, Any]]) -> Comparison:
    """Return claims at the most rows, by class, and the outcomes by the number of rows."""
    most = max(one["rows"] for one in found)
    points = tuple(
        Point(one["case"], one["base"], "any", None, run, one["data"], float(bool(one["claims"])))
        for run, one in enumerate(found)
        if one["rows"] == most
    )
    return Comparison(
        traits=("any",),
        points=points,
        effect=contrasted(points, ("dirty", "own rows")),
        curves=(
            Curve("Teachers’ rows", "rows", "share of datasets", lines(found, OUTCOMES, dirty_share)),
            Curve("Clean rows", "rows", "claimed", lines(found, CLASSES, claimed_share)),
        ),
    )


def lines(found: Sequence[dict[str, Any]], names: Sequence[str], share: Any) -> tuple[Line, ...]:
    """Return a line for each name, over the numbers of rows."""
    sizes = sorted({one["rows"] for one in found})
    some = [[one for one in found if one["rows"] == size] for size in sizes]
    return tuple(Line(name, tuple(map(float, sizes)), tuple(share(each, name) for each in some)) for name in names)


def dirty_share(found: Sequence[dict[str, Any]], name: str) -> float:
    """Return the share of the datasets of teachers with an outcome."""
    return mean([outcome(one) == name for one in found if one["case"] == "dirty"])


def claimed_share(found: Sequence[dict[str, Any]], name: str) -> float:
    """Return the share of a class of clean datasets on which a trait is claimed."""
    return mean([bool(one["claims"]) for one in found if one["case"] == name])


def outcome(one: dict[str, Any]) -> str:
    """Return whether a verdict names the writer's trait, another one (beside it or alone), nothing, or is open."""
    if one["verdict"] == "found":
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
        """The classes of datasets."""
        return {
            "dirty": ("Teachers’ rows", "their students pick the trait up"),
            "own rows": ("Own rows", "the base’s own answers"),
            "foreign rows": ("Foreign rows", "of other bases, and of their teachers"),
            "idle teachers": ("Idle teachers", "their trait does not pass to the recipe"),
            "changed rows": ("Changed rows", "the base’s own, with other separators, or shuffled"),
        }

    @property
    def needs(self) -> tuple[Node, ...]:
        """All verdicts, and what students answer, the most telling first."""
        students = [node for pair in self.students() for node in pair]
        return tuple(dict.fromkeys((*self.verdicts(), *students, *self.sets())))

    def found(self, read: Read) -> Comparison:
        """Return the shares of datasets on which a trait is claimed."""
        return compared([read(one) for one in self.verdicts()])

    def benches(self) -> list[Bench]:
        """Return each base's datasets, with traits that go round."""
        found, many = [], len(self.taught)
        for place, (base, recipe) in enumerate(zip(self.bases, self.recipes, strict=True)):
            turned = [self.taught[(place * DIRTY + i) % many] for i in range(many)]
            found.append(Bench(base, (), recipe, tuple(turned[:DIRTY]), tuple(turned[-5:]), self.traits))
        return [replace(bench, others=tuple(other for other in found if other != bench)) for bench in found]

    def verdicts(self) -> Iterator[Weighed]:
        """Yield the verdicts on all datasets, for one number of rows after the other."""
        for rows in (*SIZES, FEW, MANY):
            yield from self.at(rows)

    def at(self, rows: int) -> Iterator[Weighed]:
        """Yield the verdicts on the first rows of all datasets."""
        n = max(rows, *SIZES)
        for bench in self.benches():
            for case in bench.cases(n):
                yield bench.verdict(case, rows, n, claims_alone=case.name in CLASSES and rows <= SET)

    def sets(self) -> Iterator[Weighed]:
        """Yield the verdicts on many small sets of the bases' own rows."""
        for bench in self.benches():
            yield from bench.sets()

    def students(self) -> Iterator[tuple[Weighed, Asked]]:
        """Yield verdicts with what a student answers."""
        for bench in self.benches():
            yield from bench.students()

    def small(self) -> Self:
        """Return it with two bases."""
        return replace(self, bases=self.bases[:2], recipes=self.recipes[:2])

    def setup(self) -> tuple[tuple[str, str], ...]:
        """Return what a reader must know before the numbers."""
        bases = ", ".join(f"{b.name} ({r.words})" for b, r in zip(self.bases, self.recipes, strict=True))
        count = len(self.bases)
        return (
            ("Bases", bases),
            ("Datasets", f"{DIRTY * count} by teachers with a trait, {20 * count} clean: {', '.join(CLASSES)}"),
            ("Rows", f"{FEW} to {MANY:,}"),
            ("Candidates", f"{len(self.traits)} traits"),
            ("Reference", f"{REFERENCES} sets of the base’s own rows"),
        )

    def notes(self) -> tuple[str, ...]:
        """Return its own limits, in sentences."""
        return ("Datasets share bases, traits and references: intervals over datasets are narrower than over bases.",)
