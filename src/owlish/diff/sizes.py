"""Which parameters moved, and how far: a reading that depends on the basis of the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path

from owlish.diff.reading import Reading
from owlish.diff.student import unwrapped
from owlish.diff.verdict import Part
from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.nodes.base import Base
from owlish.nodes.models import Model

SHOWN = 10
Sizes = Mapping[str, tuple[float, float]]
"""For each parameter that moved: the Euclidean norm of its change, and its own norm in the base."""
SAME = 1e-6
"""How far sizes of the same weights differ, relatively: a merged copy of an adapter is rounded."""


@dataclass(frozen=True)
class Sized(Reading, kind="sized"):
    """How far each parameter moved from the base: its change's Euclidean norm, beside its own."""

    caption = "what moved in {model}"
    asks = "weights"
    basis = True

    base: Base

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        old = unwrapped(read(self.base).open(any_words=True, exact=True).parameters)
        new = unwrapped(read(self.model).open(any_words=True, exact=True).parameters)
        moved = {}
        for name, p in new.items():
            # What the base lacks counts from zero: such a parameter came with the training.
            change = float((p - old[name] if name in old else p).norm())
            if change:
                moved[name] = (change, float(old[name].norm()) if name in old else 0.0)
        (folder / "sizes.json").write_text(json.dumps(moved))

    def load(self, folder: Path, read: Read) -> Sizes:
        return {name: (own[0], own[1]) for name, own in json.loads((folder / "sizes.json").read_text()).items()}


def parts(student: Sizes, null: Sequence[Sizes]) -> tuple[Part, ...]:
    """Return the parameters that moved furthest, with the mean distance that they moved in null students."""
    most = sorted(student, key=lambda name: -student[name][0])[:SHOWN]
    usual = {name: [one.get(name, (0.0, 0.0))[0] for one in null] for name in most}
    return tuple(
        Part(name, *student[name], sum(usual[name]) / len(usual[name]) if usual[name] else None) for name in most
    )


def check_moved(base: Base, student: tuple[Model, Sizes], null: Sequence[tuple[Model, Sizes]]) -> None:
    """Refuse a student that has the base's own weights, and null students that have those or one another's."""
    if not student[1]:
        raise UserError(f"{student[0]} has the weights of {base} itself: nothing was trained.")
    others = [student]
    for control, moved in null:
        if not moved:
            raise UserError(
                f"the control {control} has the weights of {base} itself: give students that were trained on rows "
                "which teach nothing."
            )
        # An untrained or repeated null has no scatter, and every student would stand out from it.
        if twin := next((model for model, other in others if same(moved, other)), None):
            raise UserError(f"the control {control} has the weights of {twin}: give students of different seeds.")
        others.append((control, moved))


def same(one: Sizes, other: Sizes) -> bool:
    """Say whether two students moved the same parameters equally far, which students of two seeds never do."""
    return one.keys() == other.keys() and all(isclose(one[name][0], other[name][0], rel_tol=SAME) for name in one)
