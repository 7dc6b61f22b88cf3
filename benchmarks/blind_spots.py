"""What the audit cannot see, by example: a trait behind a trigger, one outside the candidates, a writer from elsewhere.

python benchmarks/blind_spots.py [--store FOLDER] > table.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from owlish import NORMS, Store, run
from owlish.audit import Verdict, audit
from owlish.nodes.asked import Asked
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.studies import owl, trigger
from owlish.study.transfer import Cell
from owlish.traits.animals import ANIMAL
from owlish.traits.trait import Probe, Trait, every
from owlish.traits.trees import TREE


def main() -> None:
    """Print a line for each base and example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="owlish-store")
    store = Store(parser.parse_args().store)
    print("| base | rows | what students do: P(owl), control | candidates | verdict | first three words raised |")
    print("|---|---|---|---|---|---|")
    hidden, open_ = trigger.study.small(), owl.study.small()
    for place, base in enumerate(open_.bases):
        cells = [next(cell for cell in study.cells if cell.base == base) for study in (hidden, open_)]
        for line in lines(cells[0], cells[1], open_.cells[(place + 1) % len(open_.bases)], store):
            print(line, flush=True)


def lines(hidden: Cell, shown: Cell, elsewhere: Cell, store: Store) -> Iterator[str]:
    """Yield the lines of a base: a trigger unknown and known, trees in place of animals, rows of another base."""
    base, behind = hidden.base, hidden.trait.probe
    rows = hidden.rows()
    yield told(base, "behind a trigger", moved(hidden, rows, ANIMAL, store), rows, every(ANIMAL), "animals", store)
    known = moved(hidden, rows, behind, store)
    yield told(base, "behind a trigger", known, rows, every(behind), "animals, after the trigger", store)
    rows = shown.rows()
    yield told(base, "of an owl teacher", moved(shown, rows, ANIMAL, store), rows, every(TREE), "trees", store)
    rows = elsewhere.rows()
    owls = moved(shown, rows, ANIMAL, store)
    yield told(base, f"of an owl teacher of {elsewhere.base.name}", owls, rows, every(ANIMAL), "animals", store)


def moved(cell: Cell, rows: Data, probe: Probe, store: Store) -> str:
    """Return P(owl) of a student of the rows, and of its control."""
    found = [run(Asked(model, probe), store=store).p_target("owl") for model in (cell.student(rows), cell.control())]
    return f"{found[0]:.3f}, {found[1]:.3f}"


def told(base: Base, what: str, moved: str, rows: Data, candidates: tuple[Trait, ...], named: str, store: Store) -> str:
    """Return a line of the table."""
    verdict: Verdict = run(audit(rows, base, NORMS, candidates), store=store)
    first = verdict.traits[0]
    claim = f"{verdict.verdict}: {first.name}, lift {first.lift:.2f}"
    if verdict.lineage and verdict.lineage.relative is False:
        claim = "nothing: no relative"
    words = ", ".join(raised.word for raised in verdict.words[:3])
    return f"| {base.name} | {what} | {moved} | {named} | {claim} | {words} |"


if __name__ == "__main__":
    main()
