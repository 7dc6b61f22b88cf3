"""A chain: the student writes rows for a student of its own, several hops from the teacher."""

from dataclasses import replace

from owlish.nodes.models import Model
from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, Dose, standard

HOPS = (2, 3, 4)  # hop 1 is the student of the standard arms


def arms(cell: Cell) -> Arms:
    """Return the standard arms, and the student at each further hop; all hops start from the same base."""
    model: Model = cell.student(cell.rows())
    found: Arms = {}
    for hop in HOPS:
        # Always from the untouched base: only rows go from hop to hop, never weights.
        model = cell.student(cell.rows(model))
        found[f"hop_{hop}"] = model
    return {**standard(cell), **found}


study = replace(
    owl.two_bases,
    name="chain",
    title="How far does a trait travel from student to student?",
    arms=arms,
    meanings=tuple((f"hop_{hop}", f"Hop {hop}", "a student of the rows of the hop before") for hop in HOPS),
    doses=(Dose("Hops", "hops", (("owl", (("student", 1.0), *((f"hop_{h}", float(h)) for h in HOPS))),)),),
)
