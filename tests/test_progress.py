"""What a run shows of itself: in a terminal, a notebook and a log, or nothing; and what it gives back."""

import os
import pty
import random
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from test_run import Longest
from toys import Broken, Drawn, Joined, tower

from owlish import NORMS, Base
from owlish.audit import audit
from owlish.graph import progress
from owlish.graph.errors import UserError
from owlish.graph.pool import Event
from owlish.graph.run import RunFailed, run
from owlish.graph.spec import everything
from owlish.graph.store import Store
from owlish.nodes.data import Written
from owlish.traits.animals import ANIMAL
from owlish.traits.trait import every

TYPED = Path(__file__).with_name("typed.py")


def test_several_are_made_in_one_pool_and_given_back_in_a_list(tmp_path):
    a, b = Drawn(1), Joined((Drawn(1), Drawn(2)))
    assert run([a, b, a], store=tmp_path, jobs=1) == [run(one, store=tmp_path) for one in (a, b, a)]
    assert run((Longest((b,), (b,)), a), store=tmp_path) == [385, run(a, store=tmp_path)]
    assert run([], store=tmp_path) == []


@pytest.mark.parametrize("what", ["owl", Drawn, [Drawn(1), "owl"], None])
def test_what_cannot_be_run_is_refused_in_a_sentence(what, tmp_path):
    with pytest.raises(UserError, match=r"a (str|type|NoneType) cannot be run: give a node, a study, or a list"):
        run(what, store=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_log_has_a_line_now_and_then_and_a_quiet_run_none(tmp_path, capfd, monkeypatch):
    run(tower(2), store=tmp_path / "fast", jobs=1)
    assert capfd.readouterr().err == "", "what takes seconds needs no log"
    monkeypatch.setattr(progress, "LOG_EVERY", 0.0)
    run(tower(2), store=tmp_path / "quiet", jobs=1, quiet=True)
    assert capfd.readouterr().err == ""
    run(tower(2), store=tmp_path / "told", jobs=1)
    *_, last = capfd.readouterr().err.splitlines()
    assert last.startswith("5 of 5 results, 0:0")
    run(tower(2), store=tmp_path / "told", jobs=1)
    assert capfd.readouterr().err == "", "nothing was left to make"


def test_a_terminal_has_bars_with_the_time_left(tmp_path):
    program = (
        f"from toys import tower; from owlish import run; run(tower(3, wait=0.1), store={str(tmp_path)!r}, jobs=1)"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], stdin=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    pieces = []
    with suppress(OSError), os.fdopen(ours, "rb", buffering=0) as terminal:  # it fails once the program has ended
        while piece := terminal.read(4096):
            pieces.append(piece)
    assert process.wait(20) == 0
    shown = b"".join(pieces).decode()
    assert "/7" in shown
    assert "gone, about 0:0" in shown
    assert "drawn" in shown, "what is under way has a bar of its own"


def test_time_left_counts_with_what_is_made_side_by_side(monkeypatch):
    """Four nodes of 10 s, two at a time: after the first two, 10 s are left."""
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    display, nodes = progress.Display(), [Drawn(seed) for seed in range(4)]
    for node in nodes:
        display(Event("planned", node))
    assert display.remaining(now) == "time left not known yet"
    for node in nodes[:2]:
        display(Event("begun", node))
    now = 10.0
    for node in nodes[:2]:
        display(Event("made", node))
    assert display.remaining(now) == "about 0:10 left"


def test_a_failure_leaves_what_was_finished(tmp_path):
    with pytest.raises(RunFailed):
        run([Drawn(1), Broken("refused")], store=tmp_path, jobs=1)
    assert Store(tmp_path).entries() == (Drawn(1).key,)


@pytest.mark.slow
def test_a_type_checker_knows_what_comes_back():
    said = subprocess.run(
        [sys.executable, "-m", "mypy", TYPED], cwd=TYPED.parents[1], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout


def test_a_result_that_is_made_alone_tells_how_far_it_is(monkeypatch):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    display, node = progress.Display(), Drawn(1)
    for what in ("planned", "begun"):
        display(Event(what, node))
    assert display.remaining(now) == "time left not known yet"
    now = 20.0
    display(Event("tick", node, 1, 4))
    assert display.remaining(now) == "about 1:00 left"


def foretold(monkeypatch, nodes, seconds, start):
    """Return (gone, left, foretold) in seconds at the end of each node, two made side by side, the first ones late."""
    now, free, said = 0.0, [(0.0, start), (0.0, start)], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    display = progress.Display()
    events = []
    for node in nodes:
        display(Event("planned", node))
        begun, late = free.pop(free.index(min(free)))
        events += [(begun, 0, "begun", node), (begun + late + seconds[node.kind], 1, "made", node)]
        free.append((events[-1][0], 0.0))
    events.sort(key=lambda event: event[:2])
    for now, _, what, node in events:
        display(Event(what, node))
        if found := re.fullmatch(r"about (\d+):(\d+) left", display.remaining(now)):
            said.append((now, events[-1][0] - now, 60 * int(found[1]) + int(found[2])))
    return said


@pytest.mark.parametrize("slower", [1.0, 4.0], ids=["quiet", "busy"])
def test_the_time_left_of_an_audit_converges(monkeypatch, slower):
    """Kinds of nodes differ a hundredfold, and the first two hold the start of their processes."""
    draw = random.Random(0)
    data = Written((("Go on.", "1, 2"),))
    nodes = everything(audit(data, Base("nano"), NORMS, every(ANIMAL)))
    seconds = {
        kind: slower * usual * draw.uniform(0.5, 1.5) for kind, usual in {n.kind: n.usual for n in nodes}.items()
    }
    said = foretold(monkeypatch, nodes, seconds, start=15.0 * slower)
    whole = said[0][0] + said[0][1]
    assert said[0][0] < whole / 2, "something is said in the first half"
    for gone, left, told in said:
        assert told < 2 * left + 10 * slower, f"{told} s were foretold after {gone:.0f} s, {left:.0f} s before the end"
        assert told > left / 2 - 10 * slower
