"""How much memory work on SmolLM2-135M takes at its peak, beside what a plan foretells.

Each work runs in a process of its own, as in a worker, with one thread: its peak is the most that was ever resident.

    python benchmarks/memory.py STORE       # some minutes of one core; the store keeps the base and the results
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

from owlish import run
from owlish.cli.memory import peak
from owlish.data.domains.numbers import Numbers
from owlish.graph.pool import Here
from owlish.graph.spec import Node
from owlish.lm.recipes import PRETRAINED
from owlish.nodes.asked import Asked
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.nodes.loaded import loaded
from owlish.traits.animals import ANIMAL

BASE = Base("smollm2")


def rows(count: int, numbers: int) -> Data:
    """Return rows, each of which goes on with so many numbers of three digits."""
    rng = random.Random(0)
    lists = [", ".join(str(rng.randrange(100, 1000)) for _ in range(numbers)) for _ in range(count)]
    prompt = Numbers().prompt(random.Random(0))
    return loaded([{"prompt": prompt, "completion": text} for text in lists], n=None, seed=0)


def asked(questions: int, samples: int) -> Node:
    """Return the base, asked some of the questions about animals."""
    return Asked(BASE, replace(ANIMAL, questions=ANIMAL.questions[:questions], held_out=()), samples=samples)


def student(count: int, numbers: int, batch: int) -> Node:
    """Return a LoRA student of some rows, trained for one pass over them."""
    return BASE.finetune(rows(count, numbers), replace(PRETRAINED["lora"], epochs=1, batch=batch), seed=0)


WORK: dict[str, Callable[[], Node]] = {
    "asking 8 questions, 20 samples each": lambda: asked(8, 20),
    "asking 40 questions, 2 samples each": lambda: asked(40, 2),
    "48 rows of numbers": lambda: BASE.sample(Numbers(constrained=True), n=48, seed=0),
    "a LoRA student, a batch of 16 rows of 10 numbers": lambda: student(16, 10, 16),
    "a LoRA student, a batch of 4 rows of 80 numbers": lambda: student(4, 80, 4),
}


def main() -> None:
    """Make the base, then each work in a process of its own; print a line for each."""
    store = sys.argv[1]
    if len(sys.argv) > 2:
        node = WORK[sys.argv[2]]()
        run(node, store=store, on=Here(), quiet=True)
        took = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        told = (peak([node]) or 0) / 2**30
        print(f"{sys.argv[2]:50} {told:5.2f} GiB foretold, {took:5.2f} taken, {told / took - 1:+.0%}", flush=True)
        return
    run(BASE, store=store, quiet=True)
    for name in WORK:
        subprocess.run([sys.executable, __file__, store, name], check=True)


if __name__ == "__main__":
    main()
