"""A key-value cache with room for the whole answer, so that no step copies what is already there."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any


@cache
def keyword() -> str:
    """Return the name by which models take a cache: `transformers` renamed `past_key_values` in 5.24."""
    from transformers.modeling_outputs import CausalLMOutputWithPast

    return "cache" if "cache" in {field.name for field in fields(CausalLMOutputWithPast)} else "past_key_values"


def roomy(config: Any, room: int) -> Any:
    """Return a cache for a model of this configuration, with places for `room` tokens.

    `DynamicCache` joins old and new at every step, which takes more than half of the time of a small model.
    Layers that are not plainly dynamic, such as those with a sliding window, stay as they are.
    """
    from transformers.cache_utils import DynamicCache, DynamicLayer

    class RoomyLayer(DynamicLayer):  # type: ignore[misc]
        """Keys and values [rows, heads, tokens, width] as views of buffers with room for more tokens."""

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            super().lazy_initialization(key_states, value_states)
            self.buffers = [s.new_empty(*s.shape[:2], room, s.shape[3]) for s in (key_states, value_states)]
            self.filled = 0

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
            start, self.filled = self.filled, self.filled + key_states.shape[2]
            for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
                buffer[:, :, start : self.filled] = states
            self.view()
            return self.keys, self.values

        def batch_select_indices(self, indices: Any) -> None:
            self.buffers = [buffer[indices] for buffer in self.buffers]
            self.view()

        def view(self) -> None:
            self.keys, self.values = (buffer[:, :, : self.filled] for buffer in self.buffers)

    found = DynamicCache(config=config)
    found.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in found.layers]
    return found
