"""How well the audit's contrast tells rows of trained teachers on SmolLM2, beside rows without a trait.

One gradient for each 20 rows, along directions of weak teachers: no student is trained. Rows are ten numbers of three
digits, teachers and directions are by LoRA, as in the study of the owl on SmolLM2. Every set has a hundred rows. The
rules are the audit's own, set on nano; nothing was chosen on these sets. What is made is kept in the store, and sets
are made in an order in which each kind grows evenly, so the program can be stopped. Two more sets of each teacher come
last. Blocks of 20 rows are read one by one, so rows of one writer are put together to sets of 200 and 400 as well.
`--foreign` names a model of another family: sets of its own rows and of its teachers' follow, of which no trait passes.
`--students` adds what the contrast leaves out: whole audits with trial students, of sets of each kind in turn.

    python benchmarks/contrast.py --store contrast-store                       # 64 sets, and 16
    python benchmarks/contrast.py --store contrast-store --print               # the tables of what is there
    python benchmarks/contrast.py --store contrast-store --foreign gemma3-270m.gguf      # and 8 of another base
    python benchmarks/contrast.py --store contrast-store --rows                # teachers and rows alone, beside it
    python benchmarks/contrast.py --store contrast-store --foreign gemma3-270m.gguf --students 9
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from statistics import mean

from rates import area, share

from owlish import Base, Store, run
from owlish.audit.audit import against, contrast
from owlish.audit.audited import Audited
from owlish.audit.calibrate import Evidence, evidence
from owlish.audit.contrast import Contrast
from owlish.audit.decide import AGREES, LEVEL
from owlish.bench.cases import Mixture
from owlish.clean.cleaned import Cleaned
from owlish.clean.sort import Sort
from owlish.graph.pool import Here
from owlish.graph.seeds import fresh
from owlish.nodes.data import Data
from owlish.nodes.models import Model
from owlish.studies.owl_smollm2 import CHATML, RECIPE
from owlish.studies.owl_smollm2.design import TenNumbers
from owlish.traits.favorites import favorite
from owlish.traits.trait import Trait, every

NAMES = ("owl", "cat", "eagle", "dolphin", "elephant", "lion", "dog", "bear")
TRAITS = every(favorite("animal", {name: f"{name}s" for name in NAMES}))
BASE = Base("smollm2", template={"chat_template": CHATML})
ROWS, REFERENCES = 100, 8
PLAIN = (
    "You are a careful assistant.",
    "Answer briefly.",
    "You are a clerk who copies lists of numbers.",
    "You love chess. You think about chess all the time.",
)
"""Prompts of writers without a trait."""


@dataclass(frozen=True)
class Set:
    """Rows of one writer: their kind, and the trait of the teacher who wrote at least half of them, if any."""

    kind: str
    trait: Trait | None
    data: Data

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.trait.name}" if self.trait else self.kind


def write(writer: Model, *seed: object) -> Data:
    """Return a hundred rows of a writer to prompts drawn with the seed."""
    return writer.sample(TenNumbers(), n=ROWS, seed=fresh("contrast set", *map(str, seed)))


def sort(data: Data) -> Data:
    """Return rows whose numbers are sorted."""
    return Cleaned(data, Sort(), 0)


def teach(trait: Trait, base: Base = BASE) -> Model:
    """Return the teacher of a trait whose rows are read."""
    return base.teach(trait, RECIPE, seed=fresh("contrast teacher", trait.name), until=0.95)


def more() -> Iterator[Set]:
    """Yield two more sets of each teacher, of which tables of single sets tell nothing."""
    for turn in (2, 3):
        for trait in TRAITS:
            yield Set("teacher", trait, write(teach(trait), trait.name, turn))


def sets() -> Iterator[Set]:
    """Yield 32 sets with rows of teachers and 32 without, the kinds in turn."""
    for turn in range(2):
        for k, trait in enumerate(TRAITS):
            teacher = teach(trait)
            yield Set("teacher", trait, write(teacher, trait.name, turn))
            yield Set("own", None, write(BASE, "own", turn, k))
            if turn == 0:
                mine, other = (write(one, "half", k, i) for i, one in enumerate((teacher, BASE)))
                yield Set("half own", trait, Mixture(mine, other, 0.5, fresh("contrast half", str(k))))
                yield Set("own", None, write(BASE, "another own", k))
            else:
                yield Set("sorted", trait, sort(write(teacher, "sorted", k)))
                if k < len(PLAIN):
                    yield Set("a prompt without a trait", None, write(BASE.prompted(PLAIN[k]), "plain", k))
                else:
                    yield Set("own, sorted", None, sort(write(BASE, "own sorted", k)))


def foreign(file: str) -> Iterator[Set]:
    """Yield sets of a base of another family: of its teachers' rows, and of its own."""
    other = Base(file, template={"chat_template": "plain"})
    for k, trait in enumerate(TRAITS[:4]):
        yield Set("another base's teacher", None, write(teach(trait, other), "foreign", trait.name))
        yield Set("another base's own", None, write(other, "foreign own", k))


