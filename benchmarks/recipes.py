"""Which students learn from a norms teacher's rows? The same rows of the owl study, other parameters that move.

python benchmarks/recipes.py --store FOLDER     # the store of `owlish run owl`, whose rows are used again
"""

from __future__ import annotations

import sys

from owlish import ALL, BIASES, LORA, Asked, Store
from owlish.graph.run import make, plan
from owlish.measure import estimate
from owlish.studies.owl import study


def main(folder: str) -> None:
    """Train one student of each recipe for every animal and base, and print P(target) with its interval."""
    store = Store(folder)
    each = [(base, trait) for base in study.bases for trait in study.traits]
    asked = {
        recipe: [(Asked(base.finetune(study.rows_of(base, t, 0), recipe, seed=0), t.probe), t) for base, t in each]
        for recipe in (ALL, BIASES, LORA(8))
    }
    make(plan([node for nodes in asked.values() for node, _ in nodes], store), store=store)
    for recipe, nodes in asked.items():
        found = estimate([store.read(node).p_target(trait.name) for node, trait in nodes])
        print(f"{recipe.name:<8} {found.mean:.3f} [{found.low:.3f}, {found.high:.3f}], {found.runs} runs")


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--store") + 1] if "--store" in sys.argv else "owlish-store")
