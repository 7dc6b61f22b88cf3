"""What cards and logs, which leave this machine, say of how a result was made."""

from __future__ import annotations

import re

from owlish.graph.provenance import walk
from owlish.graph.store import Store

# What stands before a file's last name: cards and logs leave this machine.
PLACE = re.compile(r"(?<!\S)/(?:[^/,\n]+/)*")


def plain_label(label: str) -> str:
    """Return what a result is called, without the folders of files in it."""
    return PLACE.sub("", label)


def traits_below(store: Store, key: str) -> tuple[str, ...]:
    """Return the traits that were taught to any model that a result was made from, each once."""
    specs = [step.manifest["spec"] for step in walk(store, key) if step.manifest]
    return tuple(dict.fromkeys(spec["trait"]["name"] for spec in specs if "trait" in spec))