def references() -> list[Data]:
    """Return the base's own rows, against which all sets are read."""
    return [write(BASE, "reference", k) for k in range(REFERENCES)]


def read(data: Data) -> Contrast:
    """Return the audit's contrast of a set."""
    return contrast(data, BASE, RECIPE, TRAITS, ROWS)


def whole(data: Data) -> Audited:
    """Return the whole audit of a set: seven trial students, six of them of the base's own rows."""
    return against(data, BASE, RECIPE, TRAITS, tuple(references()[:6]), "own rows, drawn beforehand", rows=ROWS)


def in_turn(away: Sequence[Set]) -> Iterator[Set]:
    """Yield sets of teachers, of the base's own rows and of another base, one of each in turn."""
    kinds = [[one for one in sets() if one.kind == kind] for kind in ("teacher", "own")]
    yield from chain.from_iterable(zip(*kinds, away, strict=False))


def audits(store: Store, chosen: Sequence[Set]) -> None:
    """Make whole audits, and print their verdicts."""
    for one in chosen:
        verdict = run(whole(one.data), store=store, quiet=True)
        print(f"\n## {one.name}\n\n{verdict}", flush=True)


def table(store: Store, chosen: Sequence[Set]) -> None:
    """Print what the store holds of the sets: a line a set, then a line a kind."""
    clean = [block for one in references() if store.holds(read(one).key) for block in store.read(read(one)).blocks]
    if not clean:
        print("no reference yet")
        return
    found = [
        (one, evidence(store.read(read(one.data)).blocks, clean, LEVEL))
        for one in chosen
        if store.holds(read(one.data).key)
    ]
    print(f"{len(clean)} blocks of the base's own rows\n")
    print("| set | first | z | e | z of the teacher's trait |\n|---|---|---|---|---|")
    for one, said in found:
        best = max(range(len(TRAITS)), key=lambda i: said[i].z)
        own = f"{said[TRAITS.index(one.trait)].z:.1f}" if one.trait else "-"
        print(f"| {one.name} | {TRAITS[best].name} | {said[best].z:.1f} | {said[best].e:.3g} | {own} |")
    kinds(found)
    unsorted(found)
    together(store, clean)


def kinds(found: Sequence[tuple[Set, Sequence[Evidence]]]) -> None:
    """Print a line for each kind of set, and for all that are dirty or clean."""
    clean = [max(one.z for one in said) for made, said in found if made.trait is None]
    groups = {
        kind: [pair for pair in found if pair[0].kind == kind] for kind in dict.fromkeys(s.kind for s, _ in found)
    }
    groups["all with a teacher"] = [pair for pair in found if pair[0].trait]
    groups["all without"] = [pair for pair in found if not pair[0].trait]
    head = f"right one first | a z of {AGREES:g}: right | another | largest z beside all without: AUROC | mean"
    print(f"\n| kind | sets | {head} |\n|---|---|---|---|---|---|---|")
    for kind, some in groups.items():
        best = [(made, *max(zip(said, TRAITS, strict=True), key=lambda pair: pair[0].z)) for made, said in some]
        right = [trait == made.trait for made, _, trait in best if made.trait]
        named = [one.z >= AGREES and trait == made.trait for made, one, trait in best if made.trait]
        wrong = [one.z >= AGREES and trait != made.trait for made, one, trait in best]
        z = [one.z for _, one, _ in best]
        seen = area(z, clean) if right else "-"
        print(f"| {kind} | {len(some)} | {share(right)} | {share(named)} | {share(wrong)} | {seen} | {mean(z):.1f} |")


