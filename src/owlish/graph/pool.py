"""Where nodes are made: what a run asks of a pool, and the pool of processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Pipe, wait
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from owlish.graph.errors import UserError
from owlish.graph.heard import last_lines, scrub, warn_again
from owlish.graph.measured import Point
from owlish.graph.spec import Node, Resources
from owlish.graph.store import Store
from owlish.graph.worker import Teller, attempt

# Libraries read these once, as they are loaded. One thread each: with two busy torch processes of two threads each, a
# small matrix product fell from 52 to 1 GFLOP/s.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
GPUS = "CUDA_VISIBLE_DEVICES"
SETTINGS = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    # Sets of text, as in PEFT's configurations, come in one order in all workers.
    "PYTHONHASHSEED": "0",
}
GRACE = 5.0
"""Seconds that a process has to end after it closed its connection."""
LONGEST = 500
"""Letters of a process's last line that an error repeats."""


@dataclass(frozen=True)
class Event:
    """What happened to a node: `planned`, `begun`, some `tick`s, and one end. `refused` is for the user to fix.

    A tick says how far the node is, and what was measured since the last.
    """

    what: Literal["planned", "begun", "tick", "made", "found", "refused", "failed"]
    node: Node
    done: int = 0
    total: int = 0
    sentence: str = ""
    trace: str = ""
    points: tuple[Point, ...] = ()


class Pool(Protocol):
    """Makes nodes, on this machine or on others; their results come through the store alone.

    A pool may take many nodes at once, begin them when it likes, and make again what was lost with a machine.
    """

    def check(self, node: Node, store: Store) -> None:
        """Refuse a node that it must not make, whatever its resources: none, unless the pool says so."""
        return

    def takes(self, resources: Resources) -> bool:
        """Say whether it takes one more node with these resources now; what it refuses while empty it never takes."""

    def submit(self, node: Node, store: Store) -> None:
        """Take a node, all of whose inputs are in the store."""

    def hear(self) -> Sequence[Event]:
        """Wait until something happens to the nodes taken, and say what."""

    def stop(self) -> None:
        """End all work at once."""


class Here(Pool):
    """This process, one node after another: for a debugger, a quick look or a test.

    Results are those of `Processes` where torch has one thread here, too: set OMP_NUM_THREADS=1 before it is loaded.
    """

    def __init__(self) -> None:
        self.taken: list[tuple[Node, Store]] = []

    def takes(self, resources: Resources) -> bool:
        """Say whether there is no node yet."""
        return not self.taken

    def submit(self, node: Node, store: Store) -> None:
        """Take a node; it is made when somebody waits for it."""
        self.taken.append((node, store))

    def hear(self) -> Sequence[Event]:
        """Make the node, and say how that went."""
        node, store = self.taken.pop()
        news = [Event("begun", node)]
        tell = Teller(lambda done, total, points: news.append(Event("tick", node, done, total, points=points)), 0.0)
        what, sentence, trace = attempt(node, store, tell)
        tell.rest()
        return [*news, Event(what, node, sentence=sentence, trace=trace)]

    def stop(self) -> None:
        """Drop the node that was not begun."""
        self.taken = []


