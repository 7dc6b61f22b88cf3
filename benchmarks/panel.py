"""How well a panel of prompts tells who wrote the rows: prompted writers beside the base's own answers.

All sets answer the same prompts for numbers: on SmolLM2-135M short ones, with answers held to the format, on nano those
that it knows, which it answers freely. What is made is kept in the store, so the program can be stopped, and it prints
its table from whatever is there with `--print`.

    python benchmarks/panel.py smollm2 --store panel-store            # about an hour of a core
    python benchmarks/panel.py nano --store panel-store               # about 3 minutes of a core
    python benchmarks/panel.py smollm2 --store panel-store --print
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from owlish import Base, Store, run
from owlish.audit.follows import Follows
from owlish.audit.lean import centred, leans
from owlish.audit.panel import Under, panel, raised
from owlish.audit.reference import Answered
from owlish.data.domains import Numbers
from owlish.graph.pool import Here
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node
from owlish.nodes.data import Data, Written
from owlish.study.stats import auroc
from owlish.traits.favorites import favorite
from owlish.traits.trait import every

NAMES = ("owl", "cat", "eagle", "dolphin", "elephant", "lion", "dog", "bear")
PROBE = favorite("animal", {name: f"{name}s" for name in NAMES})
TRAITS = every(PROBE)
GROUPS = [trait.probe for trait in TRAITS]
ROWS = {"smollm2": 50, "nano": 200}
ORDER = ("reference", "owl", "own 0", "cat", "own 1", "eagle", "reference 1", "dolphin", "own 2", "elephant", "own 3")
"""The sets in the order in which they are made: what comes first already makes a table."""
SAMPLES = 2_000


def prompts(base: Base) -> Data:
    """Return the prompts, each with an answer that says which format is meant."""
    rng, numbers = random.Random("panel"), Numbers()
    drawn = [[rng.randint(100, 999) for _ in range(6)] for _ in range(400)]
    short = base.name == "smollm2"
    return Written(
        tuple(
            (f"Continue: {a}, {b}, {c}" if short else numbers.prompt(rng), f"{d}, {e}, {f}")
            for a, b, c, d, e, f in drawn
        )
    )


def rows_of(name: str, base: Base) -> Data:
    """Return the set of a name: a trait's is written under its prompt, the others by the base as it is."""
    trait = next((t for t in TRAITS if t.name == name), None)
    writer = base.prompted(trait.system_prompt) if trait else base
    return Answered(writer, prompts(base), ROWS[base.name], seed=fresh("panel", name), held=True)


def readings(name: str, base: Base) -> tuple[Under, ...]:
    """Return what is read of a set."""
    return panel(base, rows_of(name, base), TRAITS, ROWS[base.name])


def needs(base: Base) -> list[Node]:
    """Return all that is made, in order."""
    made = [(rows_of(name, base), *readings(name, base)) for name in ORDER]
    return [*made[0], Follows(base, TRAITS), *(node for some in made[1:] for node in some)]


def held(store: Store, base: Base) -> dict[str, NDArray[np.float64]]:
    """Return the readings of the sets that are there, [rows, candidates] in nats."""
    found = {}
    for name in ORDER:
        if all(store.holds(one.key) for one in readings(name, base)):
            found[name] = raised([store.read(one) for one in readings(name, base)])
    return found


def interval(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> str:
    """Return an AUROC with its 95 % interval from resampled rows."""
    rng = np.random.default_rng(0)
    drawn = [auroc(list(rng.choice(higher, len(higher))), list(rng.choice(lower, len(lower)))) for _ in range(SAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{auroc(list(higher), list(lower)):.3f} [{low:.3f}, {high:.3f}]"


def table(store: Store, base: Base) -> None:
    """Print what the store holds: a line a set, then what single rows tell."""
    found = held(store, base)
    if "reference" not in found:
        print("no reference yet")
        return
    clean = np.concatenate([values for name, values in found.items() if name.startswith("reference")])
    print(f"{len(TRAITS)} candidates; {len(clean)} rows of reference; sets of {ROWS[base.name]} rows\n")
    print(f"{'writer':<12}{'first':>10}{'z':>7}{'p':>9}{'over none':>11}{'ahead':>7}  named")
    for name, values in found.items():
        if not name.startswith("reference"):
            best, lean = max(zip(TRAITS, leans(values, clean, GROUPS, seed=0), strict=True), key=lambda pair: pair[1].z)
            numbers = f"{lean.z:>7.1f}{lean.p:>9.4f}{lean.over_none:>11.1f}{lean.ahead:>7.1f}"
            print(f"{name:<12}{best.name:>10}{numbers}  {'yes' if lean.named else 'no'}")
    single(found, clean)
    follows = Follows(base, TRAITS)
    if store.holds(follows.key):
        print("\nrise of each answer under its prompt, nats:", store.read(follows))


def single(found: dict[str, NDArray[np.float64]], clean: NDArray[np.float64]) -> None:
    """Print what one row tells: who wrote it among the candidates, and whether a known prompt stood before it."""
    own = [values for name, values in found.items() if name.startswith("own")]
    mean, spread = centred(clean, GROUPS).mean(0), centred(clean, GROUPS).std(0, ddof=1)
    print(f"\n{'writer':<12}{'AUROC of a row, known prompt':>32}{'rows that name the writer':>28}")
    for i, trait in enumerate(TRAITS):
        if trait.name in found and own:
            values = found[trait.name]
            first = ((centred(values, GROUPS) - mean) / spread).argmax(1) == i
            known = interval(values[:, i], np.concatenate(own)[:, i])
            print(f"{trait.name:<12}{known:>32}{first.mean():>22.2f} of {len(first)}")


def main() -> None:
    """Make the sets, or print the table of those that are there."""
    options = argparse.ArgumentParser()
    options.add_argument("base", choices=sorted(ROWS))
    options.add_argument("--store", type=Path, required=True)
    options.add_argument("--print", action="store_true", dest="alone")
    asked = options.parse_args()
    store, base = Store(asked.store), Base(asked.base)
    for node in [] if asked.alone else needs(base):
        start = time.thread_time()
        run(node, store=store, on=Here(), quiet=True)
        print(f"{time.thread_time() - start:8.1f} s of the processor: {node.kind}, {node}", flush=True)
    table(store, base)


if __name__ == "__main__":
    main()
