"""Which parameters moved, and how far: a reading that depends on the basis of the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from owlish.diff.reading import Reading
from owlish.diff.student import unwrapped
from owlish.diff.verdict import Part
from owlish.graph.spec import Read, Tick
from owlish.nodes.base import Base

SHOWN = 10
Sizes = Mapping[str, tuple[float, float]]
"""For each parameter that moved: the Euclidean norm of its change, and its own norm in the base."""


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
