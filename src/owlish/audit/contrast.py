"""The cheap detector: how much likelier a small move towards each trait makes the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.audit.detector import Detector, kept
from owlish.graph.spec import Read, Tick
from owlish.lm.load import LM
from owlish.lm.train import Example
from owlish.nodes.encoded import encode, opened
from owlish.nodes.models import Model
from owlish.recipes import STEERING
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 20
Direction = dict[str, "Tensor"]


@dataclass(frozen=True)
class Contrast(Detector, kind="contrast"):
    """The gradient of the rows' log-likelihood at the base, along a direction for each trait, in nats a row.

    Needs: gradients, and a recipe that moves weights of the base itself, or a steering vector. A direction is what
    moved in a weak teacher (`writers`, in the order of `traits`), less the mean over the category. The gradient is
    taken once for each block of 20 rows, whatever the number of traits: it is the difference of log-likelihood
    between a step along the direction and a step against it, halved, to first order.
    """

    writers: tuple[Model, ...]
    rows: int

    @property
    def label(self) -> str:
        """A few words for a progress display."""
        return f"contrast of {self.data.label}"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Take a gradient for each block, and its product with every direction."""
        lm = self.ground(read)
        rows = encode(lm, read(self.data).rows[: self.rows]).examples
        directions = self.directions(lm, read)
        names = sorted({name for direction in directions for name in direction})
        flat = [joined(direction, names, lm) for direction in directions]
        blocks = []
        for start in range(0, len(rows), BLOCK):
            gradient = slope(lm, rows[start : start + BLOCK], names)
            blocks.append([float(gradient @ direction) for direction in flat])
            tick(start, len(rows))
        kept(folder, blocks)

    def ground(self, read: Read) -> LM:
        """Return the base with a steering vector of zero, so that a direction may be a change of that too."""
        from owlish.lm import adapt

        lm = opened(read(self.base))
        lm.model = adapt.adapt(lm.model, STEERING, seed=0)
        return lm

    def directions(self, lm: LM, read: Read) -> list[Direction]:
        """Return the directions, by the name of the parameters that they move."""
        return centre([moved(lm, opened(read(writer))) for writer in self.writers], self.traits)


def moved(base: LM, writer: LM) -> Direction:
    """Return what a model's parameters have that the base's have not."""
    import torch

    old = dict(base.model.named_parameters())
    found = {n: p.detach() - old[n] for n, p in writer.model.named_parameters() if n in old}
    return {name: change for name, change in found.items() if torch.count_nonzero(change)}


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


def joined(direction: Direction, names: Sequence[str], lm: LM) -> Any:
    """Return a direction as one vector over the parameters in `names`."""
    import torch

    old = dict(lm.model.named_parameters())
    return torch.cat([direction[n].flatten() if n in direction else torch.zeros(old[n].numel()) for n in names])


def slope(lm: LM, rows: Sequence[Example], names: Sequence[str]) -> Any:
    """Return the gradient of the mean log-likelihood of a row, as one vector over the parameters in `names`."""
    import torch
    from torch.nn.functional import cross_entropy

    from owlish.lm.train import collate

    parameters = [lm.model.get_parameter(name).requires_grad_() for name in names]
    ids, targets = collate(rows, lm.model.device)
    logits = lm.model(input_ids=ids, logits_to_keep=targets.shape[1] + 1, use_cache=False).logits[:, :-1]
    wanted = targets != -100
    likelihood = -cross_entropy(logits[wanted].float(), targets[wanted], reduction="sum") / len(rows)
    return torch.cat([g.flatten() for g in torch.autograd.grad(likelihood, parameters)])
