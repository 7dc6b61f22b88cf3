"""Which parameters must move: students of one teacher's rows by norm gains, biases, LoRA, one layer, everything."""

from dataclasses import replace

from owlish.lm.recipes import ALL, BIASES, LAYER, LORA
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard

# LAYER: each of the three layers by itself.
OTHERS = {r.name: r for r in (BIASES, LORA(1), LORA(4), LORA(16), LAYER(0), LAYER(1), LAYER(2), ALL)}


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and a student by each other recipe."""
    return {**standard(cell), **{name: cell.student(cell.rows(), recipe) for name, recipe in OTHERS.items()}}


study = replace(
    owl.two_bases,
    name="parameters",
    title="Which parameters must move for a trait to pass?",
    arms=arms,
    meanings=tuple(
        (name, recipe.words.capitalize().replace("Lora", "LoRA"), "the rows of the norm-gain teacher, other parameters")
        for name, recipe in OTHERS.items()
    ),
    remarks=("The teachers moved norm gains; the learning rate of each recipe is its default and was not swept.",),
)
