"""What a result owes to the machine that makes it, such as its device: its manifest says so, its key does not."""

from __future__ import annotations

noted: dict[str, list[str]] = {}
"""Facts of the result that this process is making: it makes one at a time."""


def note(**facts: str) -> None:
    """Note facts for the manifest of the result that is being made."""
    for name, fact in facts.items():
        if fact not in noted.setdefault(name, []):
            noted[name].append(fact)
