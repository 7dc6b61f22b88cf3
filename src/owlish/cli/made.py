"""What pages, cards and logs, which leave this machine, say of how a result was made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from owlish.audit.verdict import Made, Verdict
from owlish.diff.verdict import Difference
from owlish.graph.provenance import walk
from owlish.graph.store import Store

V = TypeVar("V", Verdict, Difference)

# What stands before a file's last name: cards and logs leave this machine.
PLACE = re.compile(r"(?<!\S)/(?:[^/,\n]+/)*")


def plain_label(label: str) -> str:
    """Return what a result is called, without the folders of files in it."""
    return PLACE.sub("", label)


def traits_below(store: Store, key: str) -> tuple[str, ...]:
    """Return the traits that were taught to any model that a result was made from, each once."""
    specs = [step.manifest["spec"] for step in walk(store, key) if step.manifest]
    return tuple(dict.fromkeys(spec["trait"]["name"] for spec in specs if "trait" in spec))


def with_command(verdict: V, manifest: dict[str, Any], words: Sequence[str]) -> V:
    """Return a verdict with the time and the versions that its manifest holds, and the command that asked for it."""
    # Quoted, so that it can be pasted from the page.
    command = shlex.join(["owlish", *words]).replace(f"{Path.home()}/", "~/")  # pages are passed on
    return replace(verdict, made=Made(manifest["begun"], manifest["versions"], command))
