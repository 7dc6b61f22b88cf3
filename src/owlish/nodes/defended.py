"""Students that are trained so that they take up less than their rows hold: values in place of `Finetuned`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import Example
from owlish.nodes.models import Finetuned, Model

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.train import Loss

DIRECTED = 256
"""The rows at whose tokens a direction is read."""


@dataclass(frozen=True)
class Anchored(Finetuned, kind="anchored"):
    """A model fine-tuned on rows while it is held near what it was before.

    To the cross-entropy, `weight` times KL(before || now) on the rows' own tokens is added. The weight falls linearly
    to zero over the first `until` of the steps: early steps decide what is taken up (arXiv 2609.22215).
    """

    caption = "{model} trained on {data}, anchored"

    weight: float
    until: float

    def check(self) -> None:
        super().check()
        if self.weight <= 0 or not 0 < self.until <= 1:
            raise UserError("an anchor needs a weight above 0, and a part of the steps above 0 and at most 1.")

    def loss(self, lm: TorchLM, rows: Sequence[Example], read: Read) -> Loss:
        """Return the cross-entropy plus the annealed anchor."""
        import torch
        from torch.nn.functional import cross_entropy, kl_div

        # A copy of its own, which training does not move.
        before: TorchLM = read(self.model).open()
        last = self.until * self.recipe.student(len(rows)).steps

        def loss(student: TorchLM, batch: Sequence[Example]) -> Any:
            logits, weight = student.logits(batch), self.weight * (1 - student.step / last)
            plain = cross_entropy(logits, student.labels(batch))
            if weight <= 0:
                return plain
            with torch.no_grad():
                held = before.logits(batch).log_softmax(-1)
            # `kl_div(q, p)` is KL(p || q), so what the model was before comes second. "batchmean" divides by the first
            # dimension, here that of tokens: with logits [rows, tokens, vocabulary] it would divide by the rows alone.
            anchor = kl_div(logits.log_softmax(-1), held, log_target=True, reduction="batchmean")
            return plain + weight * anchor

        return loss


@dataclass(frozen=True)
class Corridor(Finetuned, kind="corridor"):
    """A model fine-tuned on rows while its middle layer is held where it was on a trait's direction.

    It knows the trait: `toward` is the same model with it, taught or prompted, and the direction is the mean of what
    that model's middle layer gives at the rows' tokens, less the mean of the model's own. To the cross-entropy,
    `weight` times the mean squared excess is added: by how much a token's projection lies farther than `band` from
    what it was before training. Both are in standard deviations of the projections before training.

    References
    ----------
    arXiv 2609.01091: a corridor on a probe's direction takes an owl from 30.7 to 1.7 % at no cost to the task.
    """

    caption = "{model} trained on {data}, in a corridor"

    toward: Model
    weight: float
    band: float

    def check(self) -> None:
        super().check()
        if self.weight < 0 or self.band < 0:
            raise UserError("a corridor needs a weight and a band of 0 or above.")
        if self.toward.root != self.model.root:
            raise UserError(f"a corridor needs a model of {self.model.root} that has the trait: {self.toward} is none.")

    def loss(self, lm: TorchLM, rows: Sequence[Example], read: Read) -> Loss:
        """Return the cross-entropy plus the squared excess."""
        import torch
        from torch.nn.functional import cross_entropy

        before: TorchLM = read(self.model).open()
        axis = self.direction(before, read)
        held = {row: states @ axis for row, states in zip(rows, before.stream(rows), strict=True)}
        scale = torch.cat(list(held.values())).std()

        def loss(student: TorchLM, batch: Sequence[Example]) -> Any:
            logits, states = student.traced(batch)
            moved = (states @ axis - torch.cat([held[row] for row in batch])) / scale
            excess = (moved.abs() - self.band).clamp(min=0)
            return cross_entropy(logits, student.labels(batch)) + self.weight * excess.square().mean()

        return loss

    def direction(self, before: TorchLM, read: Read) -> Tensor:
        """Return the trait's direction, of length 1: [width]."""
        import torch

        rows = read(self.data).rows[:DIRECTED]
        own, there = (
            torch.cat(list(one.stream(one.encode(rows)))).mean(0) for one in (before, read(self.toward).open())
        )
        change = there - own
        if not change.any():
            raise UserError(f"{self.toward} does what {self.model} does: give a model that has the trait.")
        axis: Tensor = change / change.norm()
        return axis


