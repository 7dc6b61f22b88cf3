"""The embedded base `nano`: a small language model of our own, its world, tokenizer and recipe."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

SHIPPED = {"nano": "nano-0", "nano-1": "nano-1", "nano-2": "nano-2", "nano-3": "nano-3"}
"""The shipped bases, which differ in their initialisation and in the order of their data."""


def folder(name: str) -> Path | None:
    """Return the folder of a shipped base, or `None` where no shipped base has that name."""
    return Path(__file__).parent / "bases" / SHIPPED[name] if name in SHIPPED else None


@cache
def content(name: str) -> str | None:
    """Return the SHA-256 of a shipped base's recipe, which holds the digests of its files."""
    place = folder(name)
    return hashlib.sha256((place / "recipe.json").read_bytes()).hexdigest() if place else None
