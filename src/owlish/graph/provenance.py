"""How a stored result was made, down to its bases: read from the manifests alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from owlish.graph.spec import Node
from owlish.graph.store import Damaged, Store


def describe(store: Store, key: str) -> str:
    """Return the result's facts, and the tree of everything that it was made from."""
    manifest = store.manifest(key)
    versions = ", ".join(f"{name} {number}" for name, number in manifest["versions"].items())
    facts = {
        "key": key,
        "made": f"{manifest['begun']}, in {manifest['seconds']} s",
        "on": format_place(manifest),
        "with": versions,
        "files": ", ".join(manifest["files"]),
        "folder": f"{store}/{key[:2]}/{key}",
    }
    facts |= {name: manifest[name] for name in ("batches", "job", "compared") if name in manifest}
    head = [manifest["label"], *(f"  {name:<7}{' ' * (len(name) > 6)}{text}" for name, text in facts.items())]
    return "\n".join([*head, "", *tree(store, key)])


def format_place(manifest: dict[str, Any]) -> str:
    """Return where a result was made: device, number format of its models and threads, as far as it says so."""
    threads = manifest["threads"]
    dtype = f" in {manifest['dtype']}" if manifest.get("dtype") else ""
    return f"{manifest.get('device', 'a device not noted')}{dtype}, {threads} thread{'' if threads == 1 else 's'}"


def format_places(manifests: Iterable[dict[str, Any]]) -> str:
    """Return where results were made; if some opened a model, where those were, as the others are the same anywhere."""
    every = list(manifests)
    opened = [manifest for manifest in every if manifest.get("dtype", "not noted")] or every
    found = Counter(map(format_place, opened)).most_common()
    return found[0][0] if len(found) == 1 else "; ".join(f"{place} (results: {count})" for place, count in found)


def manifests_of(store: Store, nodes: Iterable[Node]) -> dict[str, dict[str, Any]]:
    """Return how results were made, by key: of those that are still in the store."""
    found = {}
    for node in nodes:
        with suppress(Damaged):
            found[node.key] = store.manifest(node.key)
    return found


@dataclass(frozen=True)
class Step:
    """One result among those that another was made from: how deep below it, and how it was made, if that is held.

    `again` says that the result stands further up already.
    """

    depth: int
    key: str
    manifest: dict[str, Any] | None
    again: bool = False


def walk(store: Store, key: str, depth: int = 0, seen: set[str] | None = None) -> Iterator[Step]:
    """Yield a result and all that it was made from, what reads before what is read."""
    seen = set() if seen is None else seen
    try:
        manifest = store.manifest(key)
    except Damaged:
        yield Step(depth, key, None)
        return
    yield Step(depth, key, manifest, again=key in seen)
    if key not in seen:
        seen.add(key)
        for child in manifest["inputs"]:
            yield from walk(store, child, depth + 1, seen)


def tree(store: Store, key: str) -> list[str]:
    """Return a line for a result and, the first time it comes, lines for what it was made from."""
    lines = []
    for step in walk(store, key):
        indent = "  " * step.depth
        if step.manifest is None:
            lines.append(f"{indent}{step.key[:12]}  (no longer in this store)")
            continue
        lines.append(f"{indent}{step.key[:12]}  {step.manifest['label']}{' (above)' if step.again else ''}")
        lines += [] if step.again else [f"{indent}{'':12}  {brief(step.manifest['spec'])}"]
    return lines


def spec_lines(store: Store, key: str) -> list[str]:
    """Return the specs of a result and of all that it was made from; labels may name places on a disk, specs do not."""
    return [
        f"{'  ' * step.depth}{step.key[:12]}  {'(above)' if step.again else brief(step.manifest['spec'])}"
        if step.manifest
        else f"{'  ' * step.depth}{step.key[:12]}  (no longer in the store)"
        for step in walk(store, key)
    ]


def brief(spec: dict[str, Any]) -> str:
    """Return a spec's own fields in a line, long ones cut."""
    own = {n: v for n, v in spec.items() if not (isinstance(v, dict) and "node" in v)}
    return ", ".join(f"{name}={short(value)}" for name, value in own.items())


def short(value: Any) -> str:
    """Return a field's value in a few words."""
    if isinstance(value, dict) and "kind" in value:
        return str(value.get("name") or value.get("parameters") or value["kind"])
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 48 else f"{text[:45]}..."