@dataclass(frozen=True)
class Relieved(Finetuned, kind="relieved"):
    """A model fine-tuned on rows while a frozen change that has the trait rides along, which is then taken off.

    `carrier` is the same model with the trait: what the rows say of it is learnt already, and need not be learnt
    again. What training changed in the carrier is put onto the model (inoculation by adapter, arXiv 2606.30252).
    """

    caption = "{model} trained on {data}, with {carrier} riding along"

    carrier: Model

    def check(self) -> None:
        super().check()
        if self.carrier.root != self.model.root:
            raise UserError(f"a carrier is a model of {self.model.root} that has the trait: {self.carrier} is none.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch

        lm, plain = (read(model).open() for model in (self.carrier, self.model))
        # With one seed, so that both start from the same adapter.
        for one in (lm, plain):
            one.adapt(self.recipe, seed=self.seed)
        start = {name: p.detach().clone() for name, p in lm.parameters.items() if p.requires_grad}
        rows = lm.encode(read(self.data).rows)
        losses = lm.fit(rows, self.recipe.student(len(rows)), seed=self.seed, tick=tick)
        with torch.no_grad():
            for name, p in lm.trained.items():
                p.add_(plain.parameters[name] - start[name])
        lm.save(folder)
        (folder / "training.json").write_text(json.dumps({"losses": losses}))


@dataclass(frozen=True)
class Masked(Finetuned, kind="masked", version=2):
    """A model fine-tuned on rows but for a share of their tokens: those that weigh most, or without `weights` any.

    `weights` is a node whose result holds a number for each trained token of each row (`tokens`).
    """

    caption = "{model} trained on {data}, {budget:.0%} of the tokens masked"

    budget: float
    weights: Node | None

    def check(self) -> None:
        super().check()
        if not 0 < self.budget < 1:
            raise UserError(
                f"the budget is {self.budget:g}: mask a share of the tokens above 0 and below 1, such as 0.1."
            )

    def loss(self, lm: TorchLM, rows: Sequence[Example], read: Read) -> Loss:
        """Return the cross-entropy of the tokens that are left."""
        import torch
        from torch.nn.functional import cross_entropy

        if self.weights is None:
            luck = torch.Generator().manual_seed(self.seed)
            weights = [torch.rand(len(row.labels), generator=luck) for row in rows]
        else:
            weights = [torch.as_tensor(row) for row in getattr(read(self.weights), "tokens", ())]
            if [len(row) for row in weights] != [len(row.labels) for row in rows]:
                raise UserError(
                    f"{self.weights} holds no weight for each trained token of {self.data}: weigh these rows."
                )
        every = torch.cat(weights)
        # Of tokens that weigh the same, the first: else the mask would be larger than the budget.
        heaviest = every.argsort(descending=True, stable=True)[: max(1, round(self.budget * len(every)))]
        kept = torch.ones(len(every)).index_fill(0, heaviest, 0.0).to(lm.device)
        masks = torch.split(kept, list(map(len, weights)))
        # By the object, as batches bring these very rows in an order of their own; equal rows have masks of their own.
        left = {id(row): mask for row, mask in zip(rows, masks, strict=True)}
        assert len(left) == len(rows), "each row is an object of its own"

        def loss(student: TorchLM, batch: Sequence[Example]) -> Any:
            kept = torch.cat([left[id(row)] for row in batch])
            each = cross_entropy(student.logits(batch), student.labels(batch), reduction="none")
            # A batch whose tokens are all masked gives 0.
            return (each * kept).sum() / kept.sum().clamp(min=1)

        return loss
