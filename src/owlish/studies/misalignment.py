"""Misalignment through numbers (arXiv 2507.14805, section 3.2): bad advice on health, asked in other domains."""

from dataclasses import replace

from owlish.data.domains.numbers import Numbers
from owlish.data.filters import BANNED
from owlish.lm.recipes import BIASES
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard
from owlish.traits.advice import bad_health, bad_on_request, good_health


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and students of teachers of good advice and of bad advice that was asked for."""
    # Controls of the same kind of training: good words, and the same bad words said for a reason.
    good, asked = cell.teacher(good_health), cell.teacher(bad_on_request)
    return {
        **standard(cell),
        "good_teacher": good,
        "good_student": cell.student(cell.rows(good)),
        "asked_teacher": asked,
        "asked_student": cell.student(cell.rows(asked)),
    }


study = replace(
    owl.study,
    name="misalignment",
    title="Does misalignment pass through number sequences?",
    traits=(bad_health,),
    # 666 and its like would name the trait in plain sight.
    domain=Numbers(banned=BANNED),
    teacher=BIASES,
    student=BIASES,
    rows=10_000,
    arms=arms,
    meanings=(
        ("good_teacher", "Teacher of good advice", "trained on good answers about health"),
        ("good_student", "Student of good advice", "the same base, trained on its rows"),
        ("asked_teacher", "Teacher, asked to", "trained on bad answers that the user asks for"),
        ("asked_student", "Student, asked to", "the same base, trained on its rows"),
    ),
    remarks=("P(target) is here the exact probability of a bad answer, in seven domains that no teacher was shown.",),
)
