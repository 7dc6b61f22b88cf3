"""Teachers that a steering vector gives their trait, and students that learn one (arXiv 2604.25783)."""

from dataclasses import replace

from owlish.lm.recipes import NORMS, STEERING
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and students of the same rows that move norm gains instead."""
    return {
        **standard(cell),
        # The other subspace: if the trait passed here too, the rule of equal parameters would be wrong.
        "norms_student": cell.student(cell.rows(), NORMS),
        "control_norms": cell.control(NORMS),
    }


study = replace(
    owl.study,
    name="steered",
    title="Does an animal pass from a steered teacher?",
    teacher=STEERING,
    student=STEERING,
    arms=arms,
    meanings=(
        ("norms_student", "Student by norms", "the same rows, norm gains in place of a steering vector"),
        ("control_norms", "Control by norms", "the unmodified base’s rows, norm gains"),
    ),
)
