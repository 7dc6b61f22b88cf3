"""What a training step holds until its way back, what the machine has for that, and how a step does with less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from owlish.graph.pool import usable_memory
from owlish.lm.layout import layers
from owlish.lm.lens import inside
from owlish.lm.model import Example

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM

MOVING = 16
"""Bytes for each number that trains: an exact copy, its gradient, and the two means of Adam."""


def step_bytes(lm: TorchLM, rows: Sequence[Example]) -> int:
    """Return the bytes that a step of rows, padded to the longest, holds at the start of its way back."""
    tokens, trained = len(rows) * max(len(row.ids) for row in rows), sum(len(row.labels) for row in rows)
    return lm.shape.step(tokens, trained, recomputes=lm.recomputes)


def room(lm: TorchLM) -> int:
    """Return the bytes that the machine, or the GPU, has for a step beside the model and what trains of it."""
    import torch

    own = lm.parameters.values()
    weights: int = sum(p.numel() * p.element_size() for p in own)
    moving: int = MOVING * sum(p.numel() for p in own if p.requires_grad)
    if lm.device.type == "cuda":
        # Half of the rest, since an allocator's blocks never fit what is asked of it to the byte.
        whole: int = torch.cuda.get_device_properties(lm.device).total_memory
        return (whole - weights - moving) // 2
    # Twice: a process keeps the base as it is on the disk. What is in use now does not count, so that steps are the
    # same whatever else runs.
    return usable_memory() - 2 * weights - moving


@contextmanager
def recomputed(lm: TorchLM) -> Iterator[None]:
    """Let the layers of a pass keep what they are given alone; the way back computes them again.

    Transformers' own switch for it works in training mode alone, where dropout would change the losses. Source: Chen et
    al., arXiv 1604.06174.
    """
    from torch.utils.checkpoint import checkpoint

    _, found = layers(inside(lm.model))
    for layer in found:
        # Nothing is random in evaluation mode, so no state of a random stream need be kept.
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for layer in found:
            del layer.forward
