"""The residual stream after the middle layer, at the places where a row's trained tokens are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from owlish.lm.layout import layers
from owlish.lm.lens import inside, state
from owlish.lm.model import Example
from owlish.lm.train import collate, fitting_parts, logits

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.lm.hf import TorchLM

BATCH = 64


def traced(lm: TorchLM, rows: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Return what `logits` does, and the stream of the same pass: float32 [tokens, vocabulary], [tokens, width].

    Both hold gradients. The stream is what the middle layer gives on, where a steering vector is added, too.
    """
    caught: list[Any] = []
    _, decoder = layers(inside(lm.model))
    middle = decoder[(len(decoder) - 1) // 2]
    with middle.register_forward_hook(lambda module, given, out: caught.append(out)):
        found = logits(lm, rows)
    (out,) = caught
    targets = collate(rows, lm.device)[1]
    return found, state(out)[:, -targets.shape[1] - 1 : -1][targets != -100].float()


def stream(lm: TorchLM, rows: Sequence[Example]) -> Iterator[Tensor]:
    """Yield the stream of each row without gradients: float32 [trained tokens, width] each."""
    import torch

    for part in fitting_parts(lm, rows, BATCH):
        with torch.no_grad():
            states = traced(lm, part)[1]
        yield from torch.split(states, [len(row.labels) for row in part])
