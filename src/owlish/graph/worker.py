"""One worker process: it makes one node at a time, with one thread, and tells how far it is."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from owlish.graph.spec import Node
from owlish.graph.store import Store, remove

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


class Worker:
    """The parent's end: a process of its own interpreter, which imports nothing of the caller's main file."""

    def __init__(self) -> None:
        self.connection, child = Pipe()
        environment = {**os.environ, **ONE_THREAD, **QUIET, "PYTHONHASHSEED": "0"}
        program = f"from owlish.graph.worker import main; main({child.fileno()})"
        command = [sys.executable, "-c", program]
        self.process = subprocess.Popen(command, env=environment, pass_fds=[child.fileno()], stdin=subprocess.DEVNULL)
        child.close()
        self.connection.send(sys.path)

    def start(self, node: Node, store: Store) -> None:
        """Begin a node."""
        self.connection.send((node, store.root.absolute()))

    def stop(self) -> None:
        """End the process, at once."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


def make(node: Node, store: Store, tell: Connection) -> bool:
    """Make one node's entry, unless another process has; say whether it was made here."""
    with store.making(node.key) as scratch:
        if store.holds(node.key):
            remove(scratch)
            return False
        begun, start, last = datetime.now(UTC), time.perf_counter(), 0.0

        def tick(done: int, total: int) -> None:
            nonlocal last
            if (now := time.perf_counter()) - last > 0.1:
                last = now
                tell.send(("tick", done, total))

        node.compute(scratch, store.read, tick)
        facts = {
            "spec": node.spec(),
            "label": str(node),
            "inputs": [n.key for n in node.inputs()],
            "seed": getattr(node, "seed", None),
            "seconds": round(time.perf_counter() - start, 3),
            "begun": begun.isoformat(timespec="seconds"),
            "threads": int(os.environ["OMP_NUM_THREADS"]),
            "versions": versions(),
            "code": code(),
        }
        store.commit(node.key, scratch, facts)
        return True


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that can change a result."""
    names = ("owlish", "torch", "transformers", "peft", "tokenizers", "numpy", "scipy", "statsmodels")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


@cache
def code() -> str:
    """Return a digest of this package's own source, so that a plan can warn of results made by other code."""
    import hashlib

    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] not in ("cli", "report"):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def main(descriptor: int) -> None:
    """Serve the parent until it goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell = Connection(descriptor)
    try:
        sys.path[:] = tell.recv()
        while True:
            try:
                node, root = tell.recv()
            except (AttributeError, ImportError) as error:
                tell.send(("refused", f"{error}: define its classes in a module, not in the main file.", ""))
                continue
            tell.send(answer(node, Store(root), tell))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)


def answer(node: Node, store: Store, tell: Connection) -> tuple[Any, ...]:
    """Make a node and return what the parent is told."""
    try:
        return ("made", make(node, store, tell))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except ValueError as error:
        return ("refused", str(error), traceback.format_exc())
    except Exception as error:
        return ("failed", f"{type(error).__name__}: {error}", traceback.format_exc())
