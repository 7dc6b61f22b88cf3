"""A Ray cluster of two nodes: the bytes of a run here; lost workers, machines and drivers; what none can serve."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from test_store import files
from toys import Climbing, Drawn, Joined, Killed, Logged, Placed, tower

from owlish.graph.progress import Display
from owlish.graph.run import run
from owlish.graph.spec import everything
from owlish.graph.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def machines():
    """Two machines of one core each, as Ray sees them."""
    pytest.importorskip("ray", reason="install owlish[ray]")
    from ray.cluster_utils import Cluster

    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    both.add_node(num_cpus=1)
    yield both
    both.shutdown()


@pytest.fixture
def cluster(machines):
    return machines.address


def pool(address):
    from owlish.graph.ray import Ray

    return Ray(address)


def test_two_nodes_make_the_bytes_of_a_run_here(cluster, tmp_path):
    events = []
    run(tower(), store=tmp_path / "ray", on=pool(cluster), watch=events.append)
    run(tower(), store=tmp_path / "here", jobs=1, quiet=True)
    assert files(Store(tmp_path / "ray")) == files(Store(tmp_path / "here"))
    ends = [event.node for event in events if event.what in ("made", "found")]
    assert len(ends) == len(set(ends)) == len(everything(tower()))


def test_progress_comes_back_and_workers_have_one_thread(cluster, tmp_path):
    events = []
    node = Joined((Drawn(1, parts=4, wait=0.4), Placed("a")))
    run(node, store=tmp_path, on=pool(cluster), watch=events.append)
    assert "tick" in [event.what for event in events]
    assert '"OMP_NUM_THREADS": "1"' in Store(tmp_path).read(Placed("a"))


def test_what_is_measured_comes_back_to_its_last_point(cluster, tmp_path):
    events = []
    run(Climbing(7), store=tmp_path, on=pool(cluster), watch=events.append)
    assert [point for event in events for point in event.points] == [("height", i, i / 3) for i in range(1, 8)]


def test_a_lost_board_costs_words_of_progress_and_no_more(cluster, tmp_path):
    import ray

    ray_pool, events = pool(cluster), []

    def watch(event):
        if not events:
            ray.kill(ray_pool.board)  # it does not begin anew: nobody hears a word from now on
        events.append(event)

    with Display() as display:
        run(tower(), store=tmp_path, on=ray_pool, watch=lambda event: (watch(event), display(event)))
    counts = Counter(event.what for event in events)
    assert counts["begun"] == counts["made"] == len(everything(tower()))
    assert "tick" not in counts


def test_a_killed_worker_costs_its_node_and_no_more(cluster, tmp_path):
    node = Joined((Killed(str(tmp_path / "once")), Drawn(1)))
    assert run(node, store=tmp_path / "store", on=pool(cluster), quiet=True).startswith("alive")


MANY = 10
"""Nodes beside one another: five for each machine."""


def logged(folder):
    return Joined(tuple(Logged(str(folder / "log"), i, 1.0) for i in range(MANY)))


def begun(folder):
    """Return how often each node has begun, and the parents of the workers: one for each machine."""
    lines = [line.split() for line in (folder / "log").read_text().splitlines()] if (folder / "log").exists() else []
    return Counter(number for number, _ in lines), {parent for _, parent in lines}


def check_bytes(folder):
    """Compare the results of a run on a cluster that lost something with those of an undisturbed run here."""
    run(logged(folder), store=folder / "here", jobs=4, quiet=True)
    assert files(Store(folder / "store")) == files(Store(folder / "here"))


def test_a_removed_machine_costs_its_node_and_no_more(machines, tmp_path):
    ends = Counter()

    def lose(event):
        ends[event.what] += 1
        if event.what == "made" and ends["made"] == 3:
            time.sleep(0.3)  # until both machines are in the middle of the next
            assert len(begun(tmp_path)[1]) == 2, "one machine did nothing, so nothing can be lost with it"
            machines.remove_node(machines.worker_nodes.copy().pop(), allow_graceful=False)

    try:
        run(logged(tmp_path), store=tmp_path / "store", on=pool(machines.address), watch=lose)
    finally:
        machines.add_node(num_cpus=1)
    times = begun(tmp_path)[0]
    assert len(times) == MANY
    assert sum(times.values()) <= MANY + 1, "what was finished, or on the other machine, is not made again"
    assert ends["made"] + ends["found"] == MANY + 1
    check_bytes(tmp_path)


DRIVER = """
import sys
from pathlib import Path
from owlish import run
from owlish.graph.ray import Ray
from test_ray import logged
run(logged(Path(sys.argv[1])), store=sys.argv[1] + "/store", on=Ray(sys.argv[2]), quiet=True)
"""


def test_a_dead_driver_costs_what_was_under_way_and_no_more(cluster, tmp_path):
    words = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {DRIVER}", str(tmp_path), cluster]
    driver = subprocess.Popen(words, start_new_session=True)
    while len(Store(tmp_path / "store").entries()) < 4:
        assert driver.poll() is None
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(3)  # until Ray has ended what the driver had asked for
    made, (times, _) = Store(tmp_path / "store").entries(), begun(tmp_path)
    assert len(made) < MANY, "it was killed too late"
    assert sum(times.values()) <= len(made) + 2, "each machine had one node under way"
    events = []
    run(logged(tmp_path), store=tmp_path / "store", on=pool(cluster), watch=events.append)
    assert len([event for event in events if event.what == "made"]) == MANY + 1 - len(made)
    assert sum(begun(tmp_path)[0].values()) <= MANY + 2
    check_bytes(tmp_path)


def test_what_no_machine_can_serve_is_refused_at_once(cluster, tmp_path):
    with pytest.raises(ValueError, match=r"placed \(.*\) needs 9 threads: use a larger pool"):
        run(Joined((Drawn(1), Placed("a", (9,)))), store=tmp_path, on=pool(cluster), quiet=True)
    assert not Store(tmp_path).entries()
