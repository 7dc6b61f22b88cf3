"""Directions towards traits: what moved in a weak teacher, less what moved in all teachers of its category."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.audit.detector import centred
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import Direction, TorchLM
from owlish.lm.model import Example, Weights
from owlish.lm.recipes import STEERING
from owlish.nodes.held import CHANGES
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from torch import Tensor

WHOLE, FACTORS = "moved.safetensors", "factors.safetensors"
SIDES = ("lora_B", "lora_A")


@dataclass(frozen=True)
class LowRank:
    """The change of a matrix as LoRA makes it: `left` [out, rank] times `right` [rank, in]."""

    left: Tensor
    right: Tensor


Move = Mapping[str, "Tensor | LowRank"]
"""What moved in a model, by the name of the parameter."""


@dataclass(frozen=True)
class Moved(Opener, kind="moved"):
    """What training moved in a model: its parameters less those of its base, where they differ.

    Of LoRA on linear layers its two factors are kept: all matrices of sixteen teachers are as large as sixteen models.
    """

    caption = "what moved in {model}"
    asks = "weights"
    usual = 0.05

    base: Model
    model: Model

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        # Float32 on both sides: bfloat16 would round small changes away.
        ground_lm = ground(read(self.base), exact=True)
        factors = dict(adapter_of(read(self.model), read(self.base), ground_lm))
        if factors:
            save_file(factors, folder / FACTORS)
            return
        old = ground_lm.parameters
        new = read(self.model).open(exact=True).parameters
        changes = {name: (p - old[name]).detach().cpu().contiguous() for name, p in new.items() if name in old}
        # Some hundred numbers in place of a whole model: reading thirty models took longer than all gradients.
        save_file({name: change for name, change in changes.items() if torch.count_nonzero(change)}, folder / WHOLE)

    def load(self, folder: Path, read: Read) -> Move:
        from safetensors.torch import load_file

        if (folder / WHOLE).is_file():
            changes: Move = load_file(folder / WHOLE)
            return changes
        held = load_file(folder / FACTORS)
        names = sorted({name.rpartition("/")[0] for name in held})
        return {name: LowRank(*(held[f"{name}/{side}"] for side in SIDES)) for name in names}


def adapter_of(model: Weights, base: Weights, lm: TorchLM) -> Iterator[tuple[str, Any]]:
    """Yield the factors of the one LoRA adapter on linear layers by which a model differs from its base, if it does."""
    import torch
    from safetensors.torch import load_file

    more = model.changes[len(base.changes) :]
    if len(more) != 1 or not (more[0] / CHANGES[0]).is_file():
        return
    made = json.loads((more[0] / CHANGES[0]).read_text())
    held = load_file(more[0] / "adapter_model.safetensors") if made["peft_type"] == "LORA" else {}
    layers = {name.removeprefix("base_model.model.").rpartition(".lora_")[0] for name in held}
    # Another kind of layer, as in GPT-2, holds its matrix the other way round.
    if not all(type(lm.model.get_submodule(layer)) is torch.nn.Linear for layer in layers):
        return
    for layer in layers:
        left, right = (held[f"base_model.model.{layer}.{side}.weight"].float() for side in SIDES)
        yield f"{layer}.weight/{SIDES[0]}", left * (made["lora_alpha"] / made["r"])
        yield f"{layer}.weight/{SIDES[1]}", right


def ground(weights: Weights, *, exact: bool = False) -> TorchLM:
    """Open a base with a steering vector of zero, so that a direction may be a change of that too."""
    lm = weights.open(any_words=True, exact=exact)
    lm.adapt(STEERING, seed=0)
    return lm


def names_of(moves: Sequence[Move]) -> list[str]:
    """Return the names of all parameters that moved."""
    # Sorted: the order of a set changes from process to process, and a sum in another order in its last bit.
    return sorted({name for move in moves for name in move})


def slopes(lm: TorchLM, rows: Sequence[Example], names: Sequence[str]) -> dict[str, Tensor]:
    """Return the gradient of a row's mean log-likelihood over the parameters in `names`, as they are shaped."""
    import torch

    own = lm.parameters
    parts = torch.split(lm.gradient(rows, names), [own[name].numel() for name in names])
    return {name: part.view(own[name].shape) for name, part in zip(names, parts, strict=True)}


def leanings(moves: Sequence[Move], slope: Mapping[str, Tensor], traits: Sequence[Trait]) -> list[float]:
    """Return the slope along the direction to each trait: along its move, less the mean over its category's moves."""
    return centred([sum(product(change, slope[name]) for name, change in move.items()) for move in moves], traits)


def product(change: Tensor | LowRank, slope: Tensor) -> float:
    """Return the sum of a change's entries times those of the slope."""
    import torch

    if isinstance(change, LowRank):
        left, right = change.left.to(slope), change.right.to(slope)
        return float((left.T @ slope * right).sum(dtype=torch.float64))
    return float((change.to(slope) * slope).sum(dtype=torch.float64))


def direction(moves: Sequence[Move], traits: Sequence[Trait], toward: Trait) -> Direction:
    """Return the direction to a trait: what moved in its teacher less the mean over the traits of the same category."""
    import torch

    alike = [move for trait, move in zip(traits, moves, strict=True) if trait.probe == toward.probe]
    own, found = moves[list(traits).index(toward)], {}
    for name in dict.fromkeys(name for move in alike for name in move):
        mean = torch.stack([whole(move[name]) for move in alike if name in move]).sum(0) / len(alike)
        # A parameter that this teacher did not move has moved by zero, and so by minus the mean.
        found[name] = whole(own[name]) - mean if name in own else -mean
    return found


def whole(change: Tensor | LowRank) -> Tensor:
    """Return a change as a tensor of its parameter's shape."""
    return change.left @ change.right if isinstance(change, LowRank) else change
