"""A node that opens a base in its worker, and says in a file what that took."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from toys import Toy

from owlish.graph.spec import Read, Resources, Tick
from owlish.lm.opening import last
from owlish.nodes.base import Base


@dataclass(frozen=True)
class Opened(Toy, kind="opened"):
    """A base is opened: the process writes whether it read it or kept it, and which GPU it may see."""

    base: Base
    log: str
    number: int
    needs_gpu: bool = False
    mark: str = ""

    @property
    def resources(self) -> Resources:
        return Resources(device=self.needs_gpu)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        before = list(last)
        read(self.base).open()
        how = "kept" if before and before[0] is last[0] else "read"
        with open(self.log, "a") as log:
            log.write(f"{os.getpid()} {how} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
        if self.mark and not Path(self.mark).exists():
            Path(self.mark).touch()
            os._exit(9)
        self.write(folder, "")
