"""A Ray cluster of two nodes: the bytes of a run here, a killed worker, and what no machine can serve."""

import pytest
from test_store import files
from toys import Climbing, Drawn, Joined, Killed, Placed, tower

from owlish.graph.run import run
from owlish.graph.spec import everything
from owlish.graph.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="install owlish[ray]")
    from ray.cluster_utils import Cluster

    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    both.add_node(num_cpus=1)
    yield both.address
    both.shutdown()


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


def test_a_killed_worker_costs_its_node_and_no_more(cluster, tmp_path):
    node = Joined((Killed(str(tmp_path / "once")), Drawn(1)))
    assert run(node, store=tmp_path / "store", on=pool(cluster), quiet=True).startswith("alive")


def test_what_no_machine_can_serve_is_refused_at_once(cluster, tmp_path):
    with pytest.raises(ValueError, match=r"placed \(.*\) needs 9 threads: use a larger pool"):
        run(Joined((Drawn(1), Placed("a", (9,)))), store=tmp_path, on=pool(cluster), quiet=True)
    assert not Store(tmp_path).entries()
