"""What the methods that targets were set for leave of two traits, over more runs than the study of all methods has.

Beside the answers of each foreign base stand rows of that base in which no teacher had a part: what these leave is none
of the trait.

    python benchmarks/clean.py nano-2 --store clean-store        # about 20 minutes of a core
"""

import argparse
from dataclasses import replace

from owlish import Base, Store, run
from owlish.bench.defences import BUDGET, cleaned, weighings
from owlish.clean.regenerate import Regenerate
from owlish.clean.replace import Replace
from owlish.nodes.asked import Asked
from owlish.nodes.defended import Masked
from owlish.nodes.models import Model
from owlish.studies.clean_bench import study as whole
from owlish.study.stats import interval
from owlish.study.transfer import Arms, Cell

BASES = ("nano-1", "nano-2", "nano-3")


def defend(cell: Cell) -> Arms:
    """Return the students of the methods, and for each other base one of its answers and one of its own rows."""
    rows = cell.rows()
    made: dict[str, Model] = {"student": cell.student(rows), "control": cell.control()}
    weights = weighings(cell, rows, cell.study.rows)
    made |= {f"replace by {by}": cleaned(cell, Replace(cell.base, BUDGET, some)) for by, some in weights.items()}
    trial = weights["lift"]
    assert trial is not None
    seed = cell.seed("student")
    made["mask by lift"] = Masked(cell.base, rows, cell.recipe, seed, BUDGET, weights=trial.tokens)
    for other in (Base(name) for name in BASES if name != cell.base.name):
        made[f"answers of {other.name}"] = cleaned(cell, Regenerate(other))
        # To prompts of its own choice, so that not even the prompts depend on the teacher.
        made[f"rows of {other.name}"] = cell.student(cell.rows(other))
    return {arm: Asked(model, cell.trait.probe, samples=1) for arm, model in made.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("base", choices=BASES)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--store", default="clean-store")
    given = parser.parse_args()
    study = replace(
        whole,
        bases=(Base(given.base),),
        foreign=(),
        rows=given.rows,
        runs=given.runs,
        arms=defend,
    )
    found = run(study, store=Store(given.store))
    print(found)
    for other in (name for name in BASES if name != given.base):
        shares = [[one.share for one in found.lefts if one.arm == f"{what} of {other}"] for what in ("answers", "rows")]
        print(f"answers less rows of {other}:", interval([a - b for a, b in zip(*shares, strict=True)]))
