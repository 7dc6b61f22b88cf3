"""What a run shows of itself: in a terminal, a notebook and a log, or nothing; and what it gives back."""

import os
import pty
import random
import re
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from recorded import AUDIT, PROCESSOR, STUDY
from test_run import Longest
from toys import Broken, Drawn, Joined, tower

from owlish import NORMS, Base
from owlish.audit import audit
from owlish.audit.leaned import lean
from owlish.cli import find
from owlish.graph import progress
from owlish.graph.errors import UserError
from owlish.graph.pool import Event
from owlish.graph.run import RunFailed, run
from owlish.graph.spec import everything
from owlish.graph.store import Store
from owlish.graph.timeleft import Spent, UnderWay, seconds_left
from owlish.nodes.data import Written
from owlish.nodes.loaded import Loaded
from owlish.traits.animals import ANIMAL, cat, eagle, owl
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


def test_a_log_says_what_is_waited_for(tmp_path, capfd, monkeypatch):
    """Nothing is heard of a server that takes a request and never answers."""
    monkeypatch.setattr(progress, "LOG_EVERY", 0.1)
    monkeypatch.setattr(progress, "SILENT", 0.2)
    run(Drawn(1, parts=1, wait=1.0), store=tmp_path, jobs=1)
    said = capfd.readouterr().err
    assert "0 of 1 result, 0:0" in said
    assert re.search(r"time left not known yet, waiting for .+ \(0:0\d without progress\)", said), said


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


def foretold(monkeypatch, nodes, seconds, jobs):
    """Return (gone, left, foretold) in seconds whenever a node ends, `jobs` made side by side in the order given."""
    now, free, said = 0.0, [0.0] * jobs, []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    display, events = progress.Display(), []
    for node, took in zip(nodes, seconds, strict=True):
        display(Event("planned", node))
        begun = min(free)
        ended = free[free.index(begun)] = begun + max(took, 0.01)
        events += [(begun, 1, "begun", node), (ended, 0, "made", node)]
    events.sort(key=lambda event: event[:2])
    for now, _, what, node in events:
        display(Event(what, node))
        if found := re.fullmatch(r"about (?:(\d+) h )?(\d+)(?::(\d+)| min) left", display.remaining(now)):
            hours, first, last = (int(part or 0) for part in found.groups())
            told = 3600 * hours + 60 * first + last
            said.append((now, max(free) - now, told))
    return said


def check_converges(said, *, within, start=0.0):
    """Check that what is foretold is near what is left, and that something is foretold before the end is near."""
    whole = said[0][0] + said[0][1]
    assert said[0][0] < 0.6 * whole, "something is said before the end is near"
    for gone, left, told in said:
        assert told < within * left + 10 + start, (
            f"{told} s were foretold after {gone:.0f} s, {left:.0f} s before the end"
        )
        assert told > left / within - 10 - start, (
            f"{told} s were foretold after {gone:.0f} s, {left:.0f} s before the end"
        )


def nodes_of_audit():
    data = Written((("Go on.", "1, 2"),))
    return everything(audit(data, Base("nano"), NORMS, every(ANIMAL)))


@pytest.mark.parametrize("slower", [1.0, 4.0], ids=["quiet", "busy"])
def test_the_time_left_of_an_audit_converges(monkeypatch, slower):
    """Kinds of nodes differ a hundredfold, and the first two hold the start of their processes."""
    draw, nodes = random.Random(0), nodes_of_audit()
    strange = {kind: draw.uniform(0.5, 1.5) for kind in sorted({node.kind for node in nodes})}
    seconds = [slower * (node.usual * strange[node.kind] + 15.0 * (i < 2)) for i, node in enumerate(nodes)]
    check_converges(foretold(monkeypatch, nodes, seconds, 2), within=2, start=10 * slower - 10)


def test_the_time_left_of_recorded_runs_converges(monkeypatch):
    study = replace(
        find.study("owl"), bases=(Base("nano"),), foreign=(Base("nano-1"),), traits=(owl, cat, eagle), runs=2
    )
    traits = find.candidates(["animals", "trees", "advice"])
    audited = audit(Written((("Go on.", "1, 2"),)), Base("nano"), NORMS, traits)
    for needs, recorded, jobs, within in ((study.needs, STUDY, 2, 1.6), ((audited,), AUDIT, 1, 3.2)):
        nodes = [node for node in everything(*needs) if node.kind != "written"]
        assert Counter(node.kind for node in nodes) == {k: len(t) for k, t in recorded.items() if k != "loaded"}
        took = {kind: iter(times) for kind, times in recorded.items()}
        check_converges(foretold(monkeypatch, nodes, [next(took[n.kind]) for n in nodes], jobs), within=within)


def test_nothing_is_foretold_from_what_holds_the_start_of_a_process():
    """A base takes 0.1 s; the first one of a process took 15 s, and told of hours for all that was left."""
    waiting, first = {"base": 0.2, "shadow": 20.0}, {"base": Spent(15.0, 0.1)}
    assert seconds_left(waiting, (), seen={}, first=first, most=2) is None
    left = seconds_left(waiting, (), seen={"shadow": Spent(6.0, 3.0)}, first=first, most=2)
    assert left == pytest.approx((0.2 * 2 + 20 * 2) / 2)


def test_nothing_is_foretold_while_most_is_of_kinds_that_were_not_made():
    seen, enough = {"shadow": Spent(1.0, 1.0)}, {"shadow": Spent(3.0, 3.0)}
    assert seconds_left({"shadow": 3.0, "taught": 4.0}, (), seen=seen, first={}, most=1) is None
    assert seconds_left({"shadow": 3.0, "taught": 4.0}, (), seen=enough, first={}, most=1) == pytest.approx(7.0)
    assert seconds_left({"shadow": 5.0, "taught": 4.0}, (), seen=seen, first={}, most=1) == pytest.approx(9.0)
    half = UnderWay("taught", 4.0, gone=10.0, share=0.5)
    assert seconds_left({"shadow": 1.0}, (half,), seen=seen, first={}, most=1) == pytest.approx(11.0)
    assert seconds_left({}, (half,), seen={}, first={}, most=4) == pytest.approx(10.0), (
        "no result is faster than itself"
    )


def test_what_the_results_of_an_audit_take_is_what_they_took():
    """The busy machine of `PROCESSOR` takes some more seconds of the processor than a quiet one."""
    base, traits = Base("nano"), find.candidates(["animals", "trees", "advice"])
    data = Loaded("rows.jsonl", "0" * 64, 1600, 0)
    nodes = everything(audit(data, base, NORMS, traits), lean(data, base, NORMS, traits, rows=200))
    for kind, took in PROCESSOR.items():
        (expected, *_) = [node.expected(400) for node in nodes if node.kind == kind]
        assert 0.6 * took < expected < 1.2 * took, kind
