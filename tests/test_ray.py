"""A Ray cluster of two nodes: the bytes of a run here; lost workers, machines and drivers; what none can serve."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest
from command import OWLISH
from opened import Opened
from small_audit import WORDS, written
from test_store import files
from toys import Broken, Climbing, Drawn, Joined, Killed, Logged, Placed, Warned, tower

from owlish import Base
from owlish.graph.errors import UserError
from owlish.graph.progress import Display
from owlish.graph.run import RunFailed, run
from owlish.graph.spec import everything
from owlish.graph.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


os.environ.setdefault("RAY_worker_niceness", "0")
"""Else Ray runs workers at 15, and a machine that does other work too hardly ever turns to them."""


def start(node):
    """Start a Ray node, which gives up where its agents do not begin within 15 s; on a busy machine, begin again."""
    for _ in range(4):
        with suppress(Exception):
            return node()
    return node()


def two_machines(**each):
    """Yield two machines, as Ray sees them."""
    pytest.importorskip("ray", reason="install owlish[ray]")
    from ray.cluster_utils import Cluster

    both = start(lambda: Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False}))
    start(lambda: both.add_node(**each))
    yield both
    both.shutdown()


@pytest.fixture(scope="module")
def machines():
    """Two machines of one core each."""
    yield from two_machines(num_cpus=1)


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


def opened(folder, count, **how):
    """Return nodes that open a base, and the file in which they say how."""
    return [Opened(Base("nano"), str(folder / "log"), i, **how) for i in range(count)]


def openings(folder):
    """Return each process that opened the base, with how often it read it and how often it still had it."""
    lines = [line.split() for line in (folder / "log").read_text().splitlines()]
    found = {process: Counter(how for other, how, _ in lines if other == process) for process, _, _ in lines}
    return found, {gpu for _, _, gpu in lines}


def test_a_worker_keeps_the_base_that_it_opened_last(cluster, tmp_path):
    run(opened(tmp_path, 12), store=tmp_path / "store", on=pool(cluster), quiet=True)
    found, gpus = openings(tmp_path)
    assert [counts["read"] for counts in found.values()] == [1] * len(found)
    assert len(found) <= 2, "a process for each machine"
    assert gpus == {os.environ.get("CUDA_VISIBLE_DEVICES", "None")}


def test_what_workers_write_and_warn_of_comes_back(cluster, tmp_path):
    with pytest.warns(FutureWarning, match="soon gone"), pytest.raises(RunFailed) as caught:
        run([Warned("soon gone"), Broken("told")], store=tmp_path, on=pool(cluster), quiet=True)
    assert "The last lines that its worker wrote:\nhere ~/x" in caught.value.failures[0].trace


def test_an_audit_on_a_cluster_is_that_of_one_process(cluster, tmp_path, store):
    """Its exit code, its words and all its bytes; the rows lie where only the command is."""
    file = written(store, tmp_path)
    words = [OWLISH, "audit", file.name, "--base", "nano", *WORDS.split(), "--json", "--seed", "0", "--store"]
    settings = {**os.environ, "RAY_ADDRESS": cluster}
    here, there = (
        subprocess.run([*words, *more], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
        for more in (["here", "--jobs", "1"], [str(tmp_path / "there"), "--on", "ray"])
    )
    assert here.returncode == there.returncode, there.stderr
    told = [json.loads(one.stdout) for one in (here, there)]
    for one in told:
        del one["seconds"], one["meta"]["made"]  # when, and by which command
    assert told[0] == told[1]
    assert files(Store(tmp_path / "there")) == files(Store(tmp_path / "here"))


def test_another_door_of_a_cluster_is_refused_and_spoils_nothing(cluster, tmp_path):
    """Its own port behind ray://, which speaks gRPC as the client's does."""
    begun = time.monotonic()
    with pytest.raises(UserError, match="no Ray cluster"):
        run(Drawn(1), store=tmp_path / "store", on=pool(f"ray://{cluster}"), quiet=True)
    assert time.monotonic() - begun < 60
    run(Drawn(1), store=tmp_path / "store", on=pool(cluster), quiet=True)


@pytest.fixture(scope="module")
def gpus():
    """Two machines with a core and a GPU each, as Ray is told: there is none, and models run on the CPU."""
    yield from two_machines(num_cpus=1, num_gpus=1)


def test_a_process_keeps_its_gpu_and_the_base_and_no_other_node_sees_it(gpus, tmp_path):
    mixed = [*opened(tmp_path, 12, needs_gpu=True), Placed("a"), Placed("b")]
    found = run(mixed, store=tmp_path / "store", on=pool(gpus.address), quiet=True)
    assert ['"CUDA_VISIBLE_DEVICES": ""' in text for text in found[12:]] == [True, True]
    assert ['"OMP_NUM_THREADS": "1"' in text for text in found[12:]] == [True, True]
    counts, seen = openings(tmp_path)
    assert [one["read"] for one in counts.values()] == [1, 1]
    assert sum(one["kept"] for one in counts.values()) == 10
    assert seen == {"0"}


def test_a_killed_process_with_a_gpu_costs_its_node_and_no_more(gpus, tmp_path):
    nodes = [*opened(tmp_path, 3, needs_gpu=True), *opened(tmp_path, 1, needs_gpu=True, mark=str(tmp_path / "once"))]
    run(nodes, store=tmp_path / "store", on=pool(gpus.address), quiet=True)
    assert sum(counts.total() for counts in openings(tmp_path)[0].values()) == 5


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
        start(lambda: machines.add_node(num_cpus=1))
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
