"""How large the parts of a model are, and what memory work on it holds: told from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from owlish.lm.gguf import fields_of

FLOAT = 4
"""Bytes of a number, as on a CPU."""
HELD, MEMORY = 4 << 30, 2 << 30
"""Bytes on a CPU for what rows of a training step hold together, and for a batch of texts that are gone on from."""
ROWS = 256
"""The most texts of a batch."""


@dataclass(frozen=True)
class Shape:
    """The layers of a model's text part, the widths of its stream, its MLPs and its keys, and its vocabulary."""

    layers: int
    width: int
    inner: int
    keys: int
    vocabulary: int

    @staticmethod
    def of(config: Any) -> Shape:
        """Return the shape of a model of a configuration."""
        text = config.get_text_config(decoder=True)
        width, heads = text.hidden_size, getattr(text, "num_attention_heads", None) or 1
        keys = width * (getattr(text, "num_key_value_heads", None) or heads) // heads
        inner = getattr(text, "intermediate_size", None) or 4 * width
        # A width for each layer, in some families.
        inner = max(inner) if isinstance(inner, list | tuple) else inner
        return Shape(text.num_hidden_layers, width, inner, keys, text.vocab_size)

    @property
    def layer(self) -> int:
        """The numbers that a token takes in a layer that is trained.

        Kept for the way back are the stream before and after both norms, queries, keys, values and what attention makes
        of them; the MLP's gate before and after it is bent, what it lets through, and their product.
        """
        # Twice: what was let go in between leaves holes in the heap of the C library. For 16 rows of 76 tokens SmolLM2
        # kept 1.5 GiB with 1.3 GiB of holes, and for 8 such rows 0.8 GiB with none.
        return 2 * (6 * self.width + 2 * self.keys + 4 * self.inner)

    def step(self, tokens: int, trained: int, *, recomputes: bool = False) -> int:
        """Return the bytes that a training step takes at the start of its way back: of `tokens`, some are `trained`.

        A trained token has three rows of logits. Where layers are computed again, each keeps its input, and the one
        under way all of its own.
        """
        each = self.layers * self.width + self.layer if recomputes else self.layers * self.layer
        return FLOAT * (tokens * each + 3 * trained * self.vocabulary)

    def texts(self, rows: int, tokens: int, number: int = FLOAT) -> int:
        """Return the bytes of texts that are gone on from: their keys and values, and their logits in four copies."""
        return rows * (2 * self.layers * self.keys * number * tokens + 4 * FLOAT * self.vocabulary)

    def reading(self, tokens: int) -> int:
        """Return the bytes that tokens hold between two layers while they are read, with nothing for a way back."""
        return FLOAT * tokens * (4 * self.width + 3 * self.inner)


@cache
def shape_of(place: Path) -> Shape | None:
    """Return the shape of the model in a folder or a GGUF file; `None` where it does not tell."""
    from transformers import AutoConfig

    try:
        return (
            read_gguf(place)
            if place.is_file()
            else Shape.of(AutoConfig.from_pretrained(place, trust_remote_code=False))
        )
    except (OSError, ImportError, ValueError, KeyError, AttributeError):
        return None  # what is wrong with it is said when it is opened


def read_gguf(file: Path) -> Shape:
    """Return the shape that a GGUF file tells of."""
    fields = fields_of(file)
    kind = fields["general.architecture"].contents()
    names = (
        "block_count",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
    )
    layers, width, inner, heads, keys = (int(fields[f"{kind}.{name}"].contents()) for name in names)
    return Shape(layers, width, inner, width * keys // heads, len(fields["tokenizer.ggml.tokens"].data))
