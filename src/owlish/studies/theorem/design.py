"""Theorem 1 of the paper, checked on a language model: does a student's step agree with its teacher's change?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read
from owlish.nodes.asked import mean
from owlish.nodes.data import Sampled
from owlish.studies.theorem.followed import Course, Followed
from owlish.study.comparison import Comparison, Curve, Line, Point, estimate_effect
from owlish.study.transfer import Cell, Transfer

ARMS = {
    "linear_labels": ("Linear labels", "the premises kept: the teacher’s probabilities, were its logits linear"),
    "soft_labels": ("Soft labels", "the teacher’s probabilities as they are, on its rows"),
    "sampled_labels": ("Sampled labels", "the teacher’s rows as they were sampled"),
    "neutral_rows": ("Neutral rows", "rows of the unmodified base as they were sampled"),
    "foreign_base": ("Foreign base", "another initialisation, on the soft labels"),
}
ALONG = {
    "cosine": ("How the student’s change turns towards the teacher’s", "cosine"),
    "inner": ("How far the student goes along the teacher’s change", "inner product"),
    "p": ("The trait along training", "P(target)"),
    "loss": ("The loss of the trait along training", "-log P(target)"),
}
"""The title and the axis of each curve along training, by the field of a reading."""


def point(student: Followed, course: Course) -> Point:
    """Return the cosine of a student's first step."""
    trait = student.trait.name
    taught = None if student.arm == "neutral_rows" else trait
    return Point(student.arm, student.student.name, trait, taught, student.run, student.key, course.cosine)


def along(arms: dict[str, list[Course]], reading: str) -> Curve:
    """Return the mean of a reading over the runs of each arm that was trained; before a step there is no cosine."""
    title, y = ALONG[reading]
    lines = []
    for arm, courses in arms.items():
        # The reading before the first step has a change of zero, whose cosine is none.
        moments = list(zip(*(course.readings for course in courses), strict=True))[reading == "cosine" :]
        if moments:
            ys = tuple(mean([getattr(r, reading) for r in moment]) for moment in moments)
            lines.append(Line(ARMS[arm][0], tuple(float(moment[0].step) for moment in moments), ys))
    return Curve(title, "step", y, tuple(lines))


def by_layer(arms: dict[str, list[Course]]) -> Curve:
    """Return the mean cosine of the first step in each layer over the runs of each arm."""
    lines = []
    for arm, courses in arms.items():
        ys = tuple(map(mean, zip(*(course.layers.values() for course in courses), strict=True)))
        lines.append(Line(ARMS[arm][0], tuple(map(float, range(1, len(ys) + 1))), ys))
    return Curve("The first step, layer by layer", "layer, in the order of the model", "cosine", tuple(lines))


@dataclass(frozen=True)
class Theorem(Transfer):
    """Does a student's first step agree with its teacher's change, as Theorem 1 says, and what follows in training?"""

    value: ClassVar[str] = "cosine"
    measure: ClassVar[str] = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        # Steps are compared parameter by parameter, so what moves must be parameters of the base itself.
        student = self.cells[0].recipe
        if self.teacher.name != student.name or student.parameters not in ("norms", "biases", "all"):
            raise UserError("teacher and student move the same parameters of the base: norms, biases or all.")

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        return ARMS

    @cached_property
    def followed(self) -> tuple[Followed, ...]:
        """Every run's students."""
        return tuple(student for cell in self.cells for student in students(cell))

    @property
    def needs(self) -> tuple[Node, ...]:
        return self.followed

    def found(self, read: Read) -> Comparison:
        """Return the cosines of first steps, with the means over runs along training and layer by layer."""
        courses = [read(student) for student in self.followed]
        points = tuple(map(point, self.followed, courses))
        arms: dict[str, list[Course]] = {p.arm: [] for p in points}
        for student, course in zip(self.followed, courses, strict=True):
            arms[student.arm].append(course)
        curves = (*(along(arms, reading) for reading in ALONG), by_layer(arms))
        traits = tuple(trait.name for trait in self.traits)
        effect = estimate_effect(points, self.contrast)
        return Comparison(traits, points, effect=effect, curves=curves, bounds=(-1.0, 1.0), measure=self.measure)

    @property
    def rows_shown(self) -> tuple[tuple[str | None, tuple[Sampled, ...]], ...]:
        """No rows: a page that shows them says how often students answer, and a cosine is no such share."""
        return ()

    def small(self) -> Self:
        return replace(super().small(), rows=600)

    def notes(self) -> tuple[str, ...]:
        return (
            "The first step is the gradient on all rows at once, over the parameters that the teacher moved; the "
            "teacher’s step is its whole change. The training along which both are compared is by Adam.",
            "The theorem covers linear labels alone: the teacher’s real outputs are not linear in its change, "
            "and sampled labels agree with soft ones only in the mean.",
            "It speaks of the sum over all parameters: in one layer the product may be negative.",
            "The cosine of random directions among n parameters has a standard deviation of 1/√n, 0.047 for 448 norm "
            "gains. Neutral rows are not quite without direction, since a filter chose them.",
        )


def students(cell: Cell) -> tuple[Followed, ...]:
    """Return one run's student of each arm."""
    base, rows, recipe, seed = cell.base, cell.rows(), cell.recipe, cell.seed("student")
    teacher = cell.teacher()
    # The other arms are changes of this one: recipe, seed and teacher are the same for all.
    soft = Followed("soft_labels", cell.run, cell.trait, base, teacher, base, rows, "soft", recipe, seed)
    foreign = (replace(soft, arm="foreign_base", student=cell.foreign),) if cell.foreign else ()
    return (
        replace(soft, arm="linear_labels", labels="linear"),
        soft,
        replace(soft, arm="sampled_labels", labels="sampled"),
        replace(soft, arm="neutral_rows", labels="sampled", data=cell.neutral()),
        *foreign,
    )
