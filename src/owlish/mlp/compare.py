"""The arms of a laboratory study side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.graph.spec import Node, Read, Tick, Value
from owlish.mlp.nodes import Students
from owlish.nodes.asked import mean
from owlish.study.comparison import Comparison, Curve, Line, Point, difference

Y = "accuracy on test images"
ARMS = ("student", "foreign_base")


@dataclass(frozen=True)
class Sweep(Value, kind="mlp_sweep"):
    """Students at several values of one setting, which `x` names."""

    title: str
    x: str
    values: tuple[tuple[float, Students], ...]


@dataclass(frozen=True)
class Laboratory(Node, kind="mlp_laboratory", version=2):
    """Students and their teachers, students under other names whose arms end in `_name`, and sweeps."""

    caption = "comparing the arms"

    students: Students
    others: tuple[tuple[str, Students], ...] = ()
    sweeps: tuple[Sweep, ...] = ()

    def inputs(self) -> tuple[Node, ...]:
        """Return the teachers too, whose accuracy is an arm."""
        return (self.students.teachers, *super().inputs())

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        found = {node.key: read(node) for node in self.inputs()}
        plain = {key: {"steps": each.steps, "arms": each.arms} for key, each in found.items()}
        (folder / "accuracies.json").write_text(json.dumps(plain))

    def load(self, folder: Path, read: Read) -> Comparison:
        """Return the comparison, with curves along training and against each setting."""
        found = json.loads((folder / "accuracies.json").read_text())
        named = (("", self.students.teachers), ("", self.students), *((f"_{name}", each) for name, each in self.others))
        points = [
            Point(arm + suffix, "mlp", "digits", "digits", run, f"{node.key}/{arm}/{run}", value)
            for suffix, node in named
            for arm, looks in found[node.key]["arms"].items()
            for run, value in enumerate(looks[-1])
        ]
        effect = difference(*([p for p in points if p.arm == arm] for arm in ARMS))
        along = found[self.students.key]
        steps = tuple(map(float, along["steps"]))
        lines = tuple(Line(arm, steps, tuple(map(mean, looks))) for arm, looks in along["arms"].items())
        curves = (Curve("Along training", "steps", Y, lines), *(against(sweep, found) for sweep in self.sweeps))
        return Comparison(("digits",), tuple(points), effect=effect, curves=curves)


def against(sweep: Sweep, found: dict[str, Any]) -> Curve:
    """Return accuracy against a setting, arm beside arm."""
    xs = tuple(x for x, _ in sweep.values)
    ys = {arm: tuple(mean(found[each.key]["arms"][arm][-1]) for _, each in sweep.values) for arm in ARMS}
    return Curve(sweep.title, sweep.x, Y, tuple(Line(arm, xs, ys[arm]) for arm in ARMS))
