"""What a model answers to the questions of some categories, as a table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from owlish.audit.words import check_words
from owlish.graph.counted import counted
from owlish.nodes.asked import Answers, Asked
from owlish.nodes.base import Base
from owlish.traits.trait import Trait

HEAD = f"{'':<16}{'probability':>13}{'share':>9}{'margin':>9}{'likeliest':>11}{'sampled':>9}"


@dataclass(frozen=True)
class Told:
    """A model's answers to each probe."""

    model: str
    answers: tuple[Answers, ...]

    def json(self) -> dict[str, Any]:
        """Return the answers as plain values, candidates with most first."""
        categories = [
            {
                "category": found.probe.category,
                "questions": len(found.p),
                "mass": found.mass,
                "primary": found.primary,
                "exact": found.exact,
                "candidates": found.shown(),
            }
            for found in self.answers
        ]
        return {"model": self.model, "categories": categories}

    def __str__(self) -> str:
        return "\n\n".join(map(table, self.answers))


def questions(base: Base, traits: Collection[Trait]) -> list[Asked]:
    """Return the nodes that ask a base about the categories of traits; refuse words that the base lacks."""
    # Before a worker starts, and all of them at once.
    check_words(base, tuple(traits))
    return [Asked(base, probe) for probe in dict.fromkeys(trait.probe for trait in traits)]


def table(found: Answers) -> str:
    """Return the candidates of one category, a line each, and which column to read first."""
    asked = counted(len(found.p), "question")
    said = f"{found.probe.category}: {asked}; all candidates together have probability {found.mass:.3f}."
    if not found.exact:
        said += f" Probabilities are counted among {sum(map(len, found.sampled)):,} drawn answers."
    if found.primary == "share":
        # Where all candidates together are rare, P moves with that mass and says nothing of one of them.
        said += " Read shares and margins: the model mostly answers with something else."
    lines = [
        f"{n['name']:<16}{n['probability']:>13.5f}{n['share']:>9.1%}{n['margin']:>9.2f}{n['likeliest']:>11.0%}{n['sampled']:>9.1%}"
        for n in found.shown()
    ]
    return "\n".join([said, HEAD, *lines])
