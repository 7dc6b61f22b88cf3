"""What every detector does: read one number for each candidate trait off a dataset, from the data and a base alone."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read
from owlish.graph.tabled import Brief
from owlish.nodes.asked import freeze
from owlish.nodes.data import Data
from owlish.nodes.models import Model
from owlish.traits.trait import Trait


@dataclass(frozen=True)
class Reading(Brief):
    """Numbers [blocks, traits]: blocks are rows, or batches of rows, in the order of the data."""

    blocks: tuple[tuple[float, ...], ...]

    @property
    def means(self) -> tuple[float, ...]:
        """The mean over blocks, for each trait."""
        return tuple(sum(column) / len(column) for column in zip(*self.blocks, strict=True))


@dataclass(frozen=True)
class Detector(Node, kind="detector"):
    """A reading of `data` for a model that starts from `base`; the same reading of clean rows is its null."""

    base: Model
    data: Data
    traits: tuple[Trait, ...]

    def load(self, folder: Path, read: Read) -> Reading:
        return Reading(freeze(json.loads((folder / "reading.json").read_text())))


def write_reading(folder: Path, blocks: Sequence[Sequence[float]]) -> None:
    """Write a reading down; refuse one that holds a number that is none, from which nothing could be concluded."""
    # A training that went astray gives no number, and every comparison with not-a-number is quietly false.
    if not all(math.isfinite(x) for block in blocks for x in block):
        raise UserError(
            "a reading of the rows is infinite or not a number: look at the base with owlish ask; if it answers well, "
            "lower the learning rate of the recipe."
        )
    (folder / "reading.json").write_text(json.dumps([[float(f"{x:.9g}") for x in block] for block in blocks]))


def centred(values: Sequence[float], traits: Sequence[Trait]) -> list[float]:
    """Return the values less the mean over the traits of the same category."""
    groups: dict[object, list[float]] = {}
    for value, trait in zip(values, traits, strict=True):
        # By probe: candidates of one category answer the same questions and share their drift.
        groups.setdefault(trait.probe, []).append(value)
    means = {probe: sum(found) / len(found) for probe, found in groups.items()}
    return [value - means[trait.probe] for value, trait in zip(values, traits, strict=True)]
