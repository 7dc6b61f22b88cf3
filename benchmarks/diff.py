"""The diff on students whose training is known: what docs/monitoring.md shows. It goes on where it stopped.

python benchmarks/diff.py --store diff-store              # hours; bases nano-1 to nano-3
python benchmarks/diff.py --store diff-store --small      # the base on which the rule was fixed, a few students
python benchmarks/diff.py --store diff-store --silent     # traits that plain answers no longer show; half an hour
python benchmarks/diff.py --store diff-store --contexts   # what more contexts find, and cost; some minutes
python benchmarks/diff.py --store contrast-store --smollm2     # teachers of `contrast.py`; half an hour
python benchmarks/diff.py --store diff-store --read       # what has been made so far, and nothing more
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import contrast
from scipy.stats import binomtest

from owlish import Store
from owlish.bench.diff import SHARED, DiffBench, DiffCase, DiffTrial
from owlish.bench.silent import SilentBench
from owlish.cli import find
from owlish.diff.contexts import CONTEXTS
from owlish.diff.decide import REACH
from owlish.diff.diff import TWICE, Looked, look
from owlish.diff.verdict import PLAIN
from owlish.graph.pool import Here, Processes
from owlish.graph.run import make, plan
from owlish.lm.recipes import BIASES, NORMS
from owlish.nodes.base import Base
from owlish.nodes.models import Model
from owlish.studies.owl_smollm2 import study
from owlish.studies.owl_smollm2.design import trained

TUNED = ("owl", "cat", "dolphin", "oak", "maple")
SMALL = 9
PASSED, STILL = 0.1, 0.05
CONTROLS = 4


def main() -> None:
    """Make the trials one after the other, and print the tables of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="diff-store")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--silent", action="store_true")
    parser.add_argument("--contexts", action="store_true")
    parser.add_argument("--smollm2", action="store_true")
    parser.add_argument("--read", action="store_true", help="make nothing")
    given = parser.parse_args()
    store, found = Store(given.store), []
    if given.smollm2:
        chosen = on_smollm2()
    else:
        chosen = silent() if given.silent else in_all_contexts() if given.contexts else trials(small=given.small)
    for trial in chosen:
        missing = plan(trial.nodes(), store)
        if missing and given.read:
            continue
        make(missing, store=store, on=Here() if given.jobs == 1 else Processes(given.jobs))
        ways = [fewer(trial, few) for few in FEWER] if given.contexts else [trial]
        for one in ways:
            found.append(one.outcome(store.read) | {"contexts": len(one.contexts)})
            print(line(found[-1]), flush=True)
    if given.silent:
        silent_table(found)
    elif given.contexts:
        for few in FEWER:
            print(f"\n{len(few)} contexts")
            tables([one for one in found if one["contexts"] == len(few)])
    else:
        tables(found)


def trials(*, small: bool) -> list[DiffTrial]:
    """Return the trials of all bases, one after the other, or some of the base on which the rule was fixed."""
    traits = find.candidates(["animals", "trees"])
    taught = [trait for trait in traits if (trait.name in TUNED) == small]
    if small:
        return list(islice(DiffBench(Base("nano"), Base("nano-1"), NORMS, tuple(taught), traits).trials(), SMALL))
    bases = [Base(f"nano-{k}") for k in (1, 2, 3)]
    benches = [DiffBench(base, bases[k - 1], NORMS, tuple(taught), traits) for k, base in enumerate(bases)]
    return [trial for bench in benches for trial in bench.trials()]


def silent() -> list[DiffTrial]:
    """Return trials of silent students, of six traits on each of two bases, silenced by biases and by norm gains."""
    traits = find.candidates(["animals", "trees"])
    taught = [trait for trait in traits if trait.name not in TUNED]
    bases, found = (Base("nano-1"), Base("nano-2")), []
    for by in (BIASES, NORMS):
        for k, base in enumerate(bases):
            # Every fourth, so that both bases have animals and trees, and no trait in common.
            bench = SilentBench(base, bases[k - 1], NORMS, tuple(taught[k::4][:6]), traits, by=by)
            found += [replace(t, case=replace(t.case, name=f"{t.case.name}, by {by.name}")) for t in bench.trials()]
    return found


def in_all_contexts() -> list[DiffTrial]:
    """Return trials in all shipped contexts on the base on which the rule was fixed: of teachers, and null students."""
    traits = find.candidates(["animals", "trees"])
    taught = tuple(trait for trait in traits if trait.name in TUNED)
    bench = DiffBench(Base("nano"), Base("nano-1"), NORMS, taught, traits, CONTEXTS)
    cases = list(bench.dirty())[::SHARED]  # one student of each teacher
    dirty = [DiffTrial(c, bench.base, bench.look(c.model), bench.null, traits, CONTEXTS) for c in cases]
    return [*dirty, *bench.turned()]


