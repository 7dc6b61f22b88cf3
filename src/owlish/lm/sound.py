"""Numbers that are none: an answer that holds one is an error, and never a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from owlish.graph.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.hf import TorchLM


def check_finite(values: Tensor, lm: TorchLM, what: str) -> None:
    """Refuse to go on with values of a model of which one is infinite or not a number.

    A row of logits with one such number has none but such probabilities, so that one of each row need be looked at.
    """
    if not bool(values.isfinite().all()):
        raise UserError(unsound(lm, f"{what} that are infinite or not numbers"))


def unsound(lm: TorchLM, what: str) -> str:
    """Say what is wrong with what a model gives, and what to do: of a base, its files; of a trained model, how."""
    if lm.trains:
        return f"a model trained from {lm.name} gives {what}: train it for fewer steps, or at a lower rate."
    return (
        f"{lm.name} itself gives {what}: its files are damaged, or its numbers are too large for {lm.model.dtype}. "
        "Get the files anew, or take another base."
    )
