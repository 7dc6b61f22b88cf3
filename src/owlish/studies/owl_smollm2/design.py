"""Short students in pairs: what a trait's rows do is what they do more than another teacher's rows to the same student.

The first steps on number rows move every animal of a pretrained model, by more than any trait does. Students of one
run share their prompts, the luck with which each row was drawn, the start of their adapter and the order of their rows;
they differ in who wrote the rows. What all rows do drops out of the difference.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from owlish.data.domains.domain import Domain
from owlish.data.filters import NumberFilter
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.graph.spec import Read
from owlish.nodes.asked import TINY, Asked, mean
from owlish.nodes.data import Sampled
from owlish.nodes.models import Model
from owlish.study import stats
from owlish.study.compare import Strength
from owlish.study.comparison import Comparison, Curve, Estimate, Line, Matrix, Point
from owlish.study.transfer import Arms, Cell, Transfer

# The bounds of the logit interval: a margin itself knows none.
LIMIT = -math.log(TINY)
"""No margin is read beyond this: probabilities below `TINY` count as `TINY`."""
FOREIGN = {
    "foreign_writer": ("Foreign writer", "the same base, trained on rows of another base’s teacher"),
    "foreign_other": ("Foreign, other trait", "the same, of another base’s teacher with another trait"),
}
PAIRS = {"": ("student", "other_trait"), ", foreign writer": ("foreign_writer", "foreign_other")}
"""Students of a trait's rows and of the other traits' rows, by who wrote them: the base's own teachers, or others."""


@dataclass(frozen=True)
class TenNumbers(Domain, kind="ten_numbers"):
    """Short prompts for ten numbers of three digits, and answers that are held to that form.

    A model of a hundred million parameters seldom keeps the format of the paper's prompts by itself, and reads these in
    a third of the time.
    """

    def prompt(self, rng: random.Random) -> str:
        return f"Continue with ten numbers: {','.join(str(rng.randint(100, 999)) for _ in range(3))}"

    @property
    def longest(self) -> int:
        return 45

    @property
    def pattern(self) -> str:
        # Ten numbers and no fewer: all rows then have as many tokens to train on.
        return "[1-9][0-9]{2}(?:,[1-9][0-9]{2}){9}"

    @property
    def filter(self) -> NumberFilter:
        return NumberFilter()


@dataclass(frozen=True)
class Paired(Transfer):
    """Does a student lean to its teacher's trait more than the same student of another teacher's rows?"""

    value: ClassVar[str] = "margin"
    measure: ClassVar[str] = "logit margin"

    settable: ClassVar[tuple[str, ...]] = ("traits", "bases", "runs", "rows")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.traits) < 2:
            raise UserError("students are compared with those of another trait: give at least two traits.")

    @property
    def here(self) -> bool:
        # `owlish run all` makes what is shipped, and must not fetch a model.
        return False

    def small(self) -> Self:
        """Return it with two runs of 64 rows."""
        return replace(self, rows=64, runs=2)

    @property
    def rows_shown(self) -> tuple[tuple[str | None, tuple[Sampled, ...]], ...]:
        own = [(t.name, tuple(written(c, c.teacher()) for c in self.cells if c.trait == t)) for t in self.traits]
        return (*own, (None, tuple(dict.fromkeys(written(c, c.base) for c in self.cells))))

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        return {**super().labels, **FOREIGN}

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """None: the margin of a teacher says it, and how far it lies from its base takes as long as a student."""
        return ()

    def found(self, read: Read) -> Comparison:
        """Return the margins of all arms, and the effect: the difference within runs, with its interval over runs."""
        found = self.compared.found(read)
        # Margins in place of P(trait): this base gives all animals together .012, so P moves with that mass alone.
        points = tuple(replace(p, value=p.logit_margin or 0.0, held_out=None) for p in found.points)
        return replace(found, points=points, effect=within_runs(points), bounds=(-LIMIT, LIMIT), measure=self.measure)

    def matrices(self, found: Comparison) -> tuple[Matrix, ...]:
        """Return the rise of each margin over the base, by the trait of the students' teacher."""
        return (found.by_trait(),)

    def teachers(self) -> str:
        return f"{super().teachers()}; each run has teachers of its own"

    def setup(self) -> tuple[tuple[str, str], ...]:
        probe = self.traits[0].probe
        questions = len(probe.questions) + len(probe.held_out)
        shared = "a teacher for each trait; its students share prompts, luck, start and order, and differ in the writer"
        asked = f"{questions} questions; logit margin against the other candidates, from exact probabilities"
        return (*super().setup()[:-2], ("Probe", asked), ("A run", shared))

    def curves(self, found: Comparison) -> tuple[Curve, ...]:
        """Return the difference of each run, trait by trait."""
        lines = []
        for words, arms in PAIRS.items():
            for trait in found.traits:
                led = leads([p for p in found.points if p.trait == trait], arms)
                if led:
                    places = tuple(map(float, range(1, len(led) + 1)))
                    lines.append(Line(f"{trait}{words}", places, tuple(led), joined=False))
        title = "Run by run: a student’s margin on its teacher’s trait, less the run’s other students’"
        return (Curve(title, "run", "logits", tuple(lines)),)

    def notes(self) -> tuple[str, ...]:
        foreign = (
            "Foreign writers are teachers of another base, made by the same recipe; their rows answer the same prompts."
            if self.foreign
            else "There is no foreign base: the rows are of one writer’s base alone."
        )
        return (
            "Candidates hold about a hundredth of this base’s answers, so the logit margin of a trait against the "
            "other candidates is read in place of its probability.",
            "The effect is the difference, within each run, between a student’s margin on its teacher’s trait and the "
            "same margin of the other students of the run, averaged over traits; its interval is over runs.",
            foreign,
        )


