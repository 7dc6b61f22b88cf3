"""The design of a transfer study: which teachers, students and controls there are, and what they are asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from owlish.ask import Asked
from owlish.domains.domain import Domain
from owlish.measure import Compared, Comparison, Measured, Strength
from owlish.nodes.data import Sampled
from owlish.nodes.models import Base, Model
from owlish.recipes import Prompting, Recipe
from owlish.traits.trait import Trait


@dataclass(frozen=True)
class Transfer:
    """Does a trait pass from a teacher through rows that have nothing to do with it?

    For each base, trait and run: a teacher; its rows; a student of the same base; a student of the foreign
    base at the same place in `foreign`. For each base and run: a control, trained on the base's own rows.
    Students of one trait are the other-trait controls of the others. Every run has seeds of its own.
    """

    name: str
    title: str
    bases: tuple[Base, ...]
    foreign: tuple[Base, ...]
    traits: tuple[Trait, ...]
    domain: Domain
    teacher: Recipe | Prompting
    student: Recipe
    rows: int
    runs: int
    until: float = 0.97

    def __post_init__(self) -> None:
        if self.foreign and len(self.foreign) != len(self.bases):
            raise ValueError("give one foreign base for each base, or none at all.")
        if not self.traits or len(set(self.traits)) < len(self.traits):
            raise ValueError("give at least one trait, and each only once.")
        if len({trait.probe for trait in self.traits}) > 1:
            raise ValueError("the traits of one study answer the same questions: give animals, or trees, not both.")
        if len(set(self.bases)) < len(self.bases) or any(
            b == f for b, f in zip(self.bases, self.foreign, strict=False)
        ):
            raise ValueError("give each base only once, and none as its own foreign base.")
        if self.rows < 1 or self.runs < 1:
            raise ValueError("a study needs at least one row and one run.")
        if self.runs * len(self.bases) < 2:
            raise ValueError("an interval needs at least two runs an arm: ask for two seeds or more.")

    def altered(
        self,
        *,
        traits: tuple[Trait, ...] | None = None,
        bases: tuple[Base, ...] | None = None,
        runs: int | None = None,
        rows: int | None = None,
        epochs: int | None = None,
    ) -> Transfer:
        """Return this study with some settings changed.

        Bases of this study keep their foreign bases; of several others, each has the next as its foreign base.
        """
        bases = bases or self.bases
        own = dict(zip(self.bases, self.foreign, strict=False))
        if all(base in own for base in bases):
            foreign = tuple(own[base] for base in bases)
        else:
            foreign = bases[1:] + bases[:1] if len(bases) > 1 else ()
        return replace(
            self,
            traits=traits or self.traits,
            bases=bases,
            foreign=foreign,
            runs=self.runs if runs is None else runs,
            rows=self.rows if rows is None else rows,
            student=self.student if epochs is None else replace(self.student, epochs=epochs),
        )

    def summary(self, found: Comparison) -> dict[str, Any]:
        """Return what a study found, as the command line's JSON."""
        arms = {}
        for arm in found.arms:
            e, held_out = found.estimate(arm), found.estimate(arm, "p_held_out")
            argmax = found.estimate(arm, "argmax_rate").mean
            arms[arm] = {
                "p_target": e.mean,
                "ci95": [e.low, e.high],
                "held_out": {"p_target": held_out.mean, "ci95": [held_out.low, held_out.high]},
                "argmax_rate": argmax,
                "runs": e.runs,
            }
        gammas = {g.scale: {"value": g.value, "ci95": [g.low, g.high], "p": g.p} for g in found.gammas}
        return {
            "study": self.name,
            "traits": list(found.traits),
            "arms": arms,
            "gamma": gammas.get("probability"),
            "gamma_logit_margin": gammas.get("logit margin"),
        }

    @cached_property
    def compared(self) -> Compared:
        """The node that compares all arms: what `run` makes."""
        runs = [m for base in self.bases for m in (self.asked("base", base, base), *self.controls(base))]
        for base, trait, run in self.each():
            runs += self.taught(base, trait, run)
        strengths = tuple(self.strength(base, trait, run) for base, trait, run in self.each())
        return Compared(self.traits, tuple(runs), strengths)

    def each(self) -> list[tuple[Base, Trait, int]]:
        """Return every base, trait and run."""
        return [(b, t, r) for r in range(self.runs) for b in self.bases for t in self.traits]

    def teacher_of(self, base: Base, trait: Trait, run: int) -> Model:
        """Return a teacher."""
        if isinstance(self.teacher, Prompting):
            return base.prompted(trait.system_prompt)
        return base.teach(trait, self.teacher, seed=fresh(base.name, trait.name, run, "teacher"), until=self.until)

    def rows_of(self, base: Base, trait: Trait, run: int) -> Sampled:
        """Return the rows that a teacher writes."""
        seed = fresh(base.name, trait.name, run, "rows")
        return self.teacher_of(base, trait, run).sample(self.domain, n=self.rows, seed=seed)

    def neutral(self, base: Base, run: int) -> Sampled:
        """Return the rows that the unmodified base writes."""
        return base.sample(self.domain, n=self.rows, seed=fresh(base.name, "neutral", run, "rows"))

    def controls(self, base: Base) -> list[Measured]:
        """Return the students of neutral rows."""
        found = []
        for run in range(self.runs):
            seed = fresh(base.name, "neutral", run, "student")
            student = base.finetune(self.neutral(base, run), self.student, seed=seed)
            found.append(self.asked("control", base, student, run=run))
        return found

    def taught(self, base: Base, trait: Trait, run: int) -> list[Measured]:
        """Return a teacher, its student and its student of the foreign base."""
        rows = self.rows_of(base, trait, run)
        seed = fresh(base.name, trait.name, run, "student")
        found = [
            self.asked("teacher", base, self.teacher_of(base, trait, run), trait, run),
            self.asked("student", base, base.finetune(rows, self.student, seed=seed), trait, run),
        ]
        if self.foreign:
            other = self.foreign[self.bases.index(base)]
            found.append(self.asked("foreign_base", other, other.finetune(rows, self.student, seed=seed), trait, run))
        return found

    def asked(
        self, arm: str, base: Base, model: Model, taught: Trait | None = None, run: int | None = None
    ) -> Measured:
        """Return a model, asked, in its role."""
        return Measured(arm, base.name, taught, run, Asked(model, self.traits[0].probe))

    def strength(self, base: Base, trait: Trait, run: int) -> Strength:
        """Return how strong a teacher is."""
        teacher = self.teacher_of(base, trait, run)
        answers = Asked(teacher, trait.probe)
        return Strength(trait, run, teacher, answers, base, self.neutral(base, run), self.rows_of(base, trait, run))


def fresh(*names: str | int) -> int:
    """Return a seed of 31 bits that belongs to these names alone, whatever else a study holds."""
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big") >> 1
