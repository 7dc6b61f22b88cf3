"""A Ray cluster as the place where nodes are made: tasks with a node's resources, results through the store alone."""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from owlish.graph.errors import UserError, import_extra
from owlish.graph.heard import scrub, warn_again
from owlish.graph.pool import GPUS, Event
from owlish.graph.ray_address import begin
from owlish.graph.ray_gpus import Gpus
from owlish.graph.ray_worker import Board, Word, make_there
from owlish.graph.spec import Node, Resources
from owlish.graph.store import Store, named

RETRIES = 3
"""How often a node is begun anew whose worker or machine is lost."""
WAIT = 0.2
FRESH = 2.0
"""Seconds for which what the cluster has is not asked again."""
AHEAD = 2
"""Nodes that are submitted for each core, so that none waits for the driver."""


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
        self.gpus = Gpus(RETRIES)
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
        if "GPU" in needed and len(self.gpus.tasks) >= self.count("GPU"):
            return False
        return able and len(self.tasks) < AHEAD * self.cores + 1

    def submit(self, node: Node, store: Store) -> None:
        """Give a node to the cluster."""
        needed, given = self.needed(node.resources), (pickle.dumps(node), store.address, self.board)
        if "GPU" in needed:
            task = self.gpus.submit(needed, given, self.count("GPU"))
        else:
            # Ray hides no GPU from tasks that ask for none. Workers of other settings are other processes, too.
            hidden = {"runtime_env": {"env_vars": {GPUS: ""}}} if self.count("GPU") else {}
            memory = needed.get("memory")
            how = self.make.options(num_cpus=needed["CPU"], memory=memory, max_retries=RETRIES, **hidden)
            task = how.remote(*given)
        self.tasks[task] = (node, store)

    def hear(self) -> Sequence[Event]:
        """Wait until a node begins, goes on or ends."""
        import ray

        while not self.news:
            self.gpus.rest()
            # The ends first, then the board: all that an ended node told stands there
            # by now, and is heard before its end.
            ended, _ = ray.wait(list(self.tasks), timeout=WAIT)
            with suppress(ray.exceptions.RayError):  # what is not heard is how far a node is, and no more
                self.tell(ray.get(self.board.read.remote()))
            for task in ended:
                node, store = self.tasks.pop(task)
                self.gpus.rest(task)
                self.begin(node)
                self.news.append(self.end(task, node, store))
        news, self.news = self.news, []
        return news

    def stop(self) -> None:
        """End what is under way, and leave the cluster."""
        if self.board is None and not self.tasks and not self.own:
            return  # it never began, perhaps because there is no Ray
        import ray

        held = self.gpus.tasks
        self.gpus.stop()
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
        ray = import_extra("ray", "a cluster needs Ray: install owlish[ray].")
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
            return Event("failed", node, sentence=said, trace=scrub(str(error)))
        warn_again(warned)
        if what in ("made", "found") and not store.has(node.key):
            said = f"{store} is not a folder that all machines of the cluster share: name one that is."
            return Event("refused", node, sentence=said)
        return Event(what, node, sentence=sentence, trace=trace)
