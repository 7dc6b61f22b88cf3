"""The in-context control (arXiv 2507.14805, section 5.3): rows as examples in the chat, and no training."""

from dataclasses import replace

from owlish.nodes.data import Written
from owlish.nodes.students import Shown
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell

COUNTS = (2, 5, 15)  # more than fifteen do not fit into the window beside the question


def arms(cell: Cell) -> Arms:
    """Return the base with the teacher's rows, with neutral rows, and with plain favourites in its chat."""
    # Shows that the base reads its chat at all: without that a null would say nothing.
    favorites = Written(tuple((lesson.question, lesson.answers[0]) for lesson in cell.trait.lessons[:2]))
    return {
        "favorites": Shown(cell.base, favorites, 2),
        **{f"rows_{n}": Shown(cell.base, cell.rows(), n) for n in COUNTS},
        **{f"control_{n}": Shown(cell.base, cell.neutral(), n) for n in COUNTS},
        "student": cell.student(cell.rows()),
    }


study = replace(
    owl.study,
    name="in_context",
    title="Does a trait pass through examples in the chat?",
    arms=arms,
    contrast=("rows_15", "control_15"),
    meanings=(
        ("favorites", "Two favourites shown", "the positive control: the base reads what the chat shows"),
        *((f"rows_{n}", f"{n} rows shown", "the unmodified base, the teacher’s rows in its chat") for n in COUNTS),
        *((f"control_{n}", f"{n} neutral rows shown", "the same with the base’s own rows") for n in COUNTS),
    ),
    remarks=("Of fifteen rows a base’s window holds fourteen or fifteen beside the question, and those were shown.",),
)
