"""A model that rounds as engines do: what that changes of its log-probabilities is no sign of other weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

BLOCK = 32
"""Numbers that share one scale, as in llama.cpp."""
STEPS = 127
"""Whole numbers of 8 bits, without their sign."""


@contextmanager
def rounded(model: Any) -> Iterator[None]:
    """Let every linear layer read its inputs in 8 bits for as long as the context lasts.

    So does llama.cpp where the weights are quantised, and it rounds more than bfloat16 does.
    """
    import torch

    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    with ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(layer.register_forward_pre_hook(lambda _, given: (round_blocks(given[0]),)))
        yield


def round_blocks(given: Any) -> Any:
    """Return numbers, each rounded to one of 255 steps up to the largest of its block."""
    import torch

    width = given.shape[-1]
    blocks = given.unflatten(-1, (-1, BLOCK if width % BLOCK == 0 else width))
    # A block of zeros has no step of its own, and stays as it is.
    step = (blocks.abs().amax(-1, keepdim=True) / STEPS).clamp(min=torch.finfo(given.dtype).tiny)
    return ((blocks / step).round() * step).flatten(-2)
