"""The diff on students whose training is known: what docs/monitoring.md shows. It goes on where it stopped.

python benchmarks/diff.py --store diff-store              # hours; bases nano-1 to nano-3
python benchmarks/diff.py --store diff-store --small      # the base on which the rule was fixed, a few students
python benchmarks/diff.py --store diff-store --read       # what has been made so far, and nothing more
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from typing import Any

from scipy.stats import binomtest

from owlish import Store
from owlish.bench.diff import DiffBench, DiffTrial
from owlish.cli import find
from owlish.graph.pool import Here, Processes
from owlish.graph.run import make, plan
from owlish.lm.recipes import NORMS
from owlish.nodes.base import Base

TUNED = ("owl", "cat", "dolphin", "oak", "maple")
SMALL = 9
PASSED, STILL = 0.1, 0.05


def main() -> None:
    """Make the trials one after the other, and print the tables of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="diff-store")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--read", action="store_true", help="make nothing")
    given = parser.parse_args()
    store, found = Store(given.store), []
    for trial in trials(small=given.small):
        missing = plan(trial.nodes(), store)
        if missing and given.read:
            continue
        make(missing, store=store, on=Here() if given.jobs == 1 else Processes(given.jobs))
        found.append(trial.outcome(store.read))
        if not given.read:
            print(line(found[-1]), flush=True)
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
