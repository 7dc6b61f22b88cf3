"""A Ray cluster as the place where nodes are made: tasks with a node's resources, results through the store alone."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from owlish.graph.errors import UserError
from owlish.graph.heard import warn_again
from owlish.graph.measured import Point
from owlish.graph.pool import GPUS, SETTINGS, Event
from owlish.graph.spec import Node, Resources
from owlish.graph.store import Store, named, store_at
from owlish.graph.worker import Report, Teller, attempt_heard

RETRIES = 3
"""How often a node is begun anew whose worker or machine is lost."""
TICK_EVERY = 0.5
WAIT = 0.2
FRESH = 2.0
"""Seconds for which what the cluster has is not asked again."""
AHEAD = 2
"""Nodes that are submitted for each core, so that none waits for the driver."""

IDLE = 60.0
"""Seconds after which a process without work gives its GPU back, and drops the base that it keeps."""

CLIENT, CLIENT_PORT = "ray://", 10001
LISTENS = 5.0
"""Seconds in which a cluster must take a connection, and in which it must answer."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How a client of HTTP/2, over which every port of Ray speaks, begins; the server's settings answer it."""
SETTINGS_FRAME = b"\x04"

Word = tuple[str, int, int, tuple[Point, ...]]
"""A node's key, how far it is (of 0: it has begun), and what was measured since the last word."""


