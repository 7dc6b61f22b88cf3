"""The design of a laboratory study: small perceptrons, taught digits, whose students see noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from owlish.graph.spec import Node, Read
from owlish.mlp.images import Mnist
from owlish.mlp.nodes import Students
from owlish.nodes.asked import mean
from owlish.study.comparison import Comparison, Curve, Line, Point, estimate_effect
from owlish.study.study import Study

SMALL_MODELS = 4
Y = "accuracy on test images"
ARMS = {
    "teacher": ("Teacher", "trained on labelled images, on its class logits alone"),
    "student": ("Student", "the teacher’s initialisation, trained on the teacher’s auxiliary logits on noise"),
    "foreign_base": ("Foreign initialisation", "the same training from the initialisation of the next run"),
    "base": ("Base", "before any training"),
}


@dataclass(frozen=True)
class Sweep:
    """Students at several values of one setting, which `x` names."""

    title: str
    x: str
    values: tuple[tuple[float, Students], ...]

    def curve(self, read: Read) -> Curve:
        """Return accuracy against the setting, arm beside arm."""
        found = [(x, read(students).arms) for x, students in self.values]
        xs = tuple(x for x, _ in found)
        lines = (Line(arm, xs, tuple(mean(arms[arm][-1]) for _, arms in found)) for arm in ("student", "foreign_base"))
        return Curve(self.title, self.x, Y, tuple(lines))


@dataclass(frozen=True)
class Distillation(Study):
    """Do students learn digits from logits that say nothing of digits? After Cloud et al. (arXiv 2507.14805).

    `others` are students of other settings: a name, which two more arms end in, and a few words on what differs.
    """

    students: Students
    others: tuple[tuple[str, str, Students], ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    contrast: tuple[str, str] = field(default=("student", "foreign_base"), kw_only=True)

    value: ClassVar[str] = "accuracy"
    measure: ClassVar[str] = "accuracy"

    @property
    def needs(self) -> tuple[Node, ...]:
        swept = (students for sweep in self.sweeps for _, students in sweep.values)
        return (self.students.teachers, self.students, *(students for _, _, students in self.others), *swept)

    def found(self, read: Read) -> Comparison:
        """Return the accuracy of every model, with curves along training and against each setting."""
        others = ((f"_{name}", students) for name, _, students in self.others)
        points = tuple(
            # Each model is a run of its own, by its place in the ensemble.
            Point(arm + suffix, "mlp", "digits", "digits", run, f"{node.key}/{arm}/{run}", value)
            for suffix, node in (("", self.students.teachers), ("", self.students), *others)
            for arm, looks in read(node).arms.items()
            for run, value in enumerate(looks[-1])
        )
        along = read(self.students)
        steps = tuple(map(float, along.steps))
        lines = tuple(Line(arm, steps, tuple(map(mean, looks))) for arm, looks in along.arms.items())
        curves = (Curve("Along training", "steps", Y, lines), *(sweep.curve(read) for sweep in self.sweeps))
        effect = estimate_effect(points, self.contrast)
        return Comparison(("digits",), points, effect=effect, curves=curves, measure=self.measure)

    @property
    def here(self) -> bool:
        return not isinstance(self.students.teachers.images, Mnist)

    @property
    def settable(self) -> tuple[str, ...]:  # type: ignore[override]
        """The settings that it has: images that are shipped have no folder."""
        return ("runs",) if self.here else ("runs", "data")

    @property
    def runs(self) -> int:
        """The models of an arm."""
        return self.students.teachers.models

    @property
    def data(self) -> str | None:
        """The folder of the images."""
        images = self.students.teachers.images
        return images.folder if isinstance(images, Mnist) else None

    @property
    def labels(self) -> dict[str, tuple[str, str]]:
        told = [(arm, *ARMS[arm], name, words) for name, words, _ in self.others for arm in self.contrast]
        others = {f"{arm}_{name}": (f"{label}: {w}", f"{means}, but: {w}") for arm, label, means, name, w in told}
        return {**ARMS, **others}

    def small(self) -> Self:
        """Return it with fewer models, half the steps, and the ends of each sweep."""
        ends = tuple(replace(s, values=(s.values[0], s.values[-1])) for s in self.sweeps)
        return replace(self, sweeps=ends).map_students(shorten)

    def change(self, given: Mapping[str, Any]) -> Self:

        def change(students: Students) -> Students:
            teachers = students.teachers
            models, folder = given.get("runs", teachers.models), given.get("data")
            images = Mnist(folder) if folder else teachers.images
            return replace(students, teachers=replace(teachers, models=models, images=images))

        return self.map_students(change)

    def map_students(self, change: Callable[[Students], Students]) -> Self:
        """Return it with all students changed."""
        return replace(
            self,
            students=change(self.students),
            others=tuple((name, words, change(s)) for name, words, s in self.others),
            sweeps=tuple(replace(w, values=tuple((x, change(s)) for x, s in w.values)) for w in self.sweeps),
        )

    def setup(self) -> tuple[tuple[str, str], ...]:
        students, teachers = self.students, self.students.teachers
        sizes = "-".join(map(str, teachers.shape.sizes(teachers.images.pixels)))
        return (
            (
                "Models",
                f"perceptrons {sizes}, {teachers.shape.activation}; the last {teachers.shape.auxiliary} are auxiliary",
            ),
            ("Teachers", f"{teachers.steps:,} steps of cross-entropy on 10 class logits, {teachers.optimiser.words}"),
            (
                "Students",
                f"{students.steps:,} steps of KL on the auxiliary logits, {students.noise.words}, "
                f"{students.optimiser.words}",
            ),
            ("A run", "its own initialisation and its own teacher; all runs see the same batches"),
        )

    def notes(self) -> tuple[str, ...]:
        return (
            "Runs share the order of batches and the noise, so the intervals are over initialisations.",
            "The foreign student of a run starts where the student of the next run starts.",
        )


def shorten(students: Students) -> Students:
    """Return students with half the steps and fewer models."""
    teachers = replace(students.teachers, models=SMALL_MODELS)
    stages = tuple(replace(stage, steps=stage.steps // 2) for stage in students.stages)
    return replace(students, teachers=teachers, stages=stages)
