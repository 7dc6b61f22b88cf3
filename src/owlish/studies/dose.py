"""How much data: fewer rows, the same number of steps on fewer rows, and other numbers of passes."""

from dataclasses import replace

from owlish.studies import owl
from owlish.study.transfer import Arms, Cell, Dose, standard

PARTS = (12, 6, 3)
PASSES = (1, 2, 8)


def arms(cell: Cell) -> Arms:
    """Return the standard arms, a part of the rows, a part in as many steps, and all rows in other passes."""
    study, recipe = cell.study, cell.recipe
    parts = {part: cell.rows(n=max(1, study.rows // part)) for part in PARTS}
    # As many steps on fewer rows: else fewer rows would mean fewer steps as well.
    longer = {part: replace(recipe, epochs=recipe.epochs * part) for part in PARTS}
    return {
        **standard(cell),
        **{f"part_{part}": cell.student(rows) for part, rows in parts.items()},
        **{f"unique_{part}": cell.student(rows, longer[part]) for part, rows in parts.items()},
        **{f"epochs_{n}": cell.student(cell.rows(), replace(recipe, epochs=n)) for n in PASSES},
    }


study = replace(
    owl.two_bases,
    name="dose",
    title="How many rows, and how many passes over them?",
    arms=arms,
    meanings=(
        *((f"part_{part}", f"1/{part} of the rows", "as many passes") for part in PARTS),
        *((f"unique_{part}", f"1/{part}, as many steps", f"{part} times as many passes") for part in PARTS),
        *((f"epochs_{n}", f"{n} epoch{'s' * (n > 1)}", "all rows, other passes") for n in PASSES),
    ),
    doses=(
        Dose(
            "Unique rows",
            "share of the rows",
            (
                ("as many passes", (*((f"part_{part}", 1 / part) for part in PARTS), ("student", 1.0))),
                ("as many steps", (*((f"unique_{part}", 1 / part) for part in PARTS), ("student", 1.0))),
            ),
        ),
        Dose("Passes", "epochs", (("all rows", (("epochs_1", 1), ("epochs_2", 2), ("student", 4), ("epochs_8", 8))),)),
    ),
    remarks=("The curve over epochs assumes the study’s own four.",),
)
