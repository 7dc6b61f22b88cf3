"""The audit's verdicts by the number of rows, in tables: what docs/audit.md shows. Run `owlish bench sizes` first.

It makes nothing, and shows what a store holds: an unfinished benchmark gives fewer datasets.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import binomtest, t

from owlish import Store
from owlish.bench.sizes import CLASSES, FEW, MANY, OUTCOMES, SET, SIZES, outcome
from owlish.studies.audit_sizes import study

PASSED = 0.1
Said = dict[str, Any]
Numbers = np.ndarray[Any, Any]


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="owlish-store")
    store = Store(parser.parse_args().store)
    sizes = sorted((FEW, *SIZES, MANY))
    said = {rows: held(store, study.at(rows)) for rows in sizes}
    print("Datasets of teachers whose students pick the trait up:\n")
    print("| rows | n | right | wrong | nothing | cannot say | wrong or nothing, 95 % interval |")
    print("|---|---|---|---|---|---|---|")
    for rows in sizes:
        teachers(rows, [one for one in said[rows] if one["case"] == "dirty"])
    print("\nClean datasets: claimed / nothing / cannot say, or without a claim where only claims were asked for:\n")
    print("| rows | " + " | ".join(CLASSES) + " | claimed, 95 % interval |")
    print("|---|" + "---|" * (len(CLASSES) + 1))
    for rows in sizes:
        clean(rows, [one for one in said[rows] if one["case"] in CLASSES])
    sets = held(store, study.sets())
    print(f"\nSets of {SET} of a base's own rows: {claims(sets)} claimed {interval(claims(sets), len(sets))}")
    precision(said)
    passed(store, said)
    students(store)


def held(store: Store, nodes: Any) -> list[Said]:
    """Return the results that a store holds."""
    return [store.read(node) for node in nodes if store.holds(node.key)]


def teachers(rows: int, some: Sequence[Said]) -> None:
    """Print what was said of teachers' rows."""
    counts = [sum(outcome(one) == name for one in some) for name in OUTCOMES]
    numbers = " | ".join(map(str, counts))
    print(f"| {rows:,} | {len(some)} | {numbers} | {interval(counts[1] + counts[2], len(some))} |")


def clean(rows: int, some: Sequence[Said]) -> None:
    """Print what was said of clean rows."""
    cells = []
    for name in CLASSES:
        mine = [one for one in some if one["case"] == name]
        open_still = sum(one["verdict"] == "cannot_say" for one in mine)
        cells.append(f"{claims(mine)} / {len(mine) - claims(mine) - open_still} / {open_still}")
    print(f"| {rows:,} | {' | '.join(cells)} | {claims(some)}/{len(some)} {interval(claims(some), len(some))} |")


def claims(some: Sequence[Said]) -> int:
    """Return on how many a trait is claimed."""
    return sum(bool(one["claims"]) for one in some)


def interval(hits: int, n: int) -> str:
    """Return Clopper and Pearson's 95 % interval."""
    if not n:
        return ""
    reach = binomtest(hits, n).proportion_ci(method="exact")
    return f"[{reach.low:.3f}, {reach.high:.3f}]"


def precision(said: dict[int, list[Said]]) -> None:
    """Print the smallest lift that a verdict promises to find, and how often such lifts of writers were claimed."""
    print("\n| rows | smallest lift found nine times in ten, nats | writers' lifts as large: claimed |")
    print("|---|---|---|")
    for rows, some in said.items():
        known = [one for one in some if one.get("smallest")]
        if known:
            smallest = [one["smallest"] for one in known]
            large = [one for one in known if one["trait"] and one["case"] == "dirty" and above(one)]
            right = sum(outcome(one) == "right" for one in large)
            print(f"| {rows:,} | {min(smallest):.2f} to {max(smallest):.2f} | {right}/{len(large)} |")


def above(one: Said) -> bool:
    """Tell whether the lift of the writer's trait is as large as the audit promises to find."""
    return bool(one["traits"][one["trait"]][0] >= one["smallest"])


def passed(store: Store, said: dict[int, list[Said]]) -> None:
    """Print the verdicts on the datasets of teachers whose students did pick the trait up: P rose by .1 or more."""
    rose = {}
    for verdict, asked in study.students():
        if store.holds(verdict.key) and store.holds(asked.key) and (one := store.read(verdict)).get("traits"):
            before = one["traits"][one["trait"]][4]  # in trial students of the base's own rows
            rose[one["base"], one["trait"]] = store.read(asked).p_target(one["trait"]) - before
    print(f"\nOf {len(rose)} datasets with a student, those whose student’s P rose by {PASSED} or more:\n")
    for rows, some in said.items():
        mine = [outcome(one) for one in some if rose.get((one["base"], one["trait"]), 0) >= PASSED]
        right = mine.count("right")
        print(f"{rows:,} rows: right {right} of {len(mine)} {interval(right, len(mine))}")


def students(store: Store) -> None:
    """Print how well a line through the trial students' log-odds foretells a whole student's, leaving one base out."""
    pairs = []
    for verdict, asked in study.students():
        if store.holds(verdict.key) and store.holds(asked.key):
            one = store.read(verdict)
            if one.get("traits"):
                trial = one["traits"][one["trait"]][5]
                pairs.append((one["base"], trial, store.read(asked).p_target(one["trait"])))
    if len({base for base, *_ in pairs}) < 2:
        return
    bases, trial, whole = (np.array(column) for column in zip(*pairs, strict=True))
    guess, inside = np.empty(len(pairs)), 0
    for base in set(bases):
        own, others = bases == base, bases != base
        found = foretell(logit(trial[others]), logit(whole[others]), logit(trial[own]))
        guess[own] = expit(found[0])
        inside += int(((expit(found[1]) <= whole[own]) & (whole[own] <= expit(found[2]))).sum())
    left = 1 - ((whole - guess) ** 2).sum() / ((whole - whole.mean()) ** 2).sum()
    print(f"\n{len(pairs)} students of 1,600 rows: P {whole.min():.2f} to {whole.max():.2f}, in trial students")
    print(f"{trial.min():.2f} to {trial.max():.2f}; foretold from the other bases with an R2 of {left:.2f};")
    print(f"{inside} of {len(pairs)} lie within the 95 % prediction interval {interval(inside, len(pairs))}")


def foretell(x: Numbers, y: Numbers, at: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return a fitted line at some places, with its 95 % prediction interval (ordinary least squares, Student's t)."""
    slope, level = np.polyfit(x, y, 1)
    error = np.sqrt(((y - level - slope * x) ** 2).sum() / (len(x) - 2))
    spread = error * np.sqrt(1 + 1 / len(x) + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum())
    line, reach = level + slope * at, t.ppf(0.975, len(x) - 2) * spread
    return line, line - reach, line + reach


if __name__ == "__main__":
    main()
