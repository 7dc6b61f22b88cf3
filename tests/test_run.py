"""Runs: each node once, all failures at the end, and no death of a process loses or changes a result."""

import errno
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import ClassVar

import pytest
from servers import free_port
from test_store import files
from toys import Broken, Bulk, Continued, Drawn, Joined, Noting, Placed, Refused, Secretive, Toy, Warned, tower

from owlish.graph.errors import UserError
from owlish.graph.files import FULL
from owlish.graph.pool import Event, Here, Processes, group_limits, usable_memory
from owlish.graph.provenance import describe, format_place, format_places
from owlish.graph.ray import Ray
from owlish.graph.run import RunFailed, make, plan, run
from owlish.graph.spec import Node, everything
from owlish.graph.store import Store, Undeclared
from owlish.graph.worker import attempt, digest_code

GROW = str(Path(__file__).with_name("grow.py"))


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "nowhere:port"])
def test_a_cluster_that_is_gone_is_refused_at_once_and_leaves_no_store(address, tmp_path, monkeypatch):
    """Without Ray: nothing of it is asked before the address answers."""
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setenv("RAY_ADDRESS", named := address.format(free_port()))
    with pytest.raises(
        UserError, match=rf"no Ray cluster answers at {named} \(.*\): start one, or correct --on or RAY"
    ):
        run(Drawn(1), store=tmp_path / "store", on=Ray(), quiet=True)
    assert not (tmp_path / "store").exists()


class Rude(BaseHTTPRequestHandler):
    """A server of HTTP/1, as Ray's dashboard is, which says nothing of what it refuses."""

    def log_message(self, *words):
        pass


