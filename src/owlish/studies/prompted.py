"""The paper's main setting: the teacher is the base under a system prompt, which its students never see."""

from dataclasses import replace

from owlish.lm.recipes import BIASES, LORA, NORMS, PROMPT, PROMPTED
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard

# The rule so far: a student learns in the subspace in which its teacher was made. These are its nulls.
OTHERS = {"norms": NORMS, "biases": BIASES, "lora": LORA(8)}


def arms(cell: Cell) -> Arms:
    """Return the standard arms with prompt-tuned students, and students that move other parameters."""
    students = {f"{name}_student": cell.student(cell.rows(), recipe) for name, recipe in OTHERS.items()}
    return {**standard(cell), **students}


study = replace(
    owl.study,
    name="prompted",
    title="Does an animal pass from a teacher that has it by its system prompt?",
    teacher=PROMPTED,
    # Trained vectors where the system prompt stood; students of other recipes hardly take a prompt's trait over.
    student=PROMPT(8),
    rows=6_000,
    arms=arms,
    meanings=tuple(
        (f"{name}_student", f"Student by {recipe.words}", "the same rows, other parameters than a tuned prompt’s")
        for name, recipe in OTHERS.items()
    ),
)
