"""The steering test: what training changed, added to the base more than once. A quiet change then speaks up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owlish.audit.direction import ground
from owlish.graph.spec import Node, Read, Tick
from owlish.nodes.base import Base
from owlish.nodes.models import Model, Trained


@dataclass(frozen=True)
class Amplified(Trained, kind="amplified"):
    """A base with `times` the change that training made to its student's parameters.

    It needs a student whose weights lie in the base's own basis, as an adapter's do. Source: extrapolation along the
    difference of weights, as in task arithmetic (Ilharco et al., arXiv 2212.04089).
    """

    caption = "{student}, {times:g} times as far"

    model: Base
    student: Model
    times: float

    def inputs(self) -> tuple[Node, ...]:
        return (self.model, self.student)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from safetensors.torch import save_file

        # A steering vector of zero is put on the base, for a student whose change is one.
        # Float32: bfloat16 would round small changes away.
        old = ground(read(self.model), exact=True).parameters
        new = read(self.student).open(any_words=True, exact=True).parameters
        moved = {name: p for name, p in new.items() if name in old and not p.equal(old[name])}
        # Only what moved is kept: the rest is read from the base.
        further = {name: (old[name] + self.times * (p - old[name])).cpu().contiguous() for name, p in moved.items()}
        save_file(further, folder / "parameters.safetensors")
