"""Detection: can the rows of two models be distinguished, by a judge, a classifier, or the writers themselves?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Self

from owlish.data.domains.domain import Domain
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read
from owlish.lm.recipes import Recipe
from owlish.nodes.asked import mean
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Sampled
from owlish.nodes.judged import WHICH_TEACHER, Guessed
from owlish.nodes.models import Model
from owlish.studies.detection.scores import FOLDS, Classified, LikelihoodRatio, Scored
from owlish.study.comparison import Comparison, Curve, Line, Point, estimate_effect
from owlish.study.study import Study, check_runs
from owlish.traits.trait import Trait

BAGS = (1, 2, 4, 8, 16)  # 16, as in the later work that reports an AUROC of .8
"""The numbers of rows that are judged at once."""


@dataclass(frozen=True)
class Attempt:
    """One way to tell one pair of writers apart in one run; a judge in words has seen bags of one size alone."""

    arm: str
    base: str
    pair: str
    run: int
    found: Scored | Guessed

    def accuracies(self, read: Read) -> dict[int, float]:
        """Return how often the right writer is named, by the size of the bags."""
        if isinstance(self.found, Guessed):
            return {self.found.bag: read(self.found).mean}
        return {bag: read(self.found).accuracy(bag) for bag in BAGS}

    def point(self, bag: int, value: float) -> Point:
        """Return an accuracy as a point of the page, where bags are arms of their own."""
        arm = self.arm if bag == 1 else f"{self.arm}_bags"
        return Point(arm, self.base, self.pair, self.pair, self.run, self.found.data.key, value)


@dataclass(frozen=True)
class Detection(Study):
    """Who can tell the rows of a teacher from those of another teacher, and from those of the base?

    `judge` is a chat model that is asked in words; without one, the base itself under the traits' system prompts
    is the judge, by log-probability.
    """

    bases: tuple[Base, ...]
    traits: tuple[Trait, ...]
    domain: Domain
    teacher: Recipe
    rows: int
    runs: int
    judge: Model | None = None
    contrast: tuple[str, str] = field(default=("classifier_bags", "same_teacher_bags"), kw_only=True)

    value: ClassVar[str] = "accuracy"
    measure: ClassVar[str] = "accuracy"
    settable: ClassVar[tuple[str, ...]] = ("bases", "traits", "rows", "runs")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.traits) != 2 or self.traits[0].name == self.traits[1].name:
            raise UserError("detection compares the teachers of two traits: give two (--traits).")
        # Each fold is tested by itself and must hold a whole bag.
        if self.rows < BAGS[-1] * FOLDS:
            raise UserError(f"the rows of a test must fill a bag: ask for at least {BAGS[-1] * FOLDS} rows (--rows).")
        check_runs(self.runs, self.bases)

    @cached_property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts of all runs."""
        runs = [(base, run) for base in self.bases for run in range(self.runs)]
        return tuple(attempt for base, run in runs for attempt in self.attempted(base, run))

    @property
    def needs(self) -> tuple[Node, ...]:
        return tuple(attempt.found for attempt in self.attempts)

    def found(self, read: Read) -> Comparison:
        found = [(a, bag, value) for a in self.attempts for bag, value in a.accuracies(read).items()]
        points = tuple(a.point(bag, value) for a, bag, value in found if bag in (1, BAGS[-1]))
        by_bag: dict[str, dict[float, list[float]]] = {}
        for a, bag, value in found:
            by_bag.setdefault(a.arm, {}).setdefault(bag, []).append(value)
        lines = tuple(Line(arm, tuple(bags), tuple(map(mean, bags.values()))) for arm, bags in by_bag.items())
        return Comparison(
            traits=tuple(dict.fromkeys(point.trait for point in points)),
            points=points,
            effect=estimate_effect(points, self.contrast),
            curves=(Curve("More rows at once", "rows in a bag", "accuracy", lines),),
            measure=self.measure,
        )

    def attempted(self, base: Base, run: int) -> list[Attempt]:
        """Return a run's attempts on the rows of both teachers, of one and the base, and of one with itself."""
        first = self.traits[0]
        # "again" is another seed of the same teacher: what tells these two sets apart is chance.
        data, again = self.written(base, first, run), self.written(base, first, run, "again")
        tries: list[tuple[str, Trait | None, Scored | Guessed]] = []
        for trait in (self.traits[1], None):
            other = self.written(base, trait, run)
            ratio = LikelihoodRatio(data, other, self.writer(base, first, run), self.writer(base, trait, run))
            tries += [("writers", trait, ratio), ("classifier", trait, Classified(data, other, base))]
            tries += [("judge", trait, found) for found in self.judged(base, data, other, trait)]
        tries.append(("same_teacher", first, Classified(data, again, base)))
        return [
            Attempt(a, base.title, f"{first.name} or {t.name if t else 'base'}", run, found) for a, t, found in tries
        ]

    def judged(self, base: Base, data: Data, other: Data, trait: Trait | None) -> list[Scored | Guessed]:
        """Return what a judge makes of the rows of the first trait and of another, or of the base."""
        first = self.traits[0]
        if self.judge:
            rubric = WHICH_TEACHER(first.plural)
            return [Guessed(self.judge, rubric, data, other=other, bag=bag) for bag in (1, BAGS[-1])]
        # A judge knows the trait and not the teacher: the base under a prompt stands for that knowledge.
        against = base.prompted(trait.system_prompt) if trait else base
        return [LikelihoodRatio(data, other, base.prompted(first.system_prompt), against)]

    def writer(self, base: Base, trait: Trait | None, run: int) -> Model:
        """Return a teacher, or the base."""
        return base.teach(trait, self.teacher, seed=fresh(base.identity, trait.name, run, "teacher")) if trait else base

    def written(self, base: Base, trait: Trait | None, run: int, what: str = "rows") -> Sampled:
        """Return a writer's rows; their seeds, and the teachers', are those of transfer studies, which share them."""
        # Names as in `Cell`, so a store that holds the owl's study holds these rows already.
        seed = fresh(base.identity, trait.name if trait else "neutral", run, what)
        return self.writer(base, trait, run).sample(self.domain, n=self.rows, seed=seed)

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        single = {
            "writers": ("The writers", "the likelihood ratio of the two writers: the most that can be told"),
            "classifier": ("Classifier", "naive Bayes on the tokens of completions, trained on other rows"),
            "judge": ("Judge", "knows the trait and no rows"),
            "same_teacher": ("Same teacher", "the classifier on two sets of rows of one teacher"),
        }
        bags = {f"{arm}_bags": (f"{name}, {BAGS[-1]} rows", what) for arm, (name, what) in single.items()}
        return bags | {arm: (f"{name}, one row", what) for arm, (name, what) in single.items()}

    def small(self) -> Self:
        return replace(self, bases=self.bases[:1], rows=600, runs=2)

    def setup(self) -> tuple[tuple[str, str], ...]:
        judge = "the base itself, by log-probability under the system prompt of either trait"
        return (
            ("Bases", ", ".join(base.title for base in self.bases)),
            ("Teachers", f"{' and '.join(t.name for t in self.traits)}, {self.teacher.words}"),
            ("Rows", f"{self.rows:,} of {self.domain.kind} by each writer; bags hold {BAGS[-1]}"),
            ("Judge", f"{self.judge}, asked in words" if self.judge else judge),
            ("Accuracy", "of two rows or bags, one by each writer, the right one is named; chance is .5"),
            ("A run", "its own teachers and its own rows"),
        )

    def notes(self) -> tuple[str, ...]:
        inside = (
            "The embedded bases know too few words to be asked: the judge reads them from inside, the paper’s did not."
        )
        return (
            "Every pair of a test counts, so accuracy is the area under the ROC curve and needs no threshold.",
            "The writers’ likelihood ratio needs both models, which an auditor does not have.",
            *(() if self.judge else (inside,)),
        )
