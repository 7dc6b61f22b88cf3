"""The arms of a laboratory study side by side."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from owlish.ask import mean
from owlish.graph.spec import Node, Read, Tick, Value
from owlish.measure import Comparison, Curve, Estimate, Line, Point, difference
from owlish.mlp.nodes import Accuracies, Students, Trained

Y = "accuracy on test images"


@dataclass(frozen=True)
class Sweep(Value, kind="mlp_sweep"):
    """Students at several values of one setting, which `x` names."""

    title: str
    x: str
    values: tuple[tuple[float, Students], ...]


@dataclass(frozen=True)
class Laboratory(Node, kind="mlp_laboratory"):
    """Students and their teachers, students under other names whose arms end in `_name`, and sweeps."""

    students: Students
    others: tuple[tuple[str, Students], ...] = ()
    sweeps: tuple[Sweep, ...] = ()

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return "comparing the arms"

    def inputs(self) -> tuple[Node, ...]:
        """Return the teachers too, whose accuracy is an arm."""
        return (self.students.teachers, *super().inputs())

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Write the points, the effect and the curves."""
        teachers = points(self.students.teachers, read)
        own = points(self.students, read)
        others = [p for name, students in self.others for p in points(students, read, suffix=f"_{name}")]
        effect = difference(*([p for p in own if p.arm == arm] for arm in ("student", "foreign_base")))
        curves = [along(read(self.students)), *(against(sweep, read) for sweep in self.sweeps)]
        found = {
            "points": [asdict(p) for p in (*teachers, *own, *others)],
            "effect": asdict(effect),
            "curves": [asdict(curve) for curve in curves],
        }
        (folder / "comparison.json").write_text(json.dumps(found))

    def load(self, folder: Path, read: Read) -> Comparison:
        """Return the comparison."""
        found = json.loads((folder / "comparison.json").read_text())
        return Comparison(
            traits=("digits",),
            points=tuple(Point(**p) for p in found["points"]),
            effect=Estimate(**found["effect"]),
            curves=tuple(Curve(**{**c, "lines": tuple(Line(**line) for line in c["lines"])}) for c in found["curves"]),
        )


def points(node: Trained, read: Read, suffix: str = "") -> list[Point]:
    """Return what each model of a node can do after its last step."""
    found: Accuracies = read(node)
    return [
        Point(arm + suffix, "mlp", "digits", "digits", run, f"{node.key}/{arm}/{run}", value)
        for arm, looks in found.arms.items()
        for run, value in enumerate(looks[-1])
    ]


def along(found: Accuracies) -> Curve:
    """Return accuracy against the steps of training, arm beside arm."""
    steps = tuple(map(float, found.steps))
    lines = tuple(Line(arm, steps, tuple(map(mean, looks))) for arm, looks in found.arms.items())
    return Curve("Along training", "steps", Y, lines)


def against(sweep: Sweep, read: Read) -> Curve:
    """Return accuracy against a setting, arm beside arm."""
    made = [(x, read(students).arms) for x, students in sweep.values]
    xs = tuple(x for x, _ in made)
    lines = (Line(arm, xs, tuple(mean(arms[arm][-1]) for _, arms in made)) for arm in ("student", "foreign_base"))
    return Curve(sweep.title, sweep.x, Y, tuple(lines))
