"""How a stored result was made, down to its bases: read from the manifests alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
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
        "folder": str(store.folder(key)),
    }
    facts |= {"batches": manifest["batches"]} if "batches" in manifest else {}
    head = [manifest["label"], *(f"  {name:<7}{' ' * (len(name) > 6)}{text}" for name, text in facts.items())]
    return "\n".join([*head, "", *tree(store, key, "", set())])


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


def tree(store: Store, key: str, indent: str, seen: set[str]) -> list[str]:
    """Return a line for a result and, the first time it comes, lines for what it was made from."""
    try:
        manifest = store.manifest(key)
    except Damaged:
        return [f"{indent}{key[:12]}  (no longer in this store)"]
    if key in seen:
        return [f"{indent}{key[:12]}  {manifest['label']} (above)"]
    seen.add(key)
    lines = [f"{indent}{key[:12]}  {manifest['label']}", f"{indent}{'':12}  {brief(manifest['spec'])}"]
    for child in manifest["inputs"]:
        lines += tree(store, child, indent + "  ", seen)
    return lines


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
