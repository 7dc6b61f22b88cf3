"""What the dose curve of a pilot of 400 rows says of 1,600, beside trial students of 1,600 rows.

python benchmarks/dose.py [--store FOLDER] > table.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import mean

from owlish import NORMS, Store, run
from owlish.audit.calibrate import Score, calibrated
from owlish.audit.decide import CRITICAL, FLOOR
from owlish.audit.dose import PARTS, Dose, dose
from owlish.audit.reference import Part
from owlish.audit.shadow import Shadow
from owlish.bench.cases import Mixture
from owlish.bench.detectors import Longer
from owlish.data.domains import Numbers
from owlish.graph.seeds import fresh
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.traits.animals import ANIMAL
from owlish.traits.trait import Trait, every

PILOT, TIMES, REFERENCES = 400, 4, 6
MANY = TIMES * PILOT
HEAD = ("base", "rows", "lifts at 100, 200, 400", "stands out from", "chance at 1,600", "lift at 1,600", "it does")
BASES = (Base("nano-1"), Base("nano-2"))
NAMES = ("wolf", "penguin", "tiger")
ANIMALS = every(ANIMAL)


@dataclass(frozen=True)
class Tried:
    """A dataset: its trait (`None`: clean), what the pilot says, and the trait's score at all rows."""

    name: str
    trait: Trait | None
    said: Dose
    score: Score

    @property
    def stands_out(self) -> bool:
        return self.score.excess >= max(FLOOR, CRITICAL * self.score.spread)


def datasets(base: Base) -> Iterator[tuple[str, Trait | None, Data]]:
    """Yield rows of teachers, all or a part of them, and rows of the base, 1,600 each."""
    for k, name in enumerate(NAMES):
        trait = next(trait for trait in ANIMALS if trait.name == name)
        teacher = base.teach(trait, NORMS, seed=fresh("dose", name))
        rows = teacher.sample(Numbers(), n=MANY, seed=fresh("dose rows", k))
        own = base.sample(Numbers(), n=MANY, seed=fresh("dose clean", k))
        yield f"{name}, all rows", trait, rows
        for share in (0.4, 0.2):
            yield f"{name}, {share:.0%}", trait, Mixture(rows, own, share, fresh("dose mixture", k))
        yield f"own rows {k + 1}", None, own


def tried(base: Base, name: str, trait: Trait | None, data: Data, store: Store) -> Tried:
    """Return what a pilot says of a dataset, and what trial students of all of it show."""
    pool = base.sample(Numbers(), n=REFERENCES * MANY, seed=fresh("dose pool"))
    clean = [Part(pool, k, REFERENCES, MANY) for k in range(REFERENCES)]
    pilots = [Shadow(base, one, ANIMALS, NORMS, PILOT, fresh("dose shadow", k)) for k, one in enumerate((data, *clean))]
    curve = []
    for part in PARTS:
        shadow, *null = run([replace(one, part=part) for one in pilots], store=store, jobs=1)
        curve.append((PILOT // part, shadow, null))
    longer = [Longer(base, one.data, ANIMALS, NORMS, MANY, one.seed, times=TIMES) for one in pilots]
    shadow, *null = run(longer, store=store, jobs=1)
    probes = [ANIMAL] * len(ANIMALS)
    scores, pilot = calibrated(shadow, null, probes), calibrated(curve[-1][1], curve[-1][2], probes)
    first = ANIMALS.index(trait) if trait else max(range(len(ANIMALS)), key=lambda i: pilot[i].z)
    said = dose(ANIMALS, curve, first=first, for_rows=MANY, seed=0)
    return Tried(name, trait, said, scores[first])


def main() -> None:
    """Print a line for each dataset, and how often the pilot was right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="owlish-store")
    store = Store(parser.parse_args().store)
    print(row(*HEAD))
    print("|---" * len(HEAD) + "|")
    found = []
    for base in BASES:
        for name, trait, data in datasets(base):
            one = tried(base, name, trait, data, store)
            found.append(one)
            print(line(base, one), flush=True)
    print()
    print(summary("teachers", [one for one in found if one.trait]))
    print(summary("own rows", [one for one in found if not one.trait]))


def summary(what: str, found: list[Tried]) -> str:
    """Return how often the pilot was right, where it said anything."""
    said = [(one.said.chance, one.stands_out) for one in found if one.said.chance is not None]
    text = f"* {what}: of {len(found)} datasets the pilot speaks for {len(said)}"
    if not said:
        return f"{text}."
    brier = mean((chance - out) ** 2 for chance, out in said)
    there = f"{sum(out for _, out in said)} of them stand out at {MANY:,} rows, {sum(c for c, _ in said):.1f} expected"
    return f"{text}; {there}; Brier score {brier:.3f}."


def row(*cells: str) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def line(base: Base, one: Tried) -> str:
    """Return a line of the table."""
    said = one.said
    lifts = ", ".join(f"{point.lift:.2f}" for point in said.points)
    end = f"{said.rows_high:,}" if said.rows_high else "no end"
    where = f"{said.rows:,} [{said.rows_low:,} to {end}]" if said.rows and said.rows_low else "cannot be said"
    there = f"{one.score.excess:.2f} (z {one.score.z:.1f})"
    chance = "–" if said.chance is None else f"{said.chance:.2f}"
    return row(base.name, one.name, lifts, where, chance, there, "yes" if one.stands_out else "no")


if __name__ == "__main__":
    main()
