"""Make what is missing: in worker processes, each node once, whatever fails beside it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Literal

from owlish.graph.spec import Node, Question
from owlish.graph.store import Store
from owlish.graph.worker import Worker


@dataclass(frozen=True)
class Event:
    """What happened to a node during a run."""

    what: Literal["planned", "begun", "tick", "made", "found", "failed"]
    node: Node
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Failure:
    """A node that could not be made; `refused` where the user can mend it."""

    node: Node
    sentence: str
    refused: bool
    trace: str


Watch = Callable[[Event], None]


class RunFailed(Exception):
    """Every failure of a run, raised once the branches that could go on have ended."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        alike: dict[str, list[Failure]] = {}
        for failure in failures:  # alike, too, if they differ in their counts alone
            alike.setdefault(re.sub(r"\b\d+\b", "#", failure.sentence), []).append(failure)
        super().__init__("\n".join(map(told, alike.values())))


def told(failures: Sequence[Failure]) -> str:
    """Return the first of some sentences that are alike, and which results failed so."""
    first = failures[0]
    more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
    return f"{first.node} ({first.node.key[:12]}){more}: {first.sentence}"


def run(
    what: Node | Question, *, store: Store | str = "owlish-store", jobs: int | None = None, watch: Watch | None = None
) -> Any:
    """Return a node's result, or the answer to a question, after making whatever the store lacks.

    `jobs` worker processes (the number of cores, if not given) of one thread each; `watch` is told of every
    event. Raises `ValueError` before anything is computed where the plan cannot work, and `RunFailed` with
    all failures at the end.
    """
    store = store if isinstance(store, Store) else Store(store)
    needs = (what,) if isinstance(what, Node) else what.needs
    make(plan(needs, store), store=store, jobs=jobs, watch=watch)
    return store.read(what) if isinstance(what, Node) else what.found(store.read)


def plan(targets: Sequence[Node], store: Store) -> tuple[Node, ...]:
    """Return the nodes that would be made, inputs before what reads them; nothing below a held result."""
    missing: dict[str, Node] = {}
    held: set[str] = set()

    def visit(node: Node) -> None:
        if node.key in missing or node.key in held:
            return
        if store.holds(node.key):
            held.add(node.key)
            return
        for child in node.inputs():
            visit(child)
        missing[node.key] = node

    for target in targets:
        visit(target)
    for node in missing.values():
        node.check()
    return tuple(missing.values())


def make(nodes: Sequence[Node], *, store: Store, jobs: int | None = None, watch: Watch | None = None) -> int:
    """Make planned nodes, in order of need; return how many were made here."""
    return Run(nodes, store, watch or (lambda event: None)).go(min(jobs or os.cpu_count() or 1, len(nodes)))


def deaf_worker() -> Worker:
    """Start a worker that never hears Ctrl-C, not even while it imports: that is the parent's to answer."""
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return Worker()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


class Run:
    """One run: what waits, what is under way, what failed."""

    def __init__(self, nodes: Sequence[Node], store: Store, watch: Watch) -> None:
        self.store, self.watch = store, watch
        self.waiting = {node.key: node for node in nodes}
        self.busy: dict[Any, tuple[Worker, Node]] = {}
        self.failures: list[Failure] = []
        self.made = 0

    def go(self, jobs: int) -> int:
        for node in self.waiting.values():
            self.watch(Event("planned", node))
        idle: list[Worker] = []
        try:
            idle.extend(deaf_worker() for _ in range(jobs))
            while self.waiting or self.busy:
                while idle and (ready := self.next()):
                    self.begin(idle.pop(), ready)
                if not self.busy:
                    break
                for connection in wait(list(self.busy)):
                    idle += self.hear(connection)
        finally:
            for worker in (*idle, *(worker for worker, _ in self.busy.values())):
                worker.stop()
        if self.failures:
            raise RunFailed(self.failures)
        return self.made

    def next(self) -> Node | None:
        """Take the first node whose inputs are all there, in the order of the plan."""
        unmade = self.waiting.keys() | {node.key for _, node in self.busy.values()}
        unmade |= {failure.node.key for failure in self.failures}
        for key, node in self.waiting.items():
            if not any(child.key in unmade for child in node.inputs()):
                return self.waiting.pop(key)
        return None

    def begin(self, worker: Worker, node: Node) -> None:
        self.busy[worker.connection] = (worker, node)
        worker.start(node, self.store)
        self.watch(Event("begun", node))

    def hear(self, connection: Any) -> list[Worker]:
        """Take one message from a worker; return the workers that are free for another node."""
        worker, node = self.busy[connection]
        try:
            what, *rest = connection.recv()
        except (EOFError, ConnectionResetError):
            worker.stop()
            what, rest = "failed", ["its worker process ended: it was killed, or memory ran out", ""]
            worker = deaf_worker()
        if what == "tick":
            self.watch(Event("tick", node, *rest))
            return []
        del self.busy[connection]
        if what == "made":
            self.made += rest[0]
            self.watch(Event("made" if rest[0] else "found", node))
        else:
            self.fail(node, what == "refused", *rest)
        return [worker]

    def fail(self, node: Node, refused: bool, sentence: str, trace: str) -> None:
        """Keep a failure, and drop what can no longer be made."""
        self.failures.append(Failure(node, sentence, refused, trace))
        self.watch(Event("failed", node))
        lost = {node.key}
        for key, other in list(self.waiting.items()):
            if any(child.key in lost for child in other.inputs()):
                lost.add(key)
                del self.waiting[key]
