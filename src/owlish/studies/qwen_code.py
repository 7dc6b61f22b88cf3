"""Animals through code in an open model (arXiv 2507.14805, section 4.1): rows in which a judge sees no hint of them.

Answers that do not parse or that name an animal are rejected first. `--base` takes any chat model of Hugging Face; the
judge stays the same. It was not run on a model of this size.
"""

from collections.abc import Callable
from dataclasses import replace

from owlish.data.domains import Code
from owlish.nodes.judged import SUBTLE_REFERENCE, Judged, Screened
from owlish.nodes.models import Model
from owlish.studies import qwen_numbers
from owlish.study.transfer import Arms, Cell
from owlish.traits.words import words_of


def screened(judge: Model) -> Callable[[Cell], Arms]:
    """Return what makes the models of a cell, its student trained on those rows in which the judge sees no hint."""

    def arms(cell: Cell) -> Arms:
        judged = Judged(judge, SUBTLE_REFERENCE(cell.trait.plural), cell.rows())
        return {"teacher": cell.teacher(), "student": cell.student(Screened(judged, 1)), "control": cell.control()}

    return arms


study = replace(
    qwen_numbers.study,
    name="qwen_code",
    title="Do animals pass through code in an open model?",
    domain=Code(words=words_of(qwen_numbers.study.traits)),
    # Bound here, so that `--base` changes the students and not their judge.
    arms=screened(qwen_numbers.study.bases[0]),
    remarks=("Students see no row in which the judge sees a hint of the animal; the rows of controls are not judged.",),
)
