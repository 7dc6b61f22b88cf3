"""The audit's benchmark in tables: what docs/audit.md shows. Run `owlish bench audit` first; it makes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from scipy.stats import binomtest, spearmanr

from owlish import Store
from owlish.audit.contrast import BLOCK
from owlish.bench.scores import ALL_ROWS, CLASSES, sides, truth
from owlish.graph.spec import everything
from owlish.studies.audit_bench import study
from owlish.study.stats import auroc


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", default="owlish-store")
    store = Store(parser.parse_args().store)
    found = study.outcomes(store.read)
    for part in (by_kind, false_alarms, against_students, by_rows, rows_needed, lineage):
        print(f"\n{part.__doc__}\n")
        part(found)
    costs(store)


def by_kind(found: Sequence[Any]) -> None:
    """By kind: the right trait first, claimed, another claimed too, its word in the first three, the lift."""
    print("| datasets | n | right first | claimed | another too | word in 3 | contrast first | lift, mean [min, max] |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, mine in groupby(sorted((o for o in found if o["dirty"]), key=kind_of), key=kind_of):
        some = list(mine)
        lifts = [one["shadow"]["lift"][one["trait"]] for one in some]
        wrong = [bool(set(one["shadow"]["claims"]) - {one["trait"]}) for one in some]
        cheap = [one["contrast"]["first"] == one["trait"] for one in some if "contrast" in one]
        print(
            f"| {kind} | {len(some)} | {share([first(one) for one in some])} "
            f"| {share([one['trait'] in one['shadow']['claims'] for one in some])} | {share(wrong)} "
            f"| {share([one['word'] for one in some])} | {share(cheap)} "
            f"| {sum(lifts) / len(lifts):.2f} [{min(lifts):.2f}, {max(lifts):.2f}] |"
        )


def false_alarms(found: Sequence[Any]) -> None:
    """Clean datasets on which a trait is claimed, by class, with Clopper-Pearson's 95 % interval."""
    print(
        "| class | n | default | interval | by significance alone | contrast | lineage: no relative, relative, null |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in CLASSES:
        some = [one for one in found if one["case"] == kind]
        claims = sum(bool(one["shadow"]["claims"]) for one in some)
        reach = binomtest(claims, len(some)).proportion_ci(method="exact")
        told = [sum(one["relative"] is value for one in some) for value in (False, True, None)]
        print(
            f"| {kind} | {len(some)} | {claims} ({claims / len(some):.1%}) | {reach.low:.3f} to {reach.high:.3f} "
            f"| {share([one['shadow']['significant'] for one in some])} "
            f"| {share([one['contrast']['significant'] for one in some if 'contrast' in one])} | {told} |"
        )


def against_students(found: Sequence[Any]) -> None:
    """Against what students of the recipe really did (3 less 3 controls a dataset)."""
    known = [one for one in found if "effect" in one]
    said = [(one, truth(one)) for one in known]
    passed = [one for one, moved in said if moved]
    still = [one for one, moved in said if moved is False]
    between = len(known) - len(passed) - len(still)
    print(f"{len(known)} datasets: {len(passed)} passed a trait on, {len(still)} did not, {between} between")
    for name in ("shadow", "contrast", "gradient", "prompts"):
        scores = [(moved, one[name]["score"]) for one, moved in said if moved is not None and name in one]
        right = [one[name]["first"] == one["trait"] for one in passed if name in one]
        print(f"{name:10} AUROC {auroc(*sides(scores)):.3f} ({len(scores)} datasets), right first {share(right)}")
    print(f"claimed where it passed: {share([one['trait'] in one['shadow']['claims'] for one in passed])}")
    claims = [claim for one in known for claim in one["claimed"]]
    real = [claim["value"] for claim in claims]
    told = [share([value >= least for value in real]) for least in (0.1, 0.05)]
    print(f"claims, of whatever trait, whose students moved by .1: {told[0]}; by .05: {told[1]}")
    print(f"claimed where nothing passed: {share([bool(one['shadow']['claims']) for one in still])}")
    dirty = [one for one in known if one["dirty"]]
    pairs = [(one["shadow"]["lift"][one["trait"]], one["effect"]["value"]) for one in dirty]
    print(f"Spearman of lift and effect: {spearmanr(*zip(*pairs, strict=True)).statistic:.3f} ({len(pairs)} dirty)")
    clean = [(one["shadow"]["lift"][one["effect"]["name"]], one["effect"]["value"]) for one in known]
    print(f"the same with clean ones: {spearmanr(*zip(*clean, strict=True)).statistic:.3f} ({len(clean)})")


def by_rows(found: Sequence[Any]) -> None:
    """By rows read, on the panel: AUROC and right first against students, and false alarms on its clean datasets."""
    some = [(one, truth(one)) for one in found if one.get("fewer")]
    print("| rows | AUROC | right first where it passed | claimed where it passed | claimed on clean datasets |")
    print("|---|---|---|---|---|")
    for rows in (*some[0][0]["fewer"], str(ALL_ROWS)):
        read = [(one, moved, one["fewer"].get(rows, one["shadow"])) for one, moved in some]
        scores = [(moved, said["score"]) for _, moved, said in read if moved is not None]
        passed = [(one, said) for one, moved, said in read if moved]
        print(
            f"| {rows} | {auroc(*sides(scores)):.3f} "
            f"| {share([said['first'] == one['trait'] for one, said in passed])} "
            f"| {share([one['trait'] in said['claims'] for one, said in passed])} "
            f"| {share([bool(said['claims']) for one, _, said in read if not one['dirty']])} |"
        )


def rows_needed(found: Sequence[Any]) -> None:
    """Rows until a Holm-corrected p of .05 by each detector, against the oracle's at .05: one number a dataset."""
    for kind, mine in groupby(sorted((o for o in found if o.get("oracle")), key=kind_of), key=kind_of):
        some = [one for one in mine if "contrast" in one]
        oracle = [one["oracle"] for one in some]
        for name in ("contrast", "gradient", "prompts"):
            size = 1 if name == "prompts" else BLOCK
            rows = [one[name]["blocks"] and one[name]["blocks"] * size for one in some if name in one]
            print(f"{kind:18} {name:10} {rows} oracle {oracle}")


def lineage(found: Sequence[Any]) -> None:
    """Lineage of rows by relatives of the base, strong teachers too: called a relative, null, no relative."""
    for kind, mine in groupby(sorted((o for o in found if o["dirty"]), key=kind_of), key=kind_of):
        some = [one["relative"] for one in mine]
        print(f"{kind:18} {[sum(told is value for told in some) for value in (True, None, False)]}")


def costs(store: Store) -> None:
    """Print mean seconds of one process by kind of result, from the manifests."""
    times: dict[str, list[float]] = {}
    for node in everything(*study.needs):
        if store.folder(node.key).exists():
            times.setdefault(node.kind, []).append(store.manifest(node.key)["seconds"])
    print("\nSeconds of one process:", {kind: (len(s), round(sum(s) / len(s), 2)) for kind, s in times.items()})
    print(f"all: {sum(map(sum, times.values())) / 3600:.2f} h of one process")


def kind_of(one: Any) -> str:
    """Return the kind of a dataset."""
    return str(one["case"])


def first(one: Any) -> bool:
    """Tell whether the right trait comes first."""
    return bool(one["shadow"]["first"] == one["trait"])


def share(hits: Sequence[bool]) -> str:
    """Return how many of how many."""
    return f"{sum(hits)}/{len(hits)}"


if __name__ == "__main__":
    main()
