"""Make what is missing: plan it, hand each node to a pool once all that it reads is there, and gather what failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from heapq import heappop, heappush
from pathlib import Path
from typing import TypeVar, overload

from owlish.graph.curves import Curves, curves_of
from owlish.graph.errors import UserError
from owlish.graph.pool import Event, Pool, Processes
from owlish.graph.progress import Display
from owlish.graph.spec import Makes, Node, Question, Resources, check_importable
from owlish.graph.spending import Spending
from owlish.graph.store import Store, named, store_at
from owlish.graph.tabled import on_one_line
from owlish.graph.typed import check_is

R = TypeVar("R")
Watch = Callable[[Event], None]


class RunFailed(Exception):
    """Every failure of a run, raised once the branches that could go on have ended."""

    def __init__(self, failures: Sequence[Event]) -> None:
        self.failures = tuple(failures)
        alike: dict[str, list[Event]] = {}
        for failure in failures:  # alike, too, if they differ in their counts alone
            alike.setdefault(re.sub(r"\b\d+\b", "#", failure.sentence), []).append(failure)
        super().__init__("\n".join(map(format_failures, alike.values())))


def format_failures(alike: Sequence[Event]) -> str:
    """Return the first of some failures that are alike, and how many more there are."""
    more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
    first = alike[0]
    said = on_one_line(first.sentence) if first.what == "refused" else first.sentence
    return f"{named(first.node)}{more}: {said}"


@overload
def run(
    what: Makes[R] | Question[R],
    *,
    store: Store | str | Path = ...,
    jobs: int | None = ...,
    on: Pool | None = ...,
    watch: Watch | None = ...,
    quiet: bool = ...,
    curves: str | None = ...,
    spending: Spending | None = ...,
) -> R: ...


@overload
def run(
    what: Sequence[Makes[R] | Question[R]],
    *,
    store: Store | str | Path = ...,
    jobs: int | None = ...,
    on: Pool | None = ...,
    watch: Watch | None = ...,
    quiet: bool = ...,
    curves: str | None = ...,
    spending: Spending | None = ...,
) -> list[R]: ...


def run(
    what: Makes[R] | Question[R] | Sequence[Makes[R] | Question[R]],
    *,
    store: Store | str | Path = "owlish-store",
    jobs: int | None = None,
    on: Pool | None = None,
    watch: Watch | None = None,
    quiet: bool = False,
    curves: str | None = None,
    spending: Spending | None = None,
) -> R | list[R]:
    """Return a node's result, or the answer to a question, after making whatever the store lacks; of several, a list.

    The pool `on` makes it: if not given, `jobs` worker processes here (the number of cores, if not given) of one
    thread each. Progress is shown on standard error unless `quiet`; `watch` is called with every event instead.
    What is measured meanwhile, such as losses, is drawn in `curves`: `tensorboard:FOLDER`, `wandb` or
    `wandb:PROJECT`; results are the same with and without them. `spending` puts the store under a limit of what
    answers of paid services may cost, which holds until another is given. Ctrl-C loses no result that was finished.
    Raise `UserError` before anything is computed where the plan cannot work, and `RunFailed` with all failures at the
    end.
    """
    check_is(jobs, int | None, "jobs")
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}: give at least 1, or omit it for one process per core.")
    store = store if isinstance(store, Store) else store_at(store)
    group = getattr(what, "name", "") if isinstance(what, Question) else ""
    drawn = curves_of(curves, group=group) if curves is not None else None
    nodes = plan(needs_of(what), store)
    if watch or quiet or not nodes:
        make(nodes, store=store, jobs=jobs, on=on, watch=watch, curves=drawn, spending=spending)
    else:
        with Display() as display:
            make(nodes, store=store, jobs=jobs, on=on, watch=display, curves=drawn, spending=spending)
    return [store.read(one) for one in what] if isinstance(what, Sequence) else store.read(what)


def needs_of(what: object) -> tuple[Node, ...]:
    """Return the nodes that must be made for a node, a question or several."""
    if isinstance(what, Node):
        return (what,)
    if isinstance(what, list | tuple):
        return tuple(node for one in what for node in needs_of(one))
    if not isinstance(what, Question):
        raise UserError(f"a {type(what).__name__} cannot be run: give a node, a study, or a list of them.")
    return tuple(what.needs)


def plan(targets: Sequence[Node], store: Store) -> tuple[Node, ...]:
    """Return the nodes that would be made, inputs before what reads them.

    Below a held result it looks at what that result's `load` reads, and at nothing else: inputs may be gone.
    """
    missing: dict[str, Node] = {}
    held: set[str] = set()

    def visit(node: Node) -> None:
        if node.key in missing or node.key in held:
            return
        if store.holds(node.key):
            held.add(node.key)
            for child in node.load_inputs():
                visit(child)
            return
        for child in node.children:
            visit(child)
        missing[node.key] = node

    for target in targets:
        visit(target)
    # What is held is not checked: it needs neither the package nor the server any more that made it.
    for node in missing.values():
        check_importable(node)
        node.check()
    return tuple(missing.values())


def check_takes(needs: Iterable[tuple[Node, Resources]], store: Store, pool: Pool) -> None:
    """Refuse nodes that the pool can never make, even when it is empty: a run would wait for ever."""
    for node, resources in needs:
        pool.check(node, store)
        if not pool.takes(resources):
            raise UserError(f"{named(node)} needs {resources}: use a larger pool.")


def make(
    nodes: Sequence[Node],
    *,
    store: Store,
    jobs: int | None = None,
    on: Pool | None = None,
    watch: Watch | None = None,
    curves: Curves | None = None,
    spending: Spending | None = None,
) -> int:
    """Make planned nodes as `run` does; return how many were made here and not by another run beside this one."""
    with ExitStack() as open_ones:
        watches = [one for one in (watch, curves and open_ones.enter_context(curves)) if one]

        def tell(event: Event) -> None:
            for one in watches:
                one(event)

        return Run(nodes, store, on or Processes(jobs), tell, spending or Spending()).go()


class Run:
    """One run: what waits for what, what is ready, what failed.

    Each result is counted down once at each of its readers, so that a run takes time in proportion to its graph.
    """

    def __init__(self, nodes: Sequence[Node], store: Store, pool: Pool, watch: Watch, spending: Spending) -> None:
        self.nodes, self.store, self.pool, self.watch, self.spending = nodes, store, pool, watch, spending
        self.failures: list[Event] = []
        self.made = self.taken = 0
        self.place = {node.key: place for place, node in enumerate(nodes)}
        self.resources = [node.resources for node in nodes]
        self.readers: list[list[int]] = [[] for _ in nodes]
        self.lacks = [0] * len(nodes)
        self.ready: dict[Resources, list[int]] = {}
        for place, node in enumerate(nodes):
            # More than inputs: where the result of an input is kept in parts, its `load` reads further nodes.
            unmade = [self.place[key] for key in node.read_keys if key in self.place]
            self.lacks[place] = len(unmade)
            for other in unmade:
                self.readers[other].append(place)

    def go(self) -> int:
        """Make all nodes, and return how many were made."""
        try:
            check_takes(zip(self.nodes, self.resources, strict=True), self.store, self.pool)
            if self.nodes:
                # Once the pool is there: a run that cannot begin leaves no trace in the store.
                self.store.sweep()
                self.spending.begin(self.store.root, self.nodes)
            for place, node in enumerate(self.nodes):
                self.watch(Event("planned", node))
                if not self.lacks[place]:
                    self.put(place)
            while self.give() or self.taken:
                for event in self.pool.hear():
                    self.take(event)
        finally:
            # After Ctrl-C and errors too: workers would else go on alone.
            self.pool.stop()
        if self.failures:
            raise RunFailed(self.failures)
        return self.made

    def put(self, place: int) -> None:
        """Let a node stand ready, among those that need the same resources, in the order of the plan."""
        heappush(self.ready.setdefault(self.resources[place], []), place)

    def give(self) -> bool:
        """Submit ready nodes, always the first in the plan that the pool takes; say whether there was one."""
        before = self.taken
        while fitting := [places for needed, places in self.ready.items() if places and self.pool.takes(needed)]:
            # Lists compare by their first items, and a heap's is its smallest: `min` finds the first node in the plan.
            self.pool.submit(self.nodes[heappop(min(fitting))], self.store)
            self.taken += 1
        return self.taken > before

    def take(self, event: Event) -> None:
        """Take one event: after an end, what waited for the node is ready, or can no longer be made."""
        self.watch(event)
        if event.what in ("begun", "tick"):
            return
        self.taken -= 1
        self.made += event.what == "made"
        place = self.place[event.node.key]
        if event.what in ("refused", "failed"):
            # Its readers are never counted down: they stay unmade, while branches that do not need it go on.
            self.failures.append(event)
            return
        for reader in self.readers[place]:
            self.lacks[reader] -= 1
            if not self.lacks[reader]:
                self.put(reader)