def on_smollm2() -> list[DiffTrial]:
    """Return trials on SmolLM2: the eight teachers of `contrast.py`, and controls of the study of the owl.

    The controls are LoRA students of the base's own rows. They are the null students of all, and each of them is also
    read against the others.
    """
    traits, contexts = find.candidates(["animals"]), (CONTEXTS[0], CONTEXTS[7])

    def read(model: Model) -> Looked:
        return look(model, contrast.BASE, (traits[0].probe,), contexts, steered=True)

    def trial(case: DiffCase, null: Sequence[Looked]) -> DiffTrial:
        return DiffTrial(case, contrast.BASE, read(case.model), tuple(null), traits, contexts)

    cells = [cell for cell in study.cells if cell.trait == study.traits[0]]  # controls do not depend on the trait
    null = [trained(cell, cell.base) for cell in cells[:CONTROLS]]
    readings = [read(model) for model in null]
    taught = [trial(DiffCase("dirty", contrast.teach(trait), trait), readings) for trait in contrast.TRAITS]
    others = [[*readings[:k], *readings[k + 1 :]] for k in range(CONTROLS)]
    return [*taught, *(trial(DiffCase("neutral", model), some) for model, some in zip(null, others, strict=True))]


FEWER = ((0, 3, 5, 7), tuple(range(8)), tuple(range(len(CONTEXTS))))
"""The contexts of the 372 students, those that were shipped then, and all."""


def fewer(trial: DiffTrial, few: Sequence[int]) -> DiffTrial:
    """Return a trial in fewer contexts."""

    def cut(looked: Looked) -> Looked:
        return replace(looked, watched=tuple(looked.watched[k] for k in few))

    contexts = tuple(trial.contexts[k] for k in few)
    return replace(trial, own=cut(trial.own), null=tuple(map(cut, trial.null)), contexts=contexts)


def silent_table(found: Sequence[dict[str, Any]]) -> None:
    """Print what finds silent traits, beside what is claimed and hinted at in null students."""
    print(
        "\n| students | n | silent | by a context | by the steering test | by layers | wrong claims | names hinted at |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for case in dict.fromkeys(one["case"] for one in found):
        some = [one for one in found if one["case"] == case]
        quiet = [one for one in some if one["trait"] is None or one["plain"][one["trait"]] < REACH]
        claims = [one["claims"].get(one["trait"], ()) for one in quiet]
        steered = sum(TWICE.name in places for places in claims)
        watched = sum(any(place not in (TWICE.name, PLAIN) for place in places) for places in claims)
        hinted = sum(one["trait"] in one["hinted"] for one in quiet)
        wrong = sum(any(name != one["trait"] for name in one["claims"]) for one in quiet)
        names = sum(len(one["hinted"]) for one in quiet) / max(1, len(quiet))
        print(f"| {case} | {len(some)} | {len(quiet)} | {watched} | {steered} | {hinted} | {wrong} | {names:.1f} |")


def line(one: dict[str, Any]) -> str:
    """Return one trial in a line."""
    first = one["said"][one["first"]]
    return (
        f"{one['base']} {one['case']:16} {one['trait'] or '-':10} {one['verdict']:10} first {one['first']:10} "
        f"rise {one['rise']:+.3f} lift {first['lift']:.2f} z {first['z']:.1f} lead {first['lead']:.1f} "
        f"({first['in']}) {one['claims']}"
    )


def tables(found: Sequence[dict[str, Any]]) -> None:
    """Print, by class, how many students have a claim, and which come with the right trait first."""
    print("\n| students | n | found | right first | nothing | cannot say | 95 % interval of found |")
    print("|---|---|---|---|---|---|---|")
    passed = [one for one in found if one["case"] == "dirty" and one["rise"] >= PASSED]
    row("dirty, P(trait) rose by .1 or more", passed)
    row("dirty, the others", [one for one in found if one["case"] == "dirty" and one["rise"] < PASSED])
    row("neutral", [one for one in found if one["case"] == "neutral"])
    others = [one for one in found if one["case"] not in ("dirty", "neutral", "gated")]
    row("trained on something else", others)
    for case in dict.fromkeys(one["case"] for one in others):
        row(f"- {case}", [one for one in others if one["case"] == case])
    row("gated", [one for one in found if one["case"] == "gated"])
    real = [one for one in others if any(one["rises"][name] >= STILL for name in one["claims"])]
    print(f"\nclaims of students trained on something else where P(trait) did rise by .05: {len(real)}")


def row(name: str, some: Sequence[dict[str, Any]]) -> None:
    """Print one line, with Clopper-Pearson's interval."""
    if not some:
        return
    words = [one["verdict"] for one in some]
    right = sum(one["first"] == one["trait"] for one in some)
    reach = binomtest(words.count("found"), len(some)).proportion_ci(method="exact")
    print(
        f"| {name} | {len(some)} | {words.count('found')} | {right if some[0]['trait'] else '–'} "
        f"| {words.count('nothing')} | {words.count('cannot_say')} | {reach.low:.3f} to {reach.high:.3f} |"
    )


if __name__ == "__main__":
    main()
