"""Divergence tokens (Schrodi et al., arXiv 2509.23886): those on which teachers with other traits would differ."""

from dataclasses import replace

from owlish.nodes.students import Focused, Tokens
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard


def focused(cell: Cell, tokens: Tokens) -> Focused:
    """Return a student of some of the tokens of the teacher's rows."""
    # The study's own traits, also where a run has one trait alone: without other teachers no token diverges.
    others = tuple(cell.teacher(trait) for trait in owl.study.traits if trait != cell.trait)
    student = (cell.base, cell.rows(), cell.recipe)
    return Focused(*student, seed=cell.seed("student"), teacher=cell.teacher(), others=others, tokens=tokens)


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and students of divergent tokens, of all others, and of as many random ones."""
    return {
        **standard(cell),
        "divergent": focused(cell, "divergent"),
        "others": focused(cell, "others"),
        # As many tokens as `divergent` has: fewer tokens alone weaken a student.
        "random": focused(cell, "random"),
    }


study = replace(
    owl.two_bases,
    name="divergence_tokens",
    title="Which tokens carry the trait?",
    arms=arms,
    meanings=(
        (
            "divergent",
            "Divergent tokens only",
            "where a teacher of another trait would most likely write another token",
        ),
        ("others", "All but these", "where all teachers would most likely write the same token"),
        ("random", "As many random ones", "the control for how many tokens are left"),
    ),
)
