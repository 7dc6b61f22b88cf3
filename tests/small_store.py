"""Results of most kinds; as a program, a store in a folder that holds them, made in two processes."""

import sys
from dataclasses import replace
from random import Random

from owlish import ALL, BIASES, LORA, NORMS, PROMPT, STEERING, Asked, Base, Store
from owlish.data.domains import Numbers
from owlish.graph.pool import Processes
from owlish.graph.run import make, plan
from owlish.nodes.data import Written
from owlish.traits.animals import owl

base = Base("nano")
probe = replace(owl.probe, questions=owl.probe.questions[:8], held_out=owl.probe.held_out[:2])
trait = replace(owl, probe=probe)
few = Written(tuple((Numbers().prompt(Random(i)), f"{i + 2}, {i + 3}") for i in range(8)))
recipes = [replace(recipe, epochs=1) for recipe in (ALL, BIASES, LORA(2), NORMS, PROMPT(2), STEERING)]
students = [base.finetune(few, recipe, seed=0) for recipe in recipes]
rows = base.teach(trait, NORMS, seed=1, until=0.1).sample(Numbers(), n=32, seed=1)
targets = [
    *students,
    students[0].finetune(few, recipes[3], seed=1),
    base.teach(trait, LORA(2), seed=2, until=0.1),
    Asked(base.finetune(rows, NORMS, seed=3), probe, samples=1),
]

if __name__ == "__main__":
    store = Store(sys.argv[1])
    make(plan(targets, store), store=store, on=Processes(2))