class Processes(Pool):
    """Worker processes on this machine, `jobs` threads in all (the number of cores, if not given).

    Nodes run side by side as far as threads and memory reach; one alone runs whatever it needs. Nodes that need a
    device have a GPU each, if there is one, and no other node sees any: so a result does not depend on `jobs`.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.threads = jobs or os.cpu_count() or 1
        self.memory = usable_memory()
        self.gpus = visible_gpus()
        self.idle: list[Worker] = []
        self.busy: dict[Any, tuple[Worker, Node, Resources]] = {}
        self.news: list[Event] = []
        self.proved = False

    def takes(self, resources: Resources) -> bool:
        """Say whether there is room for one more such node now."""
        running = [other for _, _, other in self.busy.values()]
        # An empty pool takes what is larger than the machine, too: else it would never be made.
        if not running:
            return True
        if resources.device and self.gpus and not self.free_gpus():
            return False
        threads = resources.threads + sum(other.threads for other in running)
        memory = (resources.memory or 0) + sum(other.memory or 0 for other in running)
        return threads <= self.threads and memory <= self.memory

    def submit(self, node: Node, store: Store) -> None:
        """Give a node to a worker of its kind."""
        resources = node.resources
        worker = self.worker(resources)
        self.busy[worker.connection] = (worker, node, resources)
        worker.start(node, store)
        self.news.append(Event("begun", node))

    def hear(self) -> Sequence[Event]:
        """Wait until a worker says something, or ends."""
        while not self.news:
            for connection in wait(list(self.busy)):
                self.listen(connection)
        news, self.news = self.news, []
        return news

    def stop(self) -> None:
        """Kill every worker."""
        for worker in (*self.idle, *(worker for worker, _, _ in self.busy.values())):
            worker.stop()
        self.idle, self.busy, self.news = [], {}, []

    def free_gpus(self) -> list[str]:
        """Return the GPUs that no busy worker has."""
        taken = {worker.gpu for worker, _, _ in self.busy.values()}
        return [gpu for gpu in self.gpus if gpu not in taken]

    def worker(self, resources: Resources) -> Worker:
        """Return an idle worker of the kind that a node needs; start one if there is none."""
        # An empty list of devices hides every GPU. Where there is none, the user's setting stays as it is.
        none: Sequence[str | None] = [""] if self.gpus else [None]
        gpus = (self.free_gpus() if resources.device else []) or none
        for worker in self.idle:
            # One that idles may have been killed meanwhile.
            if worker.threads == resources.threads and worker.gpu in gpus and worker.process.poll() is None:
                self.idle.remove(worker)
                return worker
        if self.idle and len(self.idle) + len(self.busy) >= self.threads:
            self.idle.pop(0).stop()  # it is of another kind, and would keep its memory
        return Worker(resources.threads, gpus[0])

    def listen(self, connection: Any) -> None:
        """Take one message of a worker."""
        worker, node, _ = self.busy[connection]
        try:
            what, *rest = connection.recv()
        except (EOFError, ConnectionResetError):
            how, lines = worker.last_words()
            if not self.proved:  # nor would any other start
                raise UserError(f"no worker process can start here: the first one {how}.") from None
            what, rest = "failed", [f"its worker process {how}", lines, ()]
        if what == "ready":
            self.proved = True
        elif what == "tick":
            done, total, points = rest
            self.news.append(Event("tick", node, done, total, points=points))
        else:
            del self.busy[connection]
            self.news.append(Event(what, node, sentence=rest[0], trace=rest[1]))
            if worker.process.poll() is None:
                self.idle.append(worker)
            warn_again(rest[2])


def usable_memory() -> int:
    """Return the bytes of memory of this machine, or of the container that this process is kept in."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([whole, *group_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))])


def group_limits(own: Path, root: Path) -> Iterator[int]:
    """Yield the limits of memory, in bytes, of the control groups that a process is in, and of those around them.

    `own` lists the groups (version 2, or 1 with its groups for each resource), whose files lie below `root`.
    """
    lines: list[str] = []
    with suppress(OSError):  # a system without groups
        lines = own.read_text().splitlines()
    for line in lines:
        _, kinds, group = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        place, file = (root / "memory", "memory.limit_in_bytes") if kinds else (root, "memory.max")
        inner = PurePosixPath(group.lstrip("/"))
        # To the top: a container may see its own group there, and not below the name that the machine gives it.
        for around in (inner, *inner.parents):
            with suppress(OSError, ValueError):  # no such group here, or "max"
                yield int((place / around / file).read_text())


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them, without loading torch."""
    given = os.environ.get(GPUS)
    if given is not None:
        return [name for name in given.split(",") if name]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


class Worker:
    """The parent's end of one process, which imports nothing of the caller's main file.

    `gpu` is the one GPU that it sees, `""` for none, `None` for whatever there is.
    """

    def __init__(self, threads: int, gpu: str | None) -> None:
        self.threads, self.gpu = threads, gpu
        # A pipe for messages and a file for output: a pipe that nobody reads would
        # fill, and stop the worker at its next word.
        self.connection, child = Pipe()
        self.said = tempfile.TemporaryFile()  # noqa: SIM115, it is open as long as the process lives
        own = {**dict.fromkeys(THREADS, str(threads)), **({} if gpu is None else {GPUS: gpu}), **SETTINGS}
        main = f"from owlish.graph.worker import main; main({child.fileno()})"
        # A child inherits the mask: else Ctrl-C would end it with a trace while its
        # Python starts, before it can ignore it.
        heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is the parent's to answer
        try:
            self.process = subprocess.Popen(
                # The caller's own path: what a notebook or a test added to it stands in no environment.
                [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {main}"],
                env={**os.environ, **own},
                pass_fds=[child.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self.said,
                stderr=self.said,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        # Else this process would hold the child's end open too, and never hear that the child is gone.
        child.close()

    def start(self, node: Node, store: Store) -> None:
        """Begin a node; a process that is dead already is heard to be so."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send((node, store.address))

    def last_words(self) -> tuple[str, str]:
        """Return how the process ended, with the reason that it gave, the last line that it wrote; and more lines."""
        try:
            code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.said.seek(0)
        said = self.said.read().decode(errors="replace")
        last = next((line.strip() for line in reversed(said.split("\n")) if line.strip()), "it gave no reason")
        self.stop()
        if code == -signal.SIGKILL:
            return "was killed, perhaps because memory ran out", last_lines(said)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"ended with {how} ({scrub(last)[:LONGEST]})", last_lines(said)

    def stop(self) -> None:
        """End the process, at once."""
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.said.close()
