"""What runs on the machines of a Ray cluster: a node is made there, and word of it is left on a board."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import Any

from owlish.graph.measured import Point
from owlish.graph.spec import Node
from owlish.graph.store import store_at
from owlish.graph.worker import Report, Teller, attempt_heard

TICK_EVERY = 0.5

Word = tuple[str, int, int, tuple[Point, ...]]
"""A node's key, how far it is (of 0: it has begun), and what was measured since the last word."""


class Maker:
    """A process that makes one node after another on one GPU, and so keeps the base that it opened last: an actor.

    Ray may give another GPU to the next task of a worker, which CUDA would not see, and keeps an actor's for its life.
    """

    def make(self, asked: bytes, address: str, board: Any) -> Report:
        """Make a node."""
        return make_there(asked, address, board)


class Board:
    """Where workers leave word of how far they are: an actor of the cluster."""

    def __init__(self) -> None:
        self.told: list[Word] = []

    def tell(self, key: str, done: int, total: int, points: tuple[Point, ...]) -> None:
        """Take word of a node."""
        self.told.append((key, done, total, points))

    def read(self) -> list[Word]:
        """Return what was told since the last time."""
        told, self.told = self.told, []
        return told


def make_there(asked: bytes, address: str, board: Any) -> Report:
    """Make a node on a machine of the cluster."""
    import ray

    node: Node = pickle.loads(asked)  # from the driver alone: nothing that was stored is ever unpickled
    heard = board.tell.remote(node.key, 0, 0, ())

    def say(done: int, total: int, points: tuple[Point, ...]) -> None:
        nonlocal heard
        heard = board.tell.remote(node.key, done, total, points)

    # An actor takes the words of one caller in their order: to wait for the last, below, is to wait for all.
    tell = Teller(say, TICK_EVERY)
    report = attempt_heard(node, store_at(address), tell)
    tell.rest()
    with suppress(ray.exceptions.RayError):  # what is said after the node has ended is not heard
        ray.get(heard)
    return report
