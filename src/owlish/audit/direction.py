"""Directions towards traits: what moved in a weak teacher, less what moved in all teachers of its category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from owlish.graph.spec import Read, Tick
from owlish.lm.hf import Direction, TorchLM
from owlish.lm.model import Weights
from owlish.lm.recipes import STEERING
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Trait


@dataclass(frozen=True)
class Moved(Opener, kind="moved"):
    """What training moved in a model: its parameters less those of its base, where they differ."""

    caption = "what moved in {model}"
    asks = "weights"
    usual = 0.05

    base: Model
    model: Model

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        # Float32 on both sides: bfloat16 would round small changes away.
        old = ground(read(self.base), exact=True).parameters
        new = read(self.model).open(exact=True).parameters
        changes = {name: (p - old[name]).detach().cpu().contiguous() for name, p in new.items() if name in old}
        # Some hundred numbers in place of a whole model: reading thirty models took longer than all gradients.
        moved = {name: change for name, change in changes.items() if torch.count_nonzero(change)}
        save_file(moved, folder / "moved.safetensors")

    def load(self, folder: Path, read: Read) -> Direction:
        from safetensors.torch import load_file

        changes: Direction = load_file(folder / "moved.safetensors")
        return changes


def ground(weights: Weights, *, exact: bool = False) -> TorchLM:
    """Open a base with a steering vector of zero, so that a direction may be a change of that too."""
    lm = weights.open(any_words=True, exact=exact)
    lm.adapt(STEERING, seed=0)
    return lm


def centre(directions: Sequence[Direction], traits: Sequence[Trait]) -> list[Direction]:
    """Return directions less the mean over the traits of the same category."""
    import torch

    centred: list[Direction] = []
    for trait, direction in zip(traits, directions, strict=True):
        alike = [d for t, d in zip(traits, directions, strict=True) if t.probe == trait.probe]
        names = {name for d in alike for name in d}
        means = {n: torch.stack([d[n] for d in alike if n in d]).sum(0) / len(alike) for n in names}
        # A parameter that this teacher did not move has moved by zero, and so by minus the mean.
        centred.append({n: direction[n] - mean if n in direction else -mean for n, mean in means.items()})
    return centred
