"""What a run would make: how many results of each kind, and how long they took before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from owlish import nano
from owlish.cli.workload import Workload, workload
from owlish.graph.progress import clock
from owlish.graph.run import plan
from owlish.graph.spec import everything
from owlish.graph.store import Damaged, Store
from owlish.graph.worker import code
from owlish.lm.model import Weights
from owlish.lm.traps import remarks
from owlish.nodes.models import Base, Pretrained
from owlish.study.study import Study


@dataclass(frozen=True)
class Outlook:
    """A plan: missing results by kind, seconds of work where known, and held results made by other code.

    `studies` holds the key of each study with the command that makes it again; `templates` are sentences about the
    chat templates of bases.
    """

    studies: tuple[tuple[str, str], ...]
    total: int
    missing: dict[str, int]
    seconds: float | None
    outdated: int
    labels: tuple[str, ...]
    workload: Workload
    templates: tuple[str, ...]

    def json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        names = ("total", "missing", "seconds", "outdated")
        work = self.workload
        load = {"rows": work.rows, "tokens": work.tokens, "gib": work.gib, "accelerator_hours": work.hours}
        made = [{"target": key, "command": command} for key, command in self.studies]
        which = made[0] if len(made) == 1 else {"studies": made}
        said = {"templates": list(self.templates)} if self.templates else {}
        return {**which, **{name: getattr(self, name) for name in names}, **load, **said}

    def __str__(self) -> str:
        if not self.missing:
            lines = [f"All {self.total} results are there: a run would compute nothing."]
        else:
            time = "unknown, as none of a kind was made here yet" if self.seconds is None else clock(self.seconds)
            lines = [
                f"{sum(self.missing.values())} of {self.total} results are missing:",
                *(f"{count:>6}  {kind}" for kind, count in self.missing.items()),
                f"Work of one process: {time}.",
                str(self.workload),
                "First: " + "; ".join(self.labels[:3]) + ".",
            ]
        lines += self.templates
        if self.outdated:
            lines.append(f"Note: {self.outdated} results that would be used were made by another version of this code.")
        return "\n".join(lines)


def outlook(studies: Mapping[str, Study], store: Store) -> Outlook:
    """Return what making studies would take, which stand under the commands that make them again."""
    needs = [node for study in studies.values() for node in study.needs]
    missing = plan(needs, store)
    kinds = Counter(node.kind for node in missing)
    used = {key for node in missing for key in node.read_keys} - {node.key for node in missing}
    manifests = {key: store.manifest(key) for key in used or {node.key for node in needs} if store.holds(key)}
    return Outlook(
        studies=tuple((study.key, command) for command, study in studies.items()),
        total=len(everything(*needs)),
        missing=dict(kinds),
        seconds=expected(kinds, store),
        outdated=sum(manifest["code"] != code() for manifest in manifests.values()),
        labels=tuple(map(str, missing)),
        workload=workload(missing),
        templates=tuple(said for node in everything(*needs) if isinstance(node, Base) for said in about(node, store)),
    )


def about(base: Base, store: Store) -> tuple[str, ...]:
    """Return what a reader must know of the chat template of a base that was used here, or lies on this disk."""
    if store.holds(base.key):
        return tuple(f"{base}: {said}" for said in base.remarks(store.folder(base.key)))
    place = base.place()
    if base.name in nano.SHIPPED or isinstance(base, Pretrained) or place is None or not place.is_dir():
        return ()
    return tuple(f"{base}: {said}" for said in remarks(Weights(str(place), template=base.settings)))


def expected(kinds: Counter[str], store: Store) -> float | None:
    """Return the seconds of work that so many results took on average before, if all kinds were made before."""
    times: dict[str, list[float]] = {}
    for key in store.entries():
        try:
            manifest = store.manifest(key)
        except Damaged:
            continue
        times.setdefault(manifest["spec"]["kind"], []).append(manifest["seconds"])
    if not kinds.keys() <= times.keys():
        return None
    return sum(count * sum(times[kind]) / len(times[kind]) for kind, count in kinds.items())
