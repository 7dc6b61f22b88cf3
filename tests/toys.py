"""Quick nodes for the tests of the graph: numbers that add up, slowly if asked, and nodes that fail."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.graph.files import replacing
from owlish.graph.measured import measure
from owlish.graph.pool import Event
from owlish.graph.spec import Node, Read, Resources, Tick
from owlish.graph.store import PARTS
from owlish.graph.worker import attempt


@dataclass(frozen=True)
class Toy(Node, kind="toy"):
    """A node whose result is a text."""

    def write(self, folder: Path, text: str) -> None:
        (folder / "text.txt").write_text(text)

    def load(self, folder: Path, read: Read) -> str:
        return (folder / "text.txt").read_text()


@dataclass(frozen=True)
class Drawn(Toy, kind="drawn"):
    """Some hex digits in parts, each of which takes `wait` seconds once."""

    seed: int
    parts: int = 3
    wait: float = 0.0

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / PARTS).mkdir(exist_ok=True)
        for i in range(self.parts):
            part = folder / PARTS / str(i)
            if not part.exists():
                time.sleep(self.wait)
                with replacing(part) as file:
                    file.write(hashlib.sha256(f"{self.seed}/{i}".encode()).hexdigest().encode())
            tick(i + 1, self.parts)
        self.write(folder, "".join((folder / PARTS / str(i)).read_text() for i in range(self.parts)))


@dataclass(frozen=True)
class Climbing(Toy, kind="climbing"):
    """A node that measures a height after each of some steps, all but the first between two ticks, and may fall."""

    steps: int
    falls: bool = False
    caption = "a climb of {steps} steps, ../../etc"

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        for step in range(1, self.steps + 1):
            measure("height", step, step / 3)
            tick(step, self.steps)
        if self.falls:
            raise RuntimeError("a fall")
        self.write(folder, str(self.steps))


@dataclass(frozen=True)
class Looked(Toy, kind="looked"):
    """A node that looks at another, and measures what is about that."""

    node: Climbing

    @property
    def subject(self) -> Node:
        return self.node

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        measure("view", self.node.steps, 0.5)
        self.write(folder, read(self.node))


@dataclass(frozen=True)
class Joined(Toy, kind="joined"):
    """The texts of other nodes, one after the other, in two files."""

    nodes: tuple[Toy, ...]

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        text = "\n".join(read(node) for node in self.nodes)
        self.write(folder, text)
        (folder / "length.txt").write_text(str(len(text)))


@dataclass(frozen=True)
class Continued(Toy, kind="continued"):
    """The text of another node, which stays in that node's entry, and a line more in its own."""

    node: Toy
    line: str

    def load_inputs(self) -> tuple[Node, ...]:
        return (self.node,)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        self.write(folder, self.line)

    def load(self, folder: Path, read: Read) -> str:
        return f"{read(self.node)}\n{super().load(folder, read)}"


@dataclass(frozen=True)
class Secretive(Toy, kind="secretive"):
    """A node that reads what lies two nodes below: in `compute`, or in `load`."""

    node: Joined
    when: str

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        self.write(folder, read(self.node.nodes[0]) if self.when == "compute" else "")

    def load(self, folder: Path, read: Read) -> str:
        return read(self.node) if self.when == "load" else super().load(folder, read)


@dataclass(frozen=True)
class Broken(Toy, kind="broken"):
    """A node that fails: as the user's mistake, as a fault, or by dying."""

    how: str
    node: Toy | None = None

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "half.txt").write_text("half")
        if self.how == "refused":
            raise UserError("this cannot be: ask for another.")
        if self.how == "died":
            os._exit(9)
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "told":
            print(f"here {Path.home()}/x", os.environ.get("MY_TOKEN"), "http://me:word@host", flush=True)
            print("1 %\r2 %", file=sys.stderr)
        if self.how == "spoke":
            print("so much for that", file=sys.stderr, flush=True)
            os.abort()
        raise RuntimeError("a fault")


@dataclass(frozen=True)
class Warned(Toy, kind="warned"):
    """A node that warns of something."""

    words: str

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        warnings.warn(self.words, FutureWarning, stacklevel=1)
        self.write(folder, self.words)


@dataclass(frozen=True)
class Killed(Toy, kind="killed"):
    """A node whose process is killed the first time; `mark` is the file that says so."""

    mark: str

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        if not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.write(folder, "alive")


@dataclass(frozen=True)
class Logged(Toy, kind="logged"):
    """A node that takes a while, and says in a file whenever it begins: its number, and its worker's parent."""

    log: str
    number: int
    wait: float

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        with open(self.log, "a") as log:
            log.write(f"{self.number} {os.getppid()}\n")
        time.sleep(self.wait)
        self.write(folder, str(self.number))


@dataclass(frozen=True)
class Refused(Toy, kind="refused"):
    """A node that is seen to fail before it is computed."""

    def check(self) -> None:
        raise UserError("no: choose yes.")


@dataclass(frozen=True)
class Noting(Toy, kind="noting"):
    """A node that notes the machine that it was made on."""

    device: str
    dtypes: tuple[str, ...]

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        for dtype in self.dtypes:
            note(device=self.device, dtype=dtype)
        self.write(folder, self.device)


@dataclass(frozen=True)
class Placed(Toy, kind="placed"):
    """Where it was made: the settings of its process."""

    name: str
    needed: tuple[int | bool, ...] = ()

    @property
    def resources(self) -> Resources:
        return Resources(*self.needed)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        settings = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
        self.write(folder, json.dumps({name: os.environ.get(name) for name in settings}))


class Bulk:
    """A pool of another kind, in this process: it takes many nodes, makes the last first, and each at the second try.

    `bytes` of memory is what it has; what needs more it never takes.
    """

    def __init__(self, room: int = 8, memory: int = 2**40) -> None:
        self.room, self.memory = room, memory
        self.tasks: list[tuple[Node, object]] = []
        self.most = 0

    def check(self, node: Node, store: object) -> None:
        pass

    def takes(self, resources: Resources) -> bool:
        return len(self.tasks) < self.room and (resources.memory or 0) <= self.memory

    def submit(self, node: Node, store: object) -> None:
        self.tasks.append((node, store))
        self.most = max(self.most, len(self.tasks))

    def hear(self) -> list[Event]:
        node, store = self.tasks.pop()
        heard = [Event("begun", node)]

        def lost(done: int, total: int) -> None:
            raise KeyError("the machine is gone")

        attempt(node, store, lost)
        what, sentence, trace = attempt(node, store, lambda done, total: heard.append(Event("tick", node, done, total)))
        return [*heard, Event(what, node, sentence=sentence, trace=trace)]

    def stop(self) -> None:
        self.tasks.clear()


def tower(width: int = 6, wait: float = 0.02) -> Joined:
    """Return a small experiment: some draws, joined in pairs, joined."""
    drawn = [Drawn(seed, wait=wait) for seed in range(width)]
    return Joined(tuple(Joined((drawn[i], drawn[i - 1])) for i in range(width)))
