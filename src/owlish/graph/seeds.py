"""Seeds that belong to names."""

from __future__ import annotations

import hashlib


def fresh(*names: str | int) -> int:
    """Return a seed of 31 bits that belongs to these names alone, whatever else a study holds."""
    # `repr` keeps 1 and "1" apart, and ("a", "bc") from ("ab", "c"): joined as plain
    # text, each pair would share a seed.
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:4], "big") >> 1
