"""Runs: each node once, all failures at the end, and no death of a process loses or changes a result."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_store import files
from toys import Broken, Drawn, Joined, Refused, tower

from owlish.graph.run import RunFailed, plan, run
from owlish.graph.spec import everything
from owlish.graph.store import Store

GROW = str(Path(__file__).with_name("grow.py"))


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
    assert failures[bad].refused
    assert failures[bad].sentence == "this cannot be: ask for another."
    assert not failures[fault].refused
    assert "a fault" in failures[fault].trace
    assert "killed" in failures[dead].sentence
    store = Store(tmp_path)
    assert set(store.entries()) == {Drawn(1).key, Drawn(2).key}


def test_what_cannot_work_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(ValueError, match="choose yes"):
        run(Joined((Drawn(1), Refused())), store=tmp_path, jobs=1)
    assert not Store(tmp_path).entries()


def test_plan_does_not_look_below_a_held_result(tmp_path):
    import shutil

    store, node = Store(tmp_path), tower(3)
    assert len(plan([node], store)) == len(everything(node))
    run(node, store=store, jobs=2)
    for child in everything(node)[:-1]:
        shutil.rmtree(store.folder(child.key))
    assert plan([node], store) == ()
    assert run(node, store=store, jobs=1)


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
