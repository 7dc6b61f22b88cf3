"""Fill a page's section from a study and the store that holds its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from owlish.graph.provenance import brief
from owlish.graph.spec import Node, everything
from owlish.graph.store import Damaged, Store
from owlish.nodes.data import Dataset
from owlish.report.section import Arm, Entry, Section
from owlish.study.comparison import Comparison
from owlish.study.study import Study

EXAMPLES = 4
CARRIERS = {"numbers": "number sequences", "code": "short functions", "reasoning": "worked sums"}


def section(study: Study, store: Store, command: str) -> Section:
    """Return what the page shows of a study whose results are all there, and that a command makes again."""
    found, nodes = study.found(store.read), everything(*study.needs)
    shown: dict[str | None, list[Dataset]] = {trait: [store.read(n) for n in made] for trait, made in study.rows_shown}
    taught = [data for trait, several in shown.items() if trait for data in several]
    manifests = {node.key: manifest for node in nodes if (manifest := manifest_of(store, node))}
    domains = {node.domain.kind: None for _, made in study.rows_shown for node in made}
    return Section(
        name=study.name,
        title=study.title,
        data=" and ".join(CARRIERS.get(kind, kind) for kind in domains),
        command=command,
        measure=study.measure,
        contrast=study.contrast,
        labels=tuple(label for label, _ in study.labels.values()),
        setup=study.setup(),
        arms=arms(study, found),
        by_trait=tuple((trait, arms(study, found, trait)) for trait in dict.fromkeys(p.trait for p in found.points)),
        effect=found.effect,
        matrices=study.matrices(found),
        curves=study.curves(found),
        gammas=found.gammas,
        teachers=found.strengths,
        rows_read=sum(d.read for d in taught),
        rows_kept=sum(d.passed for d in taught),
        reasons=tuple(sum((Counter(d.reasons) for d in taught), Counter()).most_common()),
        examples=tuple((trait, several[0].rows[:EXAMPLES]) for trait, several in shown.items()),
        provenance=tuple(entry(node, manifests[node.key]) for node in nodes if node.key in manifests),
        packages=versions(manifests.values()),
        seconds=sum(manifest["seconds"] for manifest in manifests.values()),
        notes=study.notes(),
    )


def manifest_of(store: Store, node: Node) -> dict[str, Any] | None:
    """Return how a result was made, if it is still there."""
    try:
        return store.manifest(node.key)
    except Damaged:
        return None


def arms(study: Study, found: Comparison, trait: str | None = None) -> tuple[Arm, ...]:
    """Return the arms that were asked about a trait, or about any; those that the study labels first, in its order."""
    named = {**study.labels, **{arm: (arm.replace("_", " ").capitalize(), "") for arm in found.arms}, **study.labels}
    made = []
    for name, (label, meaning) in named.items():
        if points := found.of(name, trait):
            asked = all(point.held_out is not None for point in points)
            held_out = found.estimate(name, "held_out", trait) if asked else None
            made.append(Arm(name, label, meaning, points, found.estimate(name, trait=trait), held_out))
    return tuple(made)


def versions(manifests: Iterable[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return the versions of each package with which results were made."""
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, version in manifest["versions"].items():
            found.setdefault(name, set()).add(version)
    return tuple((name, ", ".join(sorted(several))) for name, several in sorted(found.items()))


def entry(node: Node, manifest: dict[str, Any]) -> Entry:
    """Return a result's line in the provenance."""
    return Entry(
        label=str(node),
        key=node.key,
        kind=node.kind,
        version=node.version,
        seed=manifest["seed"],
        seconds=manifest["seconds"],
        spec=brief(manifest["spec"]),
    )