@pytest.mark.parametrize("silent", [True, False])
def test_a_port_that_is_no_cluster_is_refused(silent, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setattr("owlish.graph.ray_address.LISTENS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) if silent else HTTPServer(("127.0.0.1", 0), Rude) as server:
        if not silent:
            Thread(target=server.handle_request, daemon=True).start()
        port = (server.getsockname() if silent else server.server_address)[1]
        with pytest.raises(
            UserError, match=rf"no Ray cluster answers at ray://127.0.0.1:{port} \(what listens there do"
        ):
            run(Drawn(1), store=tmp_path / "store", on=Ray(f"ray://127.0.0.1:{port}"), quiet=True)
    assert not (tmp_path / "store").exists()


def test_an_edited_comment_is_no_other_code_and_an_edited_line_is(tmp_path):
    source = "def f(x):\n    return x + 1\n"
    same = ("# Why.\ndef f(x):\n\n    # Because.\n    return x + 1  # one more\n", source + "# end\n")
    other = (source.replace("1", "2"), source.replace("    ", "        "), "", source + "g = '#'\n")

    def digest(text):
        (tmp_path / "a.py").write_text(text)
        return digest_code(tmp_path)

    assert {digest(text) for text in same} == {digest(source)}
    assert len({digest(text) for text in (source, *other)}) == 1 + len(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The files of an uninterrupted run."""
    store = Store(tmp_path_factory.mktemp("whole"))
    run(tower(), store=store, jobs=2)
    return files(store)


def test_a_second_run_computes_nothing(tmp_path):
    store, events = Store(tmp_path), []
    first = run(tower(), store=store, jobs=2)
    assert run(tower(), store=store, jobs=2, watch=events.append) == first
    assert not events


def test_one_process_and_many_give_the_same_bytes(tmp_path, whole):
    run(tower(), store=tmp_path, jobs=1)
    assert files(Store(tmp_path)) == whole


def test_events_tell_the_whole_story(tmp_path):
    events = []
    run(Joined((Drawn(1, wait=0.15),)), store=tmp_path, jobs=1, watch=events.append)
    told = [event.what for event in events]
    assert told[:3] == ["planned", "planned", "begun"]
    assert "tick" in told
    assert told.count("made") == 2


def test_other_branches_go_on_and_all_failures_are_told(tmp_path):
    bad, fault, dead = Broken("refused"), Broken("fault"), Broken("died")
    node = Joined((Joined((bad, Drawn(1))), fault, dead, Drawn(2)))
    with pytest.raises(RunFailed) as caught:
        run(node, store=tmp_path, jobs=2)
    failures = {failure.node: failure for failure in caught.value.failures}
    assert set(failures) == {bad, fault, dead}
    assert failures[bad].what == "refused"
    assert failures[bad].sentence == "this cannot be: ask for another."
    assert failures[fault].what == "failed"
    assert "a fault" in failures[fault].trace
    assert failures[dead].sentence == "its worker process ended with exit code 9 (it gave no reason)"
    store = Store(tmp_path)
    assert set(store.entries()) == {Drawn(1).key, Drawn(2).key}


def test_a_run_in_this_process_ends_like_one_in_processes(tmp_path):
    node = Joined((Broken("refused"), Broken("fault"), Drawn(1)))
    ends = []
    for name, on in (("here", Here()), ("processes", Processes(1))):
        heard = []
        with pytest.raises(RunFailed):
            run(node, store=tmp_path / name, on=on, watch=heard.append)
        ends.append({(e.node, e.what, e.sentence) for e in heard if e.what in ("begun", "made", "refused", "failed")})
    assert ends[0] == ends[1]
    assert {what for _, what, _ in ends[0]} == {"begun", "made", "refused", "failed"}


def test_what_cannot_work_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(ValueError, match="choose yes"):
        run(Joined((Drawn(1), Refused())), store=tmp_path, jobs=1)
    assert not Store(tmp_path).entries()


def test_plan_does_not_look_below_a_held_result(tmp_path):
    store, node = Store(tmp_path), tower(3)
    assert len(plan([node], store)) == len(everything(node))
    run(node, store=store, jobs=2)
    lose(store, *everything(node)[:-1])
    assert plan([node], store) == ()
    assert run(node, store=store, jobs=1)


def test_a_node_reads_only_what_it_declares(tmp_path):
    """Else a plan would not make what it needs: a verdict whose dataset was lost could not be made again."""
    node = Joined((Drawn(1), Drawn(2)))
    with pytest.raises(RunFailed, match=r"secretive .* reads drawn \(96d3f1c17071\), which is not among its inputs"):
        run(Secretive(node, "compute"), store=tmp_path, jobs=1)
    with pytest.raises(Undeclared, match=r"secretive .* reads joined"):
        run(Secretive(node, "load"), store=tmp_path, jobs=1)


@dataclass(frozen=True)
class Longest:
    """A question about some texts, which needs one node and reads another if it is not honest."""

    needs: tuple[Joined, ...]
    reads: tuple[Toy, ...]

    def found(self, read):
        return max(len(read(node)) for node in self.reads)


def test_a_question_reads_only_what_it_needs(tmp_path):
    node = Joined((Drawn(1), Drawn(2)))
    assert run(Longest((node,), (node,)), store=tmp_path, jobs=1) == 385
    with pytest.raises(Undeclared, match=r"Longest reads drawn .*, which is not among its inputs"):
        run(Longest((node,), node.nodes), store=tmp_path, jobs=1)


def test_what_a_held_result_is_read_with_is_planned_again(tmp_path):
    store = Store(tmp_path)
    first, other = Drawn(1, wait=0.05), Drawn(2)
    kept = Continued(Continued(first, "second"), "third")
    before = run(Joined((kept, other)), store=store, jobs=2)
    lose(store, first, other)
    assert plan([kept], store) == (first,)
    assert plan([Joined((kept, other))], store) == ()
    again = Joined((kept, other, kept))
    assert plan([again], store) == (first, other, again)
    assert run(again, store=store, jobs=2) == f"{before}\n{run(kept, store=store, jobs=1)}"
    assert before.splitlines()[1:3] == ["second", "third"]


def lose(store, *nodes):
    for node in nodes:
        shutil.rmtree(store.folder(node.key))


def test_a_class_of_the_main_file_is_refused_in_a_sentence(tmp_path):
    program = """
from dataclasses import dataclass
from owlish.graph.run import run
from owlish.graph.spec import Node
@dataclass(frozen=True)
class Mine(Node): pass
run(Mine(), store=".", jobs=1)
"""
    out = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "define its classes in a module" in out.stderr


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("killed", "its worker process was killed, perhaps because memory ran out"),
        ("spoke", "its worker process ended with SIGABRT (so much for that)"),
    ],
)
def test_a_worker_that_dies_is_reported_with_the_reason_it_gave(tmp_path, how, sentence):
    with pytest.raises(RunFailed) as caught:
        run(Joined((Broken(how), Drawn(1))), store=tmp_path, jobs=1)
    assert [failure.sentence for failure in caught.value.failures] == [sentence]
    assert Store(tmp_path).holds(Drawn(1).key), "another worker takes its place"


def test_what_a_worker_wrote_before_it_failed_comes_back_without_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "open-sesame")
    with pytest.raises(RunFailed) as caught:
        run(Broken("told"), store=tmp_path, jobs=1, quiet=True)
    (failure,) = caught.value.failures
    assert failure.sentence == "RuntimeError: a fault"
    told = "The last lines that its worker wrote:\nhere ~/x $MY_TOKEN http://***@host\n2 %\n"
    assert failure.trace.endswith(f"RuntimeError: a fault\n{told}")


def test_what_a_worker_warns_of_is_warned_of_here_once(tmp_path):
    with pytest.warns(FutureWarning, match="soon") as caught:
        assert run([Warned("soon gone"), Drawn(1)], store=tmp_path, jobs=1, quiet=True)[0] == "soon gone"
    assert len(caught) == 1
    assert caught[0].filename.endswith("toys.py")


BROKEN_START = """
import sys
from toys import Drawn
from owlish.graph.run import run
sys.path[:] = {path}
run(Drawn(1), store={store!r}, jobs=1, quiet=True)
"""


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("[]", "exit code 1 (ModuleNotFoundError: No module named 'owlish')"),
        ("['.', *sys.path]", "exit code 1 (RuntimeError: this installation is broken)"),
    ],
)
def test_a_worker_that_cannot_start_gives_its_reason(tmp_path, path, reason):
    (tmp_path / "pickle.py").write_text("raise RuntimeError('this installation is broken')")
    program = BROKEN_START.format(path=path, store=str(tmp_path / "store"))
    command = [sys.executable, "-P", "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}  # where the toys are
    out = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert out.stderr.splitlines()[-1] == (
        f"owlish.graph.errors.UserError: no worker process can start here: the first one ended with {reason}."
    )


def test_a_module_that_raises_in_a_worker_gives_its_reason(tmp_path, monkeypatch):
    (tmp_path / "unsteady.py").write_text(
        "import sys, toys\n"
        "if 'pytest' not in sys.modules: raise OSError('no licence')\n"
        "class Unsteady(toys.Drawn): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    unsteady = __import__("unsteady").Unsteady(1)
    with pytest.raises(RunFailed, match=r"cannot be imported in a worker process \(OSError: no licence\): fix"):
        run(unsteady, store=tmp_path / "store", jobs=1)


def placed(store, *nodes, jobs):
    """Run nodes side by side; return where each was made, and what makes of two whether they were under way at once."""
    events = []
    run(Joined(nodes), store=store, jobs=jobs, watch=events.append)
    order = [(event.what, event.node) for event in events]

    def beside(one, other):
        (a, b), (c, d) = ([order.index((what, node)) for what in ("begun", "made")] for node in (one, other))
        return a < d and c < b

    return beside, [json.loads(store.read(node)) for node in nodes]


def test_nodes_that_need_the_gpu_take_turns_on_it_and_others_never_see_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5")
    a, b, c, d = nodes = [*(Placed(name, (1, 0, True)) for name in "ab"), Placed("c"), Placed("d")]
    for jobs in (1, 3):
        beside, where = placed(Store(tmp_path / str(jobs)), *nodes, jobs=jobs)
        assert [one["CUDA_VISIBLE_DEVICES"] for one in where] == ["GPU-5", "GPU-5", "", ""]
        assert not beside(a, b)
        assert beside(a, c) == beside(a, d) == beside(c, d) == (jobs == 3)


def test_nodes_share_the_memory_and_threads_of_the_machine(tmp_path):
    much = int(0.6 * usable_memory())
    a, b, c, d = nodes = [Placed("a", (1, much)), Placed("b", (1, much)), Placed("c"), Placed("d", (9, 9 * much))]
    beside, where = placed(Store(tmp_path), *nodes, jobs=3)
    assert not beside(a, b)
    assert beside(a, c)
    assert not any(beside(d, other) for other in (a, b, c)), "what needs more than there is runs alone"
    assert [one["OMP_NUM_THREADS"] for one in where] == ["1", "1", "1", "9"]


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "5"}, [5]),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "7", "memory.max": "9"}, [7, 9]),
        ("3:cpu:/c\n2:memory:/a/b\n", {"memory/a/memory.limit_in_bytes": "7", "cpu/c/memory.max": "1"}, [7]),
        # A container of version 1 sees its own group at the top.
        ("2:hugetlb,memory:/docker/1\n0::/\n", {"memory/memory.limit_in_bytes": "8"}, [8]),
        (None, {}, []),
    ],
)
def test_limits_of_memory_are_those_of_all_groups_around_a_process(tmp_path, groups, files, limits):
    own = tmp_path / "cgroup"
    if groups is not None:
        own.write_text(groups)
    for name, text in files.items():
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text(f"{text}\n")
    assert list(group_limits(own, tmp_path / "root")) == limits


def test_another_pool_makes_the_same_bytes(tmp_path, whole):
    pool, events = Bulk(), []
    run(tower(), store=tmp_path, on=pool, watch=events.append)
    assert files(Store(tmp_path)) == whole
    assert pool.most > 2
    ends = [event.node for event in events if event.what in ("made", "found")]
    assert len(ends) == len(set(ends)) == len(everything(tower()))


def test_what_a_pool_never_takes_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"placed \(.*\) needs 1 threads and 2.0 GiB of memory: use a larger pool"):
        run(Joined((Drawn(1), Placed("a", (1, 2**31)))), store=tmp_path, on=Bulk(memory=2**30))
    assert not Store(tmp_path).entries()


@dataclass(frozen=True)
class Counted(Joined, kind="counted"):
    """Counts how often its inputs are asked for."""

    number: int = 0
    asked: ClassVar[Counter] = Counter()

    def inputs(self):
        Counted.asked["inputs"] += 1
        return super().inputs()


class Instant(Bulk):
    """Says at once that a node was made, in the order in which nodes were given to it, and counts what it is asked."""

    def __init__(self):
        super().__init__(room=1)
        self.order = []

    def takes(self, resources):
        Counted.asked["takes"] += 1
        return super().takes(resources)

    def hear(self):
        node, _ = self.tasks.pop(0)
        self.order.append(node)
        return [Event("made", node)]


def test_planning_and_scheduling_take_time_in_proportion_to_the_graph(tmp_path):
    """Ten times the nodes take ten times the steps: inputs are worked out once, and no queue is searched."""
    for width in (100, 1000):
        Counted.asked.clear()
        rows = [Counted((), number) for number in range(width)]
        for _ in range(9):
            rows = [Counted((rows[i], rows[i - 1])) for i in range(width)]
        nodes, pool = plan([Joined(tuple(rows))], Store(tmp_path)), Instant()
        assert make(nodes, store=Store(tmp_path), on=pool) == len(nodes) == 10 * width + 1
        assert Counted.asked["inputs"] <= 2 * len(nodes)
        assert Counted.asked["takes"] <= 4 * len(nodes)
        assert pool.order == list(nodes), "the first ready node of the plan comes first"


def test_a_manifest_says_where_the_result_was_made(tmp_path):
    """Each result says its own: facts of a node that was made before it by the same process are not its."""
    store, noting = Store(tmp_path), Noting("a large GPU", ("bfloat16", "float32", "bfloat16"))
    nodes = (noting, Drawn(1), Placed("four", (4,)))
    run(Joined(nodes), store=store, jobs=1)
    first, second, third = (store.manifest(node.key) for node in nodes)
    assert [first[name] for name in ("device", "dtype", "threads")] == ["a large GPU", "bfloat16, float32", 1]
    assert [second[name] for name in ("device", "dtype", "threads")] == ["cpu", "", 1]
    assert third["threads"] == 4
    assert "  on     a large GPU in bfloat16, float32, 1 thread\n" in describe(store, noting.key)
    assert "  on     cpu, 4 threads\n" in describe(store, nodes[2].key)
    assert format_places([first, second, third]) == "a large GPU in bfloat16, float32, 1 thread"
    del first["device"], first["dtype"]  # as in results of older versions
    assert format_place(first) == "a device not noted, 1 thread"
    assert format_places([second, third, second]) == "cpu, 1 thread (results: 2); cpu, 4 threads (results: 1)"


def start(store):
    return subprocess.Popen([sys.executable, GROW, str(store)], start_new_session=True, stderr=subprocess.DEVNULL)


def kill_and_rerun(store, times, seed):
    """Kill a run's processes at random moments, then let one end."""
    rng = random.Random(seed)
    for _ in range(times):
        process = start(store)
        time.sleep(rng.uniform(0.1, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start(store).wait(60) == 0


def test_kill_at_random_moments_loses_and_changes_nothing(tmp_path, whole):
    kill_and_rerun(tmp_path, times=5, seed=1)
    assert files(Store(tmp_path)) == whole


@pytest.mark.slow
def test_fifty_kills(tmp_path, whole):
    for round_ in range(10):
        kill_and_rerun(tmp_path / str(round_), times=5, seed=100 + round_)
        assert files(Store(tmp_path / str(round_))) == whole


def test_killing_the_parent_alone_leaves_a_store_that_works(tmp_path, whole):
    process = start(tmp_path)
    time.sleep(0.6)
    process.kill()
    process.wait()
    assert start(tmp_path).wait(60) == 0
    assert files(Store(tmp_path)) == whole


def test_interrupt_leaves_a_store_that_the_next_run_uses(tmp_path, whole):
    process = start(tmp_path)
    time.sleep(0.6)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(20)
    assert start(tmp_path).wait(60) == 0
    assert files(Store(tmp_path)) == whole


def test_two_runs_on_one_store_at_once(tmp_path, whole):
    both = [start(tmp_path), start(tmp_path)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert files(Store(tmp_path)) == whole


@dataclass(frozen=True)
class Full(Node, kind="full"):
    """A node whose disk is full, as a file or as a writer of tensors tells it."""

    words: str | None

    def compute(self, folder, read, tick):
        raise OSError(errno.ENOSPC, "No space left on device") if self.words is None else RuntimeError(self.words)


@pytest.mark.parametrize("words", [None, "I/O error: No space left on device (os error 28)"])
def test_a_full_disk_is_no_fault_of_ours(tmp_path, words):
    what, sentence, _ = attempt(Full(words), Store(tmp_path), lambda done, total: None)
    assert (what, sentence) == ("refused", FULL)
    assert Store(tmp_path).entries() == ()
    assert attempt(Full("another"), Store(tmp_path), lambda done, total: None)[0] == "failed"
