"""The training-matched null: students of the same base and recipe that were trained on the base's own answers."""

from __future__ import annotations

from owlish.audit.reference import Answered
from owlish.graph.seeds import fresh
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.nodes.models import Finetuned

STUDENTS = 6
MOST = 10_000
"""The most rows that a null student is trained on."""


def null(base: Base, recipe: Recipe, data: Data, *, students: int = STUDENTS) -> tuple[Finetuned, ...]:
    """Return null students: each is trained on answers of its own that the base gives to the prompts of `data`.

    They drift as any student of the recipe drifts, and were taught nothing. They depend on the base, the recipe and
    the rows alone, so that a store keeps them for all students of these.
    """
    return tuple(
        # Rows and training have seeds of their own in each: the null must vary as students do.
        base.finetune(Answered(base, data, MOST, seed=fresh("null rows", k)), recipe, seed=fresh("null student", k))
        for k in range(students)
    )
