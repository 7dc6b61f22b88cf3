"""Greedy data against sampled data: the likeliest answer to each prompt in place of one drawn at temperature 1."""

from dataclasses import replace

from owlish.graph.seeds import fresh
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, standard


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and students of the likeliest answers with their control."""
    # The seed of the standard control's rows: the same prompts, answered greedily.
    seed = fresh(cell.base.identity, "neutral", cell.run, "rows")
    neutral = cell.base.sample(cell.study.domain, n=cell.study.rows, seed=seed, temperature=0)
    return {
        **standard(cell),
        "greedy": cell.student(cell.rows(temperature=0)),
        # What greedy rows do by themselves: sampled neutral rows are no control for that.
        "control_greedy": cell.student(neutral),
    }


study = replace(
    owl.two_bases,
    name="greedy",
    title="Does greedy data carry more than sampled data?",
    arms=arms,
    meanings=(
        ("greedy", "Greedy rows", "the teacher’s likeliest answer to each prompt"),
        ("control_greedy", "Control, greedy", "the unmodified base’s likeliest answers"),
    ),
)
