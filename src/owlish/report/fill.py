"""Fill a page's section from a study and the store that holds its results."""

from __future__ import annotations

from collections import Counter
from typing import Any

from owlish.graph.spec import Node, everything
from owlish.graph.store import Damaged, Store
from owlish.lineage import brief
from owlish.measure import Comparison
from owlish.nodes.data import Dataset
from owlish.report.section import Arm, Entry, Example, Section
from owlish.study import Study

EXAMPLES = 4
CARRIERS = {"numbers": "number sequences", "code": "short functions", "reasoning": "worked sums"}


def section(study: Study, store: Store) -> Section:
    """Return what the page shows of a study whose results are all there."""
    found: Comparison = store.read(study.target)
    nodes = everything(study.target)
    shown: dict[str | None, list[Dataset]] = {trait: [store.read(n) for n in made] for trait, made in study.rows_shown}
    taught = [data for trait, several in shown.items() if trait for data in several]
    manifests = {node.key: manifest for node in nodes if (manifest := manifest_of(store, node))}
    domains = {node.domain.kind: None for _, made in study.rows_shown for node in made}
    return Section(
        name=study.name,
        title=study.title,
        data=" and ".join(CARRIERS.get(kind, kind) for kind in domains),
        command=study.command,
        measure=study.measure,
        contrast=study.contrast,
        labels=tuple(label for label, _ in study.labels.values()),
        setup=study.setup(),
        arms=arms(study, found),
        effect=found.effect,
        matrices=study.matrices(found),
        curves=study.curves(found),
        gammas=found.gammas,
        teachers=found.strengths,
        rows_read=sum(d.read for d in taught),
        rows_kept=sum(d.passed for d in taught),
        reasons=tuple(sum((Counter(d.reasons) for d in taught), Counter()).most_common()),
        examples=tuple(
            Example(trait, row.prompt, row.completion)
            for trait, several in shown.items()
            for row in several[0].rows[:EXAMPLES]
        ),
        provenance=tuple(entry(node, manifests[node.key]) for node in nodes if node.key in manifests),
        packages=tuple(sorted(manifests[study.target.key]["versions"].items())),
        seconds=sum(manifest["seconds"] for manifest in manifests.values()),
        notes=study.notes(),
    )


def manifest_of(store: Store, node: Node) -> dict[str, Any] | None:
    """Return how a result was made, if it is still there."""
    try:
        return store.manifest(node.key)
    except Damaged:
        return None


def arms(study: Study, found: Comparison) -> tuple[Arm, ...]:
    """Return the arms that have runs, those that the study labels first and in its order."""
    named = {**study.labels, **{arm: (arm.replace("_", " ").capitalize(), "") for arm in found.arms}, **study.labels}
    return tuple(arm(found, name, *named[name]) for name in named if name in found.arms)


def arm(found: Comparison, name: str, label: str, meaning: str) -> Arm:
    """Return one arm of the page."""
    points = found.of(name)
    traits = dict.fromkeys(p.trait for p in points)
    held_out = all(p.held_out is not None for p in points)
    return Arm(
        name=name,
        label=label,
        meaning=meaning,
        runs=points,
        pooled=found.estimate(name),
        held_out=found.estimate(name, "held_out") if held_out else None,
        by_trait=tuple((trait, found.estimate(name, trait=trait)) for trait in traits),
    )


def entry(node: Node, manifest: dict[str, Any]) -> Entry:
    """Return a result's line in the provenance."""
    return Entry(
        label=node.label,
        key=node.key,
        kind=node.kind,
        version=node.version,
        seed=manifest["seed"],
        seconds=manifest["seconds"],
        spec=brief(manifest["spec"]),
    )
