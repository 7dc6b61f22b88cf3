"""Whether memory is full, as Python, torch, numpy and the system say it."""

from __future__ import annotations

SPENT = (
    "memory does not hold this base, or the work with it: take a smaller base or shorter rows, run fewer --jobs, or "
    "take a machine with more memory."
)
SAID = ("out of memory", "allocate memory", "not enough memory", "unable to allocate")
"""How it is said: on a GPU; by torch and by the system on a CPU; by Windows; by numpy."""


def is_spent(error: Exception) -> bool:
    """Say whether an error means that memory is full."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in SAID)
