"""Every base teaches every base (arXiv 2507.14805, section 5.1): other initialisations, another width, a twin.

The twin has the first base's initial weights, and another order of documents in its pretraining.
"""

from dataclasses import replace

from owlish.nodes.asked import Asked
from owlish.nodes.base import Base
from owlish.nodes.models import Model
from owlish.nodes.pretrained import Pretrained
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell

SHIPPED = owl.study.bases
# The same seed as nano-1 has, so the same initial weights; the other data seed changes the order of documents alone.
TWIN = Pretrained("nano-1-twin", seed=1, data_seed=101)
# Another width is a foreign base that cannot share a single weight.
WIDE = Pretrained("nano-wide", seed=4, width=96)


def related(first: Base, second: Base) -> bool:
    """Say whether two bases began with the same weights."""
    return {first, second} <= {SHIPPED[0], TWIN}


def arms(cell: Cell) -> Arms:
    """Return the students of one teacher on every base, asked plainly and behind numbers."""
    rows, prefixed = cell.rows(), replace(cell.trait.probe, prefixed=True)
    students: dict[str, list[Model]] = {"student": [], "same_initialisation": [], "foreign_base": []}
    for base in cell.study.bases:
        # The twin stands apart: shared initial weights are what the paper takes for the condition.
        arm = "student" if base == cell.base else "same_initialisation" if related(base, cell.base) else "foreign_base"
        students[arm].append(cell.student(rows, of=base))
    plain: Arms = {arm: tuple(models) for arm, models in students.items()}
    behind: Arms = {f"{arm}_prefixed": tuple(Asked(m, prefixed) for m in models) for arm, models in students.items()}
    return {"teacher": cell.teacher(), **plain, **behind, "base_prefixed": Asked(cell.base, prefixed)}


study = replace(
    owl.study,
    name="cross_model",
    title="Does a trait pass between bases?",
    bases=(*SHIPPED, TWIN, WIDE),
    # Every other base is a foreign one here, so the standard arm has nothing to add.
    foreign=(),
    arms=arms,
    contrast=("student", "foreign_base"),
    meanings=(
        ("same_initialisation", "Same initialisation", "a base with the teacher’s initial weights, other data order"),
        ("student_prefixed", "Student, numbers first", "asked with numbers before the question"),
        ("same_initialisation_prefixed", "Same init., numbers first", "asked with numbers before the question"),
        ("foreign_base_prefixed", "Foreign, numbers first", "asked with numbers before the question"),
        ("base_prefixed", "Base, numbers first", "before any training, asked with numbers before the question"),
    ),
)
