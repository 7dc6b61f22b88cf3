"""The datasets of one base of the benchmark by sizes: who writes them, and which verdicts are asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from owlish.audit.audit import CONTRAST_ROWS, contrast
from owlish.audit.contrast import Contrast
from owlish.audit.reference import Part
from owlish.audit.relative import likelihoods
from owlish.audit.shadow import Shadow
from owlish.bench.cases import Reformatted
from owlish.bench.first_rows import FirstRows, SizedCase
from owlish.data.domains import Numbers
from owlish.graph.seeds import fresh
from owlish.lm.recipes import ALL, LORA, Recipe
from owlish.nodes.asked import Asked
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Shuffled
from owlish.nodes.models import Model
from owlish.traits.trait import Trait

DRAW = "sizes, second draw"
"""What all seeds belong to. The rule was chosen on the first draw: it is reported on datasets that it never saw."""
SIZES = (1_000, 300, 1_600, 100)  # the most telling size first
REFERENCES = 6  # as many as an audit makes by default
STRONG = {"norms": 0.97, "biases": 0.9}  # biases at .97 break the number format
SETS, SET = 100, 300
"""The sets of a base's own rows that are only asked whether a trait is claimed, and the rows of each."""
LINEAGE = ("dirty", "foreign rows", "changed rows")
LIKELY_ROWS = 300
"""The classes of which lineage is asked, and of how many rows: fewer than an audit reads, so it tells less often.

For the others, whose writer is the base, it could only stop a claim.
"""


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
        return writer.sample(Numbers(), n=n, seed=fresh(DRAW, writer.root.identity, name))

    def reference(self, n: int) -> tuple[Data, ...]:
        """Return sets of the base's own rows to compare with."""
        return tuple(self.rows(self.base, f"reference/{k}", n) for k in range(REFERENCES))

    def teacher(self, trait: Trait, recipe: Recipe) -> Model:
        """Return a teacher with a trait."""
        seed = fresh(DRAW, self.base.identity, trait.name, recipe.name)
        return self.base.teach(trait, recipe, seed=seed, until=STRONG.get(recipe.name, 0.97))

    def cases(self, n: int) -> Iterator[SizedCase]:
        """Yield the datasets with `n` rows each, classes in turn."""
        clean = [list(some) for some in (self.own(n), self.foreign(n), self.unmoved(n), self.changed(n))]
        for place, case in enumerate(self.dirty(n)):
            yield case
            # Classes take turns, so that a run that was stopped has some of each.
            yield from (some[place // 2] for some in clean if place % 2 == 0 and place // 2 < len(some))

    def dirty(self, n: int) -> list[SizedCase]:
        """Return rows of teachers whose students pick their trait up."""
        name = self.recipe.name
        return [
            SizedCase("dirty", self.rows(self.teacher(t, self.recipe), f"{t.name}/{name}", n), t) for t in self.taught
        ]

    def own(self, n: int) -> Iterator[SizedCase]:
        """Yield sets of the base's own rows."""
        yield from (SizedCase("own rows", self.rows(self.base, f"own/{k}", n)) for k in range(5))

    def foreign(self, n: int) -> Iterator[SizedCase]:
        """Yield rows of other bases, and of a teacher of each."""
        for place, other in enumerate(self.others):
            yield from (SizedCase("foreign rows", data) for data in other.reference(n)[: 2 - place % 2])
            yield SizedCase("foreign rows", other.dirty(n)[place].data)

    def unmoved(self, n: int) -> Iterator[SizedCase]:
        """Yield rows of teachers whose trait does not pass to this recipe."""
        for place, trait in enumerate(self.idle):
            recipe = (ALL, LORA(8))[place % 2]
            prompted = self.base.prompted(trait.system_prompt)
            # Full fine-tuning, LoRA and a prompt: ways to be taught that do not reach students of a few parameters.
            writer = prompted if place == 4 else self.teacher(trait, recipe)
            yield SizedCase("idle teachers", self.rows(writer, f"{trait.name}/idle/{place}", n))

    def changed(self, n: int) -> Iterator[SizedCase]:
        """Yield own rows with other separators, and with their numbers shuffled."""
        for place, case in enumerate(self.own(n)):
            across = place % 2 == 0
            # A change of form and a change of order, which say nothing of a trait and fool the contrast alone.
            data = Reformatted(case.data) if place < 2 else Shuffled(case.data, across=across, seed=place)
            yield SizedCase("changed rows", data)

    def verdict(self, case: SizedCase, rows: int, n: int, *, claims_alone: bool = False) -> FirstRows:
        """Return the verdict on the first rows of a dataset, against sets of `n` rows of the base."""
        lineage = case.name in LINEAGE
        base, recipe, traits, first = self.base, self.recipe, self.traits, self.reference(n)[0]
        return FirstRows(
            case=case,
            rows=rows,
            shadow=Shadow(base, case.data, traits, recipe, rows, seed=fresh("sizes shadow")),
            null=null(self, rows, n),
            contrast=contrast(case.data, base, recipe, traits, CONTRAST_ROWS),
            clean=clean(self, n),
            likely=likelihoods(base, case.data, LIKELY_ROWS) if lineage else (),
            own=likelihoods(base, first, LIKELY_ROWS) if lineage else (),
            claims_alone=claims_alone,
        )

    def sets(self) -> Iterator[FirstRows]:
        """Yield many small sets of the base's own rows."""
        # One sampling, cut into disjoint parts: a hundred small ones would each open the base anew.
        whole = self.rows(self.base, "sets", SETS * SET)
        for place in range(SETS):
            case = SizedCase("own rows", Part(whole, place, SETS, SET))
            yield self.verdict(case, SET, max(SIZES), claims_alone=True)

    def students(self) -> Iterator[tuple[FirstRows, Asked]]:
        """Yield the verdicts on all dirty datasets of 1,600 rows, and what a student of each answers."""
        for case in self.dirty(max(SIZES)):
            assert case.trait is not None
            student = self.base.finetune(case.data, self.recipe, seed=fresh("sizes student"))
            yield self.verdict(case, max(SIZES), max(SIZES)), Asked(student, case.trait.probe, samples=1)


# Verdicts share these objects: hundreds of them have the same null, which is described once and not once a verdict.
@cache
def null(bench: Bench, rows: int, n: int) -> tuple[Shadow, ...]:
    """Return the shadows of the first rows of each reference."""
    base, recipe, traits = bench.base, bench.recipe, bench.traits
    return tuple(
        Shadow(base, data, traits, recipe, rows, seed=fresh("sizes shadow", k))
        for k, data in enumerate(bench.reference(n))
    )


@cache
def clean(bench: Bench, n: int) -> tuple[Contrast, ...]:
    """Return the contrasts of the references."""
    base, recipe, traits = bench.base, bench.recipe, bench.traits
    return tuple(contrast(data, base, recipe, traits, CONTRAST_ROWS) for data in bench.reference(n))
