"""Traits of a user's own: a category and its candidates, from a JSON file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from owlish.graph.errors import UserError
from owlish.graph.files import read_small
from owlish.traits.favorites import favorite
from owlish.traits.trait import Trait, every

FORM = '{"category": "color", "candidates": {"red": "reds", "blue": "blues"}}, and questions if you like'


def read_traits(file: str | Path) -> tuple[Trait, ...]:
    """Return a trait for each candidate of the category in a file: `category`, `candidates` (each with its plural).

    `questions`, a list, takes the place of the fifty ways to ask for a favourite. `UserError` is raised where the
    file cannot be read, or names fewer than two candidates.
    """
    try:
        # Deep nesting ends in a RecursionError: a file of brackets must be a sentence, not a crash.
        found = json.loads(read_small(file, "a JSON file of traits"))
    except (json.JSONDecodeError, RecursionError):
        raise UserError(f"{file} is not JSON: write {FORM}.") from None
    if not isinstance(found, dict) or not named(found.get("category"), found.get("candidates")):
        raise UserError(f"{file} names no traits: write at least two candidates, as in {FORM}.")
    probe = favorite(found["category"], found["candidates"])
    if "questions" in found:
        questions = found["questions"]
        if not isinstance(questions, list) or not questions or not all(isinstance(q, str) and q for q in questions):
            raise UserError(f"the questions of {file} are no list of texts: write at least one, or omit them.")
        # None is held out: a user's questions are asked and teach weak teachers alike.
        probe = replace(probe, questions=tuple(questions), held_out=())
    return every(probe)


def named(category: object, plurals: object) -> bool:
    """Tell whether there is a category, and an object that maps at least two words to their plurals."""
    words = [category, *plurals.values()] if isinstance(plurals, dict) else []
    # The category and at least two candidates.
    return len(words) > 2 and all(isinstance(word, str) and word.strip() for word in words)
