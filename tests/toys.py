"""Quick nodes for the tests of the graph: numbers that add up, slowly if asked, and nodes that fail."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from owlish.graph.files import replacing
from owlish.graph.spec import Node, Read, Tick
from owlish.graph.store import PARTS


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
class Joined(Toy, kind="joined"):
    """The texts of other nodes, one after the other, in two files."""

    nodes: tuple[Toy, ...]

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        text = "\n".join(read(node) for node in self.nodes)
        self.write(folder, text)
        (folder / "length.txt").write_text(str(len(text)))


@dataclass(frozen=True)
class Broken(Toy, kind="broken"):
    """A node that fails: as the user's mistake, as a fault, or by dying."""

    how: str
    node: Toy | None = None

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "half.txt").write_text("half")
        if self.how == "refused":
            raise ValueError("this cannot be: ask for another.")
        if self.how == "died":
            import os

            os._exit(9)
        raise RuntimeError("a fault")


@dataclass(frozen=True)
class Refused(Toy, kind="refused"):
    """A node that is seen to fail before it is computed."""

    def check(self) -> None:
        raise ValueError("no: choose yes.")


def tower(width: int = 6, wait: float = 0.02) -> Joined:
    """Return a small experiment: some draws, joined in pairs, joined."""
    drawn = [Drawn(seed, wait=wait) for seed in range(width)]
    return Joined(tuple(Joined((drawn[i], drawn[i - 1])) for i in range(width)))