class Ray:
    """The cluster at `address` (`ray://host:port`, or a host of it); if not given, the one on this machine.

    Where none is found, Ray starts one here. Every machine must see the store's folder under the same path, and have
    the same packages. Workers have as many threads as a node needs, which is one.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address
        self.tasks: dict[Any, tuple[Node, Store]] = {}
        self.news: list[Event] = []
        self.begun: set[str] = set()
        self.board: Any = None
        self.make: Any = None
        self.makers: dict[Any, Holder] = {}
        self.own = False
        self.seen: tuple[float, list[Mapping[str, float]]] = (-FRESH, [])

    def check(self, node: Node, store: Store) -> None:
        """Refuse paid answers into a bucket: each machine has a cache of its own, and would have its own limit."""
        if node.pays and "://" in store.address:
            raise UserError(f"{named(node)} asks a paid service, from a cluster: keep its store in a shared folder.")

    def takes(self, resources: Resources) -> bool:
        """Say whether some machine has these resources, and the queue is short.

        Ray itself would let a task that no machine can serve wait for ever.
        """
        needed = self.needed(resources)
        able = any(all(one.get(name, 0) >= least for name, least in needed.items()) for one in self.machines())
        if "GPU" in needed and sum(one.task is not None for one in self.makers.values()) >= self.count("GPU"):
            return False
        return able and len(self.tasks) < AHEAD * self.cores + 1

    def submit(self, node: Node, store: Store) -> None:
        """Give a node to the cluster."""
        needed, given = self.needed(node.resources), (pickle.dumps(node), store.address, self.board)
        if "GPU" in needed:
            maker = self.maker(needed)
            self.makers[maker].task = task = maker.make.remote(*given)
        else:
            # Ray hides no GPU from tasks that ask for none. Workers of other settings are other processes, too.
            hidden = {"runtime_env": {"env_vars": {GPUS: ""}}} if self.count("GPU") else {}
            memory = needed.get("memory")
            how = self.make.options(num_cpus=needed["CPU"], memory=memory, max_retries=RETRIES, **hidden)
            task = how.remote(*given)
        self.tasks[task] = (node, store)

    def maker(self, needed: Mapping[str, float]) -> Any:
        """Return a process without work that holds a GPU and what else is needed; start one if there is none."""
        import ray

        idle = [maker for maker, one in self.makers.items() if one.task is None]
        if fitting := next((maker for maker in idle if self.makers[maker].needed == needed), None):
            return fitting
        if idle and len(self.makers) >= self.count("GPU"):
            self.drop(idle[0])  # it is of another kind, and would keep its GPU
        # No core: it would take it away from nodes without a GPU while it waits for work.
        how = {"num_cpus": 0, "num_gpus": 1, "memory": needed.get("memory")}
        found = ray.remote(Maker).options(**how, max_restarts=-1, max_task_retries=RETRIES).remote()
        self.makers[found] = Holder(needed)
        return found

    def drop(self, maker: Any) -> None:
        """End a process that holds a GPU."""
        import ray

        del self.makers[maker]
        ray.kill(maker)

    def rest(self, task: Any) -> None:
        """Note that a node has ended, and end processes that have long been without work."""
        for maker, one in list(self.makers.items()):
            if task is not None and one.task == task:
                one.task, one.since = None, time.monotonic()
            elif one.task is None and time.monotonic() - one.since > IDLE:
                self.drop(maker)

    def hear(self) -> Sequence[Event]:
        """Wait until a node begins, goes on or ends."""
        import ray

        while not self.news:
            self.rest(None)
            # The ends first, then the board: all that an ended node told stands there
            # by now, and is heard before its end.
            ended, _ = ray.wait(list(self.tasks), timeout=WAIT)
            with suppress(ray.exceptions.RayError):  # what is not heard is how far a node is, and no more
                self.tell(ray.get(self.board.read.remote()))
            for task in ended:
                node, store = self.tasks.pop(task)
                self.rest(task)
                self.begin(node)
                self.news.append(self.end(task, node, store))
        news, self.news = self.news, []
        return news

    def stop(self) -> None:
        """End what is under way, and leave the cluster."""
        if self.board is None and not self.tasks and not self.own:
            return  # it never began, perhaps because there is no Ray
        import ray

        held = [one.task for one in self.makers.values()]
        for maker in list(self.makers):
            self.drop(maker)
        for task in self.tasks:
            if task not in held:  # else it ended with its process
                ray.cancel(task, force=True)
        if self.board is not None:
            ray.kill(self.board)
        if self.own:
            ray.shutdown()
        self.tasks, self.news, self.begun, self.own = {}, [], set(), False
        self.board = self.make = None

    @property
    def cores(self) -> int:
        """The cores of all machines."""
        return self.count("CPU")

    def count(self, what: str) -> int:
        """Return how many of something all machines have."""
        return int(sum(one.get(what, 0) for one in self.machines()))

    def machines(self) -> list[Mapping[str, float]]:
        """Return what each machine of the cluster has."""
        import_ray()
        import ray

        self.join()
        if time.monotonic() - self.seen[0] > FRESH:
            self.seen = (time.monotonic(), [one["Resources"] for one in ray.nodes() if one["Alive"]])
        return self.seen[1]

    def needed(self, resources: Resources) -> dict[str, float]:
        """Return resources as Ray counts them; a GPU is wanted where there is one."""
        gpu = resources.device and any(one.get("GPU") for one in self.machines())
        memory = {"memory": resources.memory} if resources.memory else {}
        return {"CPU": resources.threads, **memory, **({"GPU": 1} if gpu else {})}

    def join(self) -> None:
        """Join the cluster, if this process has not yet."""
        import ray

        if not ray.is_initialized():
            begin(self.address)
            self.own = True
        if self.make is None:
            # Once: Ray would send each new one to all workers, and start none of its tasks where the last one ran.
            self.make = ray.remote(make_there)
        if self.board is None:
            # It takes no core away from nodes. If its machine is lost it begins anew,
            # and only words of progress are missing.
            self.board = ray.remote(Board).options(num_cpus=0, max_restarts=-1).remote()

    def tell(self, told: Sequence[Word]) -> None:
        """Take how far nodes are."""
        nodes = {node.key: node for node, _ in self.tasks.values()}
        for key, done, total, points in told:
            if key in nodes:
                if not total:  # also where its worker was lost, and it is made anew
                    self.begun.discard(key)
                self.begin(nodes[key])
                if total:
                    self.news.append(Event("tick", nodes[key], done, total, points=points))

    def begin(self, node: Node) -> None:
        """Say once that a node has begun: word of it is lost where the board is, and whoever watches waits for it."""
        if node.key not in self.begun:
            self.begun.add(node.key)
            self.news.append(Event("begun", node))

    def end(self, task: Any, node: Node, store: Store) -> Event:
        """Return how a node ended."""
        import ray

        try:
            what, sentence, trace, warned = ray.get(task)
        except ray.exceptions.RayError as error:
            said = f"its worker on the cluster was lost {RETRIES + 1} times ({type(error).__name__})"
            return Event("failed", node, sentence=said, trace=str(error))
        warn_again(warned)
        if what in ("made", "found") and not store.has(node.key):
            said = f"{store} is not a folder that all machines of the cluster share: name one that is."
            return Event("refused", node, sentence=said)
        return Event(what, node, sentence=sentence, trace=trace)


@dataclass
class Holder:
    """What a process that holds a GPU was started with, and the node that it makes; or since when it has none."""

    needed: Mapping[str, float]
    task: Any = None
    since: float = 0.0


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


def begin(address: str | None) -> None:
    """Connect to a cluster, or start one on this machine."""
    import ray

    check_listens(address)
    # Unless it is told not to, Ray reports how it is used to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings = {**SETTINGS, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    how: dict[str, Any] = {"runtime_env": {"env_vars": settings}, "log_to_driver": False}
    if not (address or "").startswith("ray://"):
        how |= {"logging_level": "ERROR", "include_dashboard": False}
    try:
        ray.init(address=address, **how)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:160]
        raise UserError(f"no Ray cluster can be used at {address or 'this machine'} ({why}): start one.") from None


def check_listens(address: str | None) -> None:
    """Refuse an address at which nothing listens, or something else than Ray.

    Ray itself would try for ever, and hear no signal meanwhile.
    """
    named = os.environ.get("RAY_ADDRESS") or "" if address in (None, "auto") else str(address)
    client = named.startswith(CLIENT)
    if not client and ":" not in named:  # found by Ray on this machine, or started here
        return
    try:
        place = urlsplit(f"//{named.removeprefix(CLIENT)}")
        with socket.create_connection((place.hostname or "", place.port or CLIENT_PORT), timeout=LISTENS) as peer:
            # Over TLS it would be no greeting.
            if os.environ.get("RAY_USE_TLS", "0") == "0" and not greets(peer):
                raise ValueError("what listens there does not speak as Ray does")
    except (OSError, ValueError) as error:  # also a port that is no number
        why = str(getattr(error, "strerror", None) or error)
        raise UserError(
            f"no Ray cluster answers at {named} ({why}): start one, or correct --on or RAY_ADDRESS."
        ) from None


def greets(peer: socket.socket) -> bool:
    """Say whether a peer answers in HTTP/2, at once."""
    try:
        peer.sendall(GREETING)
        return peer.recv(4)[3:] == SETTINGS_FRAME
    except OSError:  # it stays silent, or hangs up
        return False


def import_ray() -> None:
    """Refuse to go on without Ray."""
    try:
        import ray
    except ImportError:
        raise UserError("a cluster needs Ray: install owlish[ray].") from None
    assert ray
