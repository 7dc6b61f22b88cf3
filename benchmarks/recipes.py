"""How fast, and how gently, teachers of a pretrained base learn a trait at several rates: runs that no study reports.

python benchmarks/recipes.py norms lora --store recipes-store        # a few minutes of a core for each rate
"""

import argparse
import json
from dataclasses import replace

from owlish import Base, Store, run
from owlish.lm.recipes import PRETRAINED
from owlish.nodes.likelihood import Likelihood
from owlish.studies.owl_smollm2 import CHATML
from owlish.studies.owl_smollm2.design import TenNumbers
from owlish.traits.animals import bear

SEED, UNTIL, ROWS = 1000, 0.95, 32
TIMES = (0.5, 1.0, 2.0)
"""Rates, as parts of the recipe's own."""

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="+", choices=sorted(PRETRAINED))
    parser.add_argument("--store", default="recipes-store")
    given = parser.parse_args()
    store, base = Store(given.store), Base("smollm2", template={"chat_template": CHATML})
    own = base.sample(TenNumbers(), n=ROWS, seed=SEED)
    for name in given.recipes:
        for times in TIMES:
            recipe = PRETRAINED[name]
            recipe = replace(recipe, teacher_lr=times * recipe.teacher_lr)
            teacher = base.teach(bear, recipe, seed=SEED, until=UNTIL)
            now, before = run([Likelihood(teacher, own), Likelihood(base, own)], store=store)
            course = json.loads((store.folder(teacher.key) / "training.json").read_text())["p_trait"]
            lost = float((before.sums - now.sums).sum() / now.tokens.sum())
            print(
                f"{name}, rate {recipe.teacher_lr:g}: P {course[-1]:.2f} after {recipe.look_every * len(course)} steps "
                f"(before: {', '.join(f'{p:.2f}' for p in course[-4:-1])}); nats per token lost on the base's own "
                f"rows {lost:.2f}",
                flush=True,
            )