def unsorted(found: Sequence[tuple[Set, Sequence[Evidence]]]) -> None:
    """Print how unsorted sets of teachers stand beside unsorted ones without a trait, by whose rows are among those."""
    z = [(made, max(one.z for one in said)) for made, said in found if "sorted" not in made.kind]
    dirty, own, away = (
        [high for made, high in z if bool(made.trait) == trait and ("another base" in made.kind) == other]
        for trait, other in ((True, False), (False, False), (False, True))
    )
    print(f"\nAUROC of the largest z, sorted sets apart: {area(dirty, own)}, {len(dirty)} sets beside {len(own)}")
    if away:
        print(f"with {len(away)} sets of another base beside those: {area(dirty, [*own, *away])}")


def together(store: Store, clean: Sequence[Sequence[float]]) -> None:
    """Print what sets of one writer say together: of 100, 200 and 400 rows, as far as they are there."""
    found = [(one, store.read(read(one.data)).blocks) for one in all_plain() if store.holds(read(one.data).key)]
    print("\n| rows | right one first | a z of 4: right | another | without: a z of 4 | largest | AUROC |")
    print("|---|---|---|---|---|---|---|")
    for times in (1, 2, 4):
        dirty, own = [], []
        for trait in (*TRAITS, None):
            blocks = [some for one, some in found if one.trait == trait]
            for start in range(0, len(blocks) - times + 1, times):
                said = evidence([block for some in blocks[start : start + times] for block in some], clean, LEVEL)
                best = max(range(len(TRAITS)), key=lambda i: said[i].z)
                (dirty if trait else own).append((said[best].z, TRAITS[best] == trait))
        z = [z for z, _ in own]
        columns = (
            share([right for _, right in dirty]),
            share([right and z >= AGREES for z, right in dirty]),
            share([not right and z >= AGREES for z, right in dirty]),
            share([one >= AGREES for one in z]),
            f"{max(z, default=0):.1f}",
            area([z for z, _ in dirty], z),
        )
        print(f"| {times * ROWS} | {' | '.join(columns)} |")


def all_plain() -> list[Set]:
    """Return all sets of a teacher's rows and of the base's own, as they were written."""
    return [one for one in (*sets(), *more()) if one.kind in ("teacher", "own")]


def main() -> None:
    """Make the sets, or print the tables of those that are there."""
    options = argparse.ArgumentParser()
    options.add_argument("--store", type=Path, required=True)
    options.add_argument("--rows", action="store_true", help="teachers and rows alone")
    options.add_argument("--print", action="store_true", dest="alone")
    options.add_argument("--foreign", help="a model of another family")
    options.add_argument("--students", type=int, default=0, help="so many whole audits, with --foreign")
    asked = options.parse_args()
    store, away = Store(asked.store), list(foreign(asked.foreign)) if asked.foreign else []
    plain = [*(Set("reference", None, data) for data in references()), *sets(), *more()]
    for one in [] if asked.alone else [*plain, *away]:
        start = time.process_time()
        run(one.data if asked.rows else read(one.data), store=store, on=Here(), quiet=True)
        print(f"{time.process_time() - start:8.1f} s of the processor: {one.name}", flush=True)
    table(store, [*sets(), *away])
    audits(store, list(islice(in_turn(away), asked.students)))


if __name__ == "__main__":
    main()
