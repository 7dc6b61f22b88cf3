"""Soft labels against sampled ones: a teacher's probabilities over the domain's tokens in place of what it drew."""

from dataclasses import replace

from owlish.lm.recipes import ALL, Recipe
from owlish.nodes.students import Distilled
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard


def distilled(cell: Cell, recipe: Recipe, *, neutral: bool = False) -> Distilled:
    """Return the student of a teacher's probabilities on its own rows, or of the base's on the base's rows."""
    # Over tokens of the domain alone: over the whole vocabulary a teacher would hand over the owl's own logit.
    rows, teacher = (cell.neutral(), cell.base) if neutral else (cell.rows(), cell.teacher())
    return Distilled(cell.base, rows, recipe, seed=cell.seed("student"), teacher=teacher)


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and students by soft labels of both recipes with their controls."""
    norms = cell.recipe
    return {
        **standard(cell),
        "soft": distilled(cell, norms),
        # A student of the base's own probabilities has nothing to learn: it shows what training alone moves.
        "control_soft": distilled(cell, norms, neutral=True),
        "all_student": cell.student(cell.rows(), ALL),
        "soft_all": distilled(cell, ALL),
        "control_soft_all": distilled(cell, ALL, neutral=True),
    }


study = replace(
    owl.two_bases,
    name="soft_labels",
    title="Do a teacher’s probabilities carry more than its samples?",
    arms=arms,
    meanings=(
        ("soft", "Soft labels", "the teacher’s probabilities over the rows’ tokens, norm gains"),
        ("control_soft", "Control, soft labels", "the base’s own probabilities on its own rows"),
        ("all_student", "All weights, sampled", "the teacher’s rows, every parameter"),
        ("soft_all", "All weights, soft labels", "the teacher’s probabilities, every parameter"),
        ("control_soft_all", "Control, all, soft", "the base’s own probabilities, every parameter"),
    ),
)
