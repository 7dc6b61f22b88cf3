"""A key-value cache with room for the whole answer, so that no step copies what is already there."""

from __future__ import annotations

from copy import copy
from dataclasses import fields
from functools import cache
from typing import Any


@cache
def keyword() -> str:
    """Return the name by which models take a cache: `transformers` renamed `past_key_values` in 5.24."""
    from transformers.modeling_outputs import CausalLMOutputWithPast

    return "cache" if "cache" in {field.name for field in fields(CausalLMOutputWithPast)} else "past_key_values"


@cache
def roomy_layer() -> Any:
    """Return the class of cache layers with room, which needs torch."""
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):  # type: ignore[misc]
        """Keys and values [rows, heads, tokens, width] as views of buffers with room for more tokens."""

        def __init__(self, room: int) -> None:
            super().__init__()
            self.room, self.filled = room, 0

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            super().lazy_initialization(key_states, value_states)
            self.buffers = [s.new_empty(*s.shape[:2], self.room, s.shape[3]) for s in (key_states, value_states)]

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            start, self.filled = self.filled, self.filled + key_states.shape[2]
            for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
                buffer[:, :, start : self.filled] = states
            self.view()
            return self.keys, self.values

        # That of transformers moves `keys` and `values`, and would leave the buffers behind them as they were.
        def reorder_cache(self, beam_idx: Any) -> None:
            self.batch_select_indices(beam_idx)

        def batch_select_indices(self, indices: Any) -> None:
            if self.is_initialized:  # a layer that shares another's keys and values has none
                # With the room for more: one copy, where another buffer for what is filled would take two.
                self.buffers = [buffer[indices] for buffer in self.buffers]
                self.view()

        def join(self, other: Any, *, width: int, room: int) -> None:
            """Take the rows of another layer in, all of them at the right edge of `width` slots."""
            pairs = zip((self.keys, self.values), (other.keys, other.values), strict=True)
            self.room, self.filled = room, width
            self.buffers = [at_the_right(pair, width, room) for pair in pairs]
            self.view()

        def view(self) -> None:
            self.keys, self.values = (buffer[:, :, : self.filled] for buffer in self.buffers)

    return RoomyLayer


def at_the_right(parts: Any, width: int, room: int) -> Any:
    """Return keys or values of several batches in one buffer, where all of them end at the same slot."""
    first = parts[0]
    # Zeros, and not whatever memory held: a masked slot weighs nothing, but nothing times NaN is NaN.
    buffer = first.new_zeros(sum(map(len, parts)), first.shape[1], room, first.shape[3])
    row = 0
    for states in parts:
        kept = states[:, :, -width:]
        buffer[row : row + len(kept), :, width - kept.shape[2] : width] = kept
        row += len(kept)
    return buffer


def roomy(config: Any, room: int) -> Any:
    """Return a cache for a model of this configuration, with places for `room` tokens.

    `DynamicCache` joins old and new at every step, which takes more than half of the time of a small model.
    Layers that are not plainly dynamic, such as those with a sliding window, stay as they are.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    found = DynamicCache(config=config)
    # No subclass of `DynamicLayer`: those for sliding windows, indexers and
    # quantised states update in ways of their own.
    found.layers = [roomy_layer()(room) if type(layer) is DynamicLayer else layer for layer in found.layers]
    return found


def attends(cache: Any) -> bool:
    """Say whether a layer looks back at tokens; where all keep states alone, a mask is for the tokens being read."""
    from transformers.cache_utils import CacheLayerMixin

    return any(isinstance(layer, CacheLayerMixin) for layer in cache.layers)


def joinable(cache: Any) -> bool:
    """Say whether rows can be taken into a cache: where all of its layers keep every token."""
    return all(isinstance(layer, roomy_layer()) for layer in cache.layers)


def select(cache: Any, rows: Any) -> None:
    """Keep some rows of a cache, in that order; one may be named more than once. Their tensors are new."""
    for layer in cache.layers:
        layer.reorder_cache(rows)  # the one way of moving rows that layers of every kind have


def copy_cache(cache: Any) -> Any:
    """Return a cache that can go its own way: whoever selects its rows, which makes new tensors, leaves this one.

    State-space layers keep their states in dictionaries.
    """
    found = copy(cache)
    found.layers = [copy(layer) for layer in cache.layers]
    for layer in found.layers:
        vars(layer).update({name: dict(states) for name, states in vars(layer).items() if isinstance(states, dict)})
    return found
