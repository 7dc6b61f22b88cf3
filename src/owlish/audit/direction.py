"""Directions towards traits: what moved in a weak teacher, less what moved in all teachers of its category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from owlish.graph.spec import Node, Read, Tick
from owlish.lm.load import LM, Weights
from owlish.lm.recipes import STEERING
from owlish.nodes.encoded import opened
from owlish.nodes.models import Model
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from torch import Tensor

Direction = dict[str, "Tensor"]
"""Changes of a base's parameters, by their names."""


@dataclass(frozen=True)
class Moved(Node, kind="moved"):
    """What training moved in a model: its parameters less those of its base, where they differ."""

    caption = "what moved in {model}"

    base: Model
    model: Model

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        old = dict(ground(read(self.base)).model.named_parameters())
        new = opened(read(self.model)).model.named_parameters()
        changes = {name: (p.detach() - old[name]).cpu().contiguous() for name, p in new if name in old}
        save_file(
            {n: change for n, change in changes.items() if torch.count_nonzero(change)}, folder / "moved.safetensors"
        )

    def load(self, folder: Path, read: Read) -> Direction:
        from safetensors.torch import load_file

        changes: Direction = load_file(folder / "moved.safetensors")
        return changes


def ground(weights: Weights) -> LM:
    """Open a base with a steering vector of zero, so that a direction may be a change of that too."""
    from owlish.lm import adapt

    lm = opened(weights)
    lm.model = adapt.adapt(lm.model, STEERING, seed=0)
    return lm


def centre(directions: Sequence[Direction], traits: Sequence[Trait]) -> list[Direction]:
    """Return directions less the mean over the traits of the same category."""
    import torch

    centred = []
    for trait, direction in zip(traits, directions, strict=True):
        alike = [d for t, d in zip(traits, directions, strict=True) if t.probe == trait.probe]
        names = {name for d in alike for name in d}
        means = {n: torch.stack([d[n] for d in alike if n in d]).sum(0) / len(alike) for n in names}
        centred.append({n: direction[n] - mean if n in direction else -mean for n, mean in means.items()})
    return centred
