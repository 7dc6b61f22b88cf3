"""The GPUs of a Ray cluster: each is held by a process that makes one node after another, and keeps its base."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from owlish.graph.ray_worker import Maker

IDLE = 60.0
"""Seconds after which a process without work gives its GPU back, and drops the base that it keeps."""


@dataclass
class Holder:
    """What a process that holds a GPU was started with, and the node that it makes; or since when it has none."""

    needed: Mapping[str, float]
    task: Any = None
    since: float = 0.0


class Gpus:
    """The processes that hold GPUs, each begun anew up to `retries` times."""

    def __init__(self, retries: int) -> None:
        self.retries = retries
        self.makers: dict[Any, Holder] = {}

    @property
    def tasks(self) -> list[Any]:
        """The nodes that are being made on GPUs."""
        return [one.task for one in self.makers.values() if one.task is not None]

    def submit(self, needed: Mapping[str, float], given: tuple[Any, ...], most: int) -> Any:
        """Give a node to a process without work, of at most as many as there are GPUs."""
        maker = self.maker(needed, most)
        self.makers[maker].task = task = maker.make.remote(*given)
        return task

    def maker(self, needed: Mapping[str, float], most: int) -> Any:
        """Return a process without work that holds a GPU and what else is needed; start one if there is none."""
        import ray

        idle = [maker for maker, one in self.makers.items() if one.task is None]
        if fitting := next((maker for maker in idle if self.makers[maker].needed == needed), None):
            return fitting
        if idle and len(self.makers) >= most:
            self.drop(idle[0])  # it is of another kind, and would keep its GPU
        # No core: it would take it away from nodes without a GPU while it waits for work.
        how = {"num_cpus": 0, "num_gpus": 1, "memory": needed.get("memory")}
        found = ray.remote(Maker).options(**how, max_restarts=-1, max_task_retries=self.retries).remote()
        self.makers[found] = Holder(needed)
        return found

    def drop(self, maker: Any) -> None:
        """End a process that holds a GPU."""
        import ray

        del self.makers[maker]
        ray.kill(maker)

    def rest(self, task: Any = None) -> None:
        """Note that a node has ended, and end processes that have long been without work."""
        for maker, one in list(self.makers.items()):
            if task is not None and one.task == task:
                one.task, one.since = None, time.monotonic()
            elif one.task is None and time.monotonic() - one.since > IDLE:
                self.drop(maker)

    def stop(self) -> None:
        """End all processes."""
        for maker in list(self.makers):
            self.drop(maker)
