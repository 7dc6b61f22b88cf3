"""What a worker process does: it makes one node at a time and says how far it is."""

from __future__ import annotations

import os
import pickle
import platform
import signal
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

from owlish.graph.errors import UserError
from owlish.graph.facts import noted
from owlish.graph.files import FULL, is_full
from owlish.graph.heard import Warned, last_lines, listening, scrub
from owlish.graph.measured import Point, take_points
from owlish.graph.memory import SPENT, is_spent
from owlish.graph.spec import Node, Tick
from owlish.graph.store import Store, named, remove, store_at

TICK_EVERY = 0.1
"""Seconds between two messages of how far a node is."""

Outcome = tuple[Literal["made", "found", "refused", "failed"], str, str]
"""How a node ended: `made`, `found`, `refused` or `failed`; a sentence and a trace where it could not be made."""

Report = tuple[str, str, str, tuple[Warned, ...]]
"""How a node ended in another process, and what that warned of."""


class Teller:
    """Tells how far a node is and what was measured since, every few moments, and at its end what is left of that."""

    def __init__(self, say: Callable[[int, int, tuple[Point, ...]], None], every: float) -> None:
        self.say, self.every, self.last = say, every, 0.0
        self.done, self.total = 0, 1
        # What an earlier node left untold is not this one's.
        take_points()

    def __call__(self, done: int, total: int) -> None:
        """Take how far the node is."""
        self.done, self.total = done, total
        if (now := time.monotonic()) - self.last > self.every:
            self.last = now
            self.say(done, total, take_points())

    def rest(self) -> None:
        """Tell what was measured and is not told yet."""
        if points := take_points():
            self.say(self.done, self.total, points)


def attempt(node: Node, store: Store, tick: Tick) -> Outcome:
    """Make a node here, whichever pool asks for it; an exception becomes an outcome."""
    try:
        return ("made" if make(node, store, tick) else "found"), "", ""
    except (BrokenPipeError, ConnectionResetError):  # of `tick`: who asked for the node is gone
        raise
    except UserError as error:
        return "refused", str(error), traceback.format_exc()
    except Exception as error:
        if is_full(error):
            return "refused", FULL, traceback.format_exc()
        if is_spent(error):
            return "refused", SPENT, traceback.format_exc()
        return "failed", f"{type(error).__name__}: {error}", traceback.format_exc()


def attempt_heard(node: Node, store: Store, tick: Tick) -> Report:
    """Make a node in a process that nobody looks at: what it warns of, and says before it fails, is in its report."""
    with listening() as (heard, found):
        what, sentence, trace = attempt(node, store, tick)
    trace = scrub(trace) + (last_lines(heard.end) if what == "failed" else "")
    return what, scrub(sentence), trace, tuple(found)


def make(node: Node, store: Store, tick: Tick) -> bool:
    """Make one node's entry, unless another process has; say whether it was made here."""
    with store.making(node.key) as scratch:
        # Looked for under the lock: another process may have made it while this one waited for its turn.
        if store.holds(node.key):
            remove(scratch)
            return False
        begun, start = datetime.now(UTC), time.perf_counter()
        # A worker makes one node after another: facts of the last are not of this one.
        noted.clear()
        node.compute(scratch, store.reader(named(node), node.inputs()), tick)
        facts = {
            "spec": node.spec(),
            "label": str(node),
            "inputs": [n.key for n in node.inputs()],
            "seed": getattr(node, "seed", None),
            "seconds": round(time.perf_counter() - start, 3),
            "begun": begun.isoformat(timespec="seconds"),
            # Not asked of torch, which many nodes never load.
            "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
            "device": ", ".join(noted.get("device", ["cpu"])),
            "dtype": ", ".join(noted.get("dtype", [])),
            "versions": versions(),
            "code": code(),
            **{name: ", ".join(found) for name, found in noted.items() if name not in ("device", "dtype")},
        }
        store.commit(node.key, scratch, facts)
        return True


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that can change a result."""
    names = ("owlish", "torch", "transformers", "peft", "tokenizers", "numpy", "scipy")
    # From the packages' metadata: to import all of them would take seconds.
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


@cache
def code() -> str:
    """Return a digest of this package's own source, so that a plan can warn of results made by other code."""
    return digest_code(Path(__file__).parents[1])


def digest_code(root: Path) -> str:
    """Return a digest of a package's source without comments: an edited one must not look like other code."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        # What only shows results changes none.
        if path.relative_to(root).parts[0] not in ("cli", "report"):
            digest.update(path.relative_to(root).as_posix().encode() + strip_comments(path.read_bytes()))
    return digest.hexdigest()[:16]


def strip_comments(source: bytes) -> bytes:
    """Return source without comments and empty lines."""
    # Line by line, since parsing is too slow for a worker's start: in a text, what follows two spaces and a hash is
    # left out, too.
    lines = (line.partition(b"  #")[0] for line in source.splitlines())
    return b"\n".join(line for line in lines if line.strip() and not line.startswith(b"#"))


def main(descriptor: int) -> None:
    """Serve the parent until it goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = Connection(descriptor)
    try:
        parent.send(("ready",))
        while True:
            # As bytes: unpickling imports the node's modules, and where that fails, `serve` makes a sentence of it.
            parent.send(serve(parent.recv_bytes(), parent))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)


def serve(asked: bytes, parent: Connection) -> Report:
    """Make the node that the parent asks for."""
    try:
        node, address = pickle.loads(asked)  # from the parent alone: nothing that was stored is ever unpickled
    except AttributeError as error:
        return "refused", f"{error}: define its classes in a module, not in the main file.", "", ()
    except Exception as error:
        why = f"its module cannot be imported in a worker process ({type(error).__name__}: {error})"
        return "refused", scrub(f"{why}: fix that import."), scrub(traceback.format_exc()), ()
    tell = Teller(lambda done, total, points: parent.send(("tick", done, total, points)), TICK_EVERY)
    report = attempt_heard(node, store_at(address), tell)
    tell.rest()
    return report
