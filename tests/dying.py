"""Commands of owlish, each in a process group of its own, that die at a chosen moment or find a disk full.

What a command does to its files comes one after the other: it opens them to write, and renames and removes them. A
moment is the number of such an event, before which the whole group is killed as by `kill -9`. Every command is a
copy of one process that has read torch and a base: starting costs next to nothing.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

from owlish import nano
from owlish.audit.leaned import Leaned
from owlish.cli import detectors
from owlish.cli.main import guarded_command
from owlish.graph import run
from owlish.graph.pool import Here
from owlish.lm.model import Weights

CHANGES = os.O_WRONLY | os.O_RDWR
NAMESPACES = 0x10000000 | 0x00020000
"""Of users and of mounts: in its own, anybody may mount."""


def listen(folder, moment):
    """Count what is done to files in a folder, and die before the event of this number; return what tells the count."""
    count = 0

    def hear(event, args):
        nonlocal count
        written = event == "open" and args[2] & CHANGES
        if written or event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            path = args[0]
            if isinstance(path, str | os.PathLike) and Path(path).absolute().is_relative_to(folder):
                count += 1
                if count == moment:
                    os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hear)
    return lambda: count


def cramp(place, size):
    """Mount a disk of so many bytes on a folder, which this process alone sees; say whether the system lets it."""
    system, user, group = ctypes.CDLL(None), os.getuid(), os.getgid()
    if system.unshare(NAMESPACES):
        return False
    for name, text in {"setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"}.items():
        Path(f"/proc/self/{name}").write_text(text)
    place.mkdir(exist_ok=True)
    return not system.mount(b"none", os.fsencode(place), b"tmpfs", 0, f"size={size}".encode())


def die(folder, words, *, moment=None, largest=None, disk=None):
    """Run a command here, until the moment; leave what it said, and tell how it ended.

    No file may be larger than `largest` bytes; `disk` names a folder and the bytes of the disk that is mounted there.
    """
    os.setsid()
    os.chdir(folder)
    out, err = (open(folder.parent / f"{folder.name}.{name}", "w") for name in ("out", "err"))  # noqa: SIM115
    told = {"mounted": cramp(folder / disk[0], disk[1])} if disk else {}
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    terminal, sys.stdout, sys.stderr, sys.argv = sys.stdout, out, err, ["owlish", *words]
    run.Processes = lambda jobs: Here()
    # Foretold by the speed of this machine, minutes would choose other detectors after some results.
    detectors.time_of = lambda targets, *rest: 1.0 if isinstance(targets[0], Leaned) else 1e6
    counted = listen(folder, moment)
    told |= {"code": guarded_command(), "events": counted()}
    out.flush()
    err.flush()
    if disk:
        files = [path for path in (folder / disk[0]).rglob("*") if path.is_file()]
        told["files"] = [str(path.relative_to(folder / disk[0])) for path in files]
    print(json.dumps(told), file=terminal, flush=True)
    os._exit(0)


def warm_up():
    """Read once what all copies need: libraries, and a base, which stays in memory."""
    import matplotlib.figure  # noqa: F401
    import scipy.stats  # noqa: F401

    Weights(str(nano.folder("nano"))).open(any_words=True)


def main():
    """Take lines of JSON with what `die` takes; answer each with a line: how it ended, or null where it was killed."""
    warm = False
    for line in sys.stdin:
        asked = json.loads(line)
        if not warm and asked["words"][0] in ("audit", "diff"):
            warm_up()
            warm = True
        if not (child := os.fork()):
            die(Path(asked.pop("folder")), asked.pop("words"), **asked)
        _, status = os.waitpid(child, 0)
        if status:
            assert os.WTERMSIG(status) == signal.SIGKILL, status
            print("null", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
