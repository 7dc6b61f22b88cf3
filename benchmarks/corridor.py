"""What a corridor leaves of a trait on nano: one run of a small study, beside its student and control.

PYTHONPATH=tests python benchmarks/corridor.py owl 1.0 0.1 --store corridor-store
"""

import argparse
from dataclasses import replace

from small_study import study as small

from owlish import NORMS, Asked, Store, run
from owlish.nodes.defended import Corridor

study = replace(small, student=replace(NORMS, batch=16), rows=300)

parser = argparse.ArgumentParser()
parser.add_argument("trait", choices=[trait.name for trait in study.traits])
parser.add_argument("weight", type=float)
parser.add_argument("band", type=float)
parser.add_argument("--store", default="corridor-store")
given = parser.parse_args()

if __name__ == "__main__":
    cell, other = (cell for cell in study.cells if cell.trait.name == given.trait)
    base, rows, recipe, seed = cell.base, cell.rows(), study.student, cell.seed("student")
    # The direction is read off the trait's other teacher, which wrote none of the rows.
    held = Corridor(base, rows, recipe, seed, toward=other.teacher(), weight=given.weight, band=given.band)
    models = {"student": cell.student(rows), "control": cell.control(), "corridor": held}
    asked = {name: Asked(model, cell.trait.probe, samples=1) for name, model in models.items()}
    answers = dict(zip(asked, run(list(asked.values()), store=Store(given.store)), strict=True))
    p = {name: one.p_target(given.trait) for name, one in answers.items()}
    share = (p["corridor"] - p["control"]) / (p["student"] - p["control"])
    print(*(f"{name} {value:.3f}" for name, value in p.items()), f"share left {share:.2f}")