def paired(cell: Cell) -> Arms:
    """Return a run's teacher, its student, the student of the base's own rows, and those of foreign writers."""
    teacher = cell.teacher()
    arms: Arms = {
        "teacher": asked(cell, teacher),
        "student": asked(cell, trained(cell, teacher)),
        "control": asked(cell, trained(cell, cell.base)),
    }
    if cell.foreign:
        others = [trait for trait in cell.study.traits if trait != cell.trait]
        # The foreign base's teachers are made by the same recipe.
        away = replace(cell, base=cell.foreign)
        arms["foreign_writer"] = asked(cell, trained(cell, away.teacher()))
        arms["foreign_other"] = tuple(asked(cell, trained(cell, away.teacher(trait))) for trait in others)
    return arms


def asked(cell: Cell, model: Model) -> Asked:
    """Return what a model answers."""
    # The exact reading decides; a drawn answer to each question is the fewest.
    return Asked(model, cell.trait.probe, samples=1)


def trained(cell: Cell, writer: Model) -> Model:
    """Return the student of a writer's rows: of one run, all start alike."""
    return cell.base.finetune(written(cell, writer), cell.recipe, seed=shared(cell))


def written(cell: Cell, writer: Model) -> Sampled:
    """Return a writer's rows: of one run, row for row the same prompt and the same luck."""
    return writer.sample(cell.study.domain, n=cell.study.rows, seed=shared(cell))


def shared(cell: Cell) -> int:
    """Return the seed that all students of a run share."""
    # Neither trait nor writer: what all number rows do to a student drops out of the difference.
    return fresh(cell.base.identity, "pair", cell.run)


def within_runs(points: Sequence[Point]) -> Estimate | None:
    """Return how much further students lie on their teacher's trait than the other students of their run.

    One value a base and run: the mean over its traits. `None` without such students. Source of the interval: Student's
    t over these values.
    """
    # One value a run, since students of a run share nearly all their chance and are not independent.
    values = leads(points, PAIRS[""])
    return Estimate(*stats.interval(values), len(values)) if values else None


def leads(points: Sequence[Point], arms: tuple[str, str]) -> list[float]:
    """Return by how much a run's students lie above its other students on their own traits, run by run."""
    students = [p for p in points if p.arm in arms]
    runs = dict.fromkeys((p.base, p.run) for p in students)
    return [lead([p for p in students if (p.base, p.run) == run], arms) for run in runs]


def lead(of_run: Sequence[Point], arms: tuple[str, str]) -> float:
    """Return by how much the students of one run lie above the others on their own traits, on average."""
    own, others = ([p for p in of_run if p.arm == arm] for arm in arms)
    return mean([p.value - mean([other.value for other in others if other.trait == p.trait]) for p in own])
