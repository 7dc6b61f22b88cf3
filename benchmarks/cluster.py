"""What a Ray cluster costs and brings: scheduling a node, and `owl --small` on two Ray nodes beside one process.

    python benchmarks/cluster.py            # about ten minutes on two idle cores
    python benchmarks/cluster.py --quick    # scheduling alone: a minute

The cluster is two Ray nodes of one core each on this machine. Run it where nothing else runs: beside other work,
read the processor seconds.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from owlish.cli import find
from owlish.graph.pool import Event, Here, Pool
from owlish.graph.ray import Ray
from owlish.graph.run import run
from owlish.graph.spec import everything
from owlish.graph.store import Store
from owlish.nodes.data import Data, Shuffled, Written

MANY, DEEP, TURNS = 500, 60, 3


def main() -> None:
    """Print one line a claim."""
    # In memory, where there is such a folder: a node syncs five files, and how long a disk takes for that changes
    # several times within minutes, by more than what Ray adds.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder, cluster() as address:
        for turn in range(TURNS):
            scheduling(Path(folder) / str(turn), address)
        if "--quick" not in sys.argv:
            owl(Path(folder), address)


@contextmanager
def cluster() -> Iterator[str]:
    """Start two Ray nodes of one core each; yield the address."""
    import ray
    from ray.cluster_utils import Cluster

    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    both.add_node(num_cpus=1)
    try:
        yield both.address
    finally:
        ray.shutdown()
        both.shutdown()


def scheduling(folder: Path, address: str) -> None:
    """Time nodes that do next to nothing: all at once, and each after the one before."""
    for said, nodes, count in (("at once", wide, MANY), ("in a chain", chain, DEEP)):
        _, here = ends(folder / "here", Here(), nodes(count))
        start, there = ends(folder / "cluster", Ray(address), nodes(count))
        print(
            f"{count} nodes {said}: Ray starts in {start:.1f} s, then {there * 1e3:.1f} ms a node; in this process "
            f"alone {here * 1e3:.1f}, so Ray adds {(there - here) * 1e3:.1f} (limit 20)"
        )


def wide(count: int) -> list[Data]:
    """Return nodes that need no other."""
    return [Written(((f"{count}", str(i)),)) for i in range(count)]


def chain(count: int) -> list[Data]:
    """Return a node that needs another, and so on."""
    last: Data = Written(((f"{count}", "1, 2"),))
    for i in range(count - 1):
        last = Shuffled(last, across=False, seed=i)
    return [last]


def ends(store: Path, pool: Pool, nodes: list[Data]) -> tuple[float, float]:
    """Return the seconds until the first node has ended, and those from one end to the next.

    In a chain the median: while it runs, Ray starts a worker on its other machine, which takes seconds.
    """
    times = [time.perf_counter()]

    def watch(event: Event) -> None:
        if event.what == "made":
            times.append(time.perf_counter())

    run(nodes, store=store, on=pool, watch=watch)
    gaps = [after - before for before, after in pairwise(times[1:])]
    return times[1] - times[0], statistics.median(gaps) if len(nodes) == 1 else statistics.mean(gaps)


def owl(folder: Path, address: str) -> None:
    """Make `owl --small` by one worker process, and on two Ray nodes; compare bytes and times."""
    study = find.study("owl").small()
    nodes = everything(*study.needs)
    walls, sums = [], []
    for name, pool in (("serial", None), ("ray", Ray(address))):
        start = time.perf_counter()
        run(study, store=folder / name, jobs=1, on=pool, quiet=True)
        walls.append(time.perf_counter() - start)
        store = Store(folder / name)
        sums.append(sum(store.manifest(node.key)["seconds"] for node in nodes))
    same = contents(folder / "serial") == contents(folder / "ray")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"owl --small, {len(nodes)} nodes: bytes {'equal' if same else 'DIFFER'}")
    print(
        f"one process {walls[0]:.0f} s, two Ray nodes {walls[1]:.0f} s: {walls[0] / walls[1]:.2f} times (at least 1.6)"
    )
    print(
        f"nodes under way at once: {sums[0] / walls[0]:.2f} and {sums[1] / walls[1]:.2f}; "
        f"seconds of a node on Ray beside those alone: {sums[1] / sums[0]:.2f} (1 on idle cores)"
    )
    print(f"processor seconds of ended children: {used.ru_utime + used.ru_stime:.0f}")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all result files; manifests hold times."""
    paths = [path for path in folder.glob("??/*/*") if path.name != "manifest.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


if __name__ == "__main__":
    main()
