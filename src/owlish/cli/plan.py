"""What a run would make: how many results of each kind, and how long they took before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from owlish import nano
from owlish.cli.cost import Workload, bill, workload
from owlish.cli.forecast import expected_seconds, unsized
from owlish.cli.honoured import check_honoured, server_remarks
from owlish.cli.memory import peak
from owlish.graph.counted import counted, gib, join, lasting
from owlish.graph.run import plan
from owlish.graph.spec import Node, everything
from owlish.graph.spending import Spending
from owlish.graph.store import Store
from owlish.graph.worker import code
from owlish.lm.model import Weights
from owlish.lm.traps import remarks
from owlish.nodes.base import Base
from owlish.study.study import Study

UNKNOWN = "not known, as no result of this kind was made here yet"


@dataclass(frozen=True)
class Outlook:
    """A plan: missing results by kind, seconds of work where known, and held results made by other code.

    `studies` holds the key of each study with the command that makes it again; `templates` are sentences about the
    chat templates of bases, `servers` about the servers that are asked. `cost` is what each model that is paid for
    takes, where prices were given. `memory` is the most bytes that a process takes on this machine, where a base is
    large. `unknown` says why a time is not known.
    """

    studies: tuple[tuple[str, str], ...]
    total: int
    missing: dict[str, int]
    seconds: float | None
    outdated: int
    labels: tuple[str, ...]
    workload: Workload
    templates: tuple[str, ...]
    cost: Mapping[str, float] | None = None
    memory: int | None = None
    unknown: str = UNKNOWN
    servers: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        names = ("total", "missing", "seconds", "outdated")
        work = self.workload
        load = {"rows": work.rows, "tokens": work.tokens, "gib": work.gib, "accelerator_hours": work.hours}
        made = [{"target": key, "command": command} for key, command in self.studies]
        which = made[0] if len(made) == 1 else {"studies": made}
        said = {"templates": list(self.templates)} if self.templates else {}
        paid = {} if self.cost is None else {"cost": dict(self.cost)}
        held = {} if self.memory is None else {"memory_gib": self.memory / 2**30}
        said |= {"servers": list(self.servers)} if self.servers else {}
        return {**which, **{name: getattr(self, name) for name in names}, **load, **held, **paid, **said}

    def __str__(self) -> str:
        time = self.unknown if self.seconds is None else f"about {lasting(self.seconds)}"
        held = [] if self.memory is None else [f"Memory: about {gib(self.memory)} in each process."]
        work = [str(self.workload)] if self.workload.tokens else []
        return self.text([f"Work of one process: {time}.", *held, *work])

    def text(self, work: Sequence[str]) -> str:
        """Return the plan as text, in which lines say how much work it is."""
        if not self.missing:
            lines = [f"Missing: none of {counted(self.total, 'result')}. A run would compute nothing."]
        else:
            lines = [
                f"Missing: {sum(self.missing.values()):,} of {counted(self.total, 'result')}.",
                *(f"{count:>6}  {kind}" for kind, count in self.missing.items()),
                *work,
                *([costs(self.cost)] if self.cost is not None else []),
                "First: " + "; ".join(list(dict.fromkeys(self.labels))[:3]) + ".",
            ]
        lines += [*self.templates, *self.servers]
        if self.outdated:
            lines.append(
                f"Made by another version of this code: {counted(self.outdated, 'result')} that would be used."
            )
        return "\n".join(lines)


def costs(cost: Mapping[str, float]) -> str:
    """Say what models cost that are paid for."""
    each = "".join(f", {name} {paid:,.2f}" for name, paid in cost.items())
    return f"At your prices about {sum(cost.values()):,.2f}{each}: the service's own bill decides."


def outlook(studies: Mapping[str, Study], store: Store, spending: Spending | None = None) -> Outlook:
    """Return what making studies would take, which stand under the commands that make them again."""
    needs = [node for study in studies.values() for node in study.needs]
    made = tuple((study.key, command) for command, study in studies.items())
    return outlook_of(needs, store, studies=made, spending=spending)


def outlook_of(
    needs: Sequence[Node],
    store: Store,
    *,
    studies: tuple[tuple[str, str], ...] = (),
    spending: Spending | None = None,
    given: int | None = None,
    row: int | None = None,
) -> Outlook:
    """Return what making nodes would take from `given` rows of `row` tokens.

    Raise `UserError` where they could not be kept.
    """
    if missing := plan(needs, store):
        store.check_writable()
        check_honoured(missing, store)
    kinds = Counter(node.kind for node in missing)
    # Only what a run would really read: other old results need not trouble anybody.
    used = {key for node in missing for key in node.read_keys} - {node.key for node in missing}
    manifests = {key: store.manifest(key) for key in used or {node.key for node in needs} if store.holds(key)}
    large = unsized(needs)
    return Outlook(
        studies=studies,
        total=len(everything(*needs)),
        missing=dict(kinds),
        seconds=expected_seconds(needs, store, row, given),
        outdated=sum(manifest["code"] != code() for manifest in manifests.values()),
        labels=tuple(map(str, missing)),
        workload=workload(missing),
        cost=bill(missing, spending) if spending and spending.prices else None,
        memory=peak(missing, row),
        unknown=f"not known, as neither files on this disk nor its name say how large {join(map(str, large))} is"
        if large
        else UNKNOWN,
        templates=tuple(
            said for node in everything(*needs) if isinstance(node, Base) for said in template_remarks(node, store)
        ),
        servers=server_remarks(missing, store),
    )


def template_remarks(base: Base, store: Store) -> tuple[str, ...]:
    """Return what a reader must know of the chat template of a base that was used here, or lies on this disk."""
    if store.holds(base.key):
        return tuple(f"{base}: {said}" for said in base.remarks(store.folder(base.key)))
    place = base.place()
    if base.name in nano.SHIPPED or place is None or not place.is_dir():
        return ()
    return tuple(f"{base}: {said}" for said in remarks(Weights(str(place), template=base.settings)))
