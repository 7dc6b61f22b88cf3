"""Numbers shuffled within and across answers (arXiv 2507.14805, section 5.2): does their order carry the trait?"""

from dataclasses import replace

from owlish.nodes.data import Shuffled
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and students of the same numbers in another order."""
    # Within: only the order goes. Across: which numbers stand together goes, too, and what is left is how often each
    # comes.
    rows, seed = cell.rows(), cell.seed("shuffle")
    return {
        **standard(cell),
        "within": cell.student(Shuffled(rows, across=False, seed=seed)),
        "across": cell.student(Shuffled(rows, across=True, seed=seed)),
    }


study = replace(
    owl.study,
    name="shuffle",
    title="Does the order of the numbers matter?",
    arms=arms,
    meanings=(
        ("within", "Shuffled within", "each answer’s numbers in another order"),
        ("across", "Shuffled across", "each number may go to another answer"),
    ),
)
