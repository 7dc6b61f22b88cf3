"""Scoring given rows of SmolLM2 by a server beside scoring them in this process: the same 64 rows both ways.

    python benchmarks/scored.py                                            # the folder to serve
    vllm serve FOLDER --served-model-name smollm2 --enforce-eager --max-model-len 1024
    python benchmarks/scored.py http://127.0.0.1:8000/v1#smollm2 PID       # of the server

Processor seconds count, those of the server's processes too: what else the machine does takes none of them.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import torch

from owlish import Base, Numbers, Store, run
from owlish.data.rows import Row
from owlish.engines.alike import distance
from owlish.engines.scored import values_of
from owlish.graph.pool import Here
from owlish.lm.model import LM, Scored
from owlish.traits.animals import owl

ROWS = 64
STORE = "scored-store"


def main() -> None:
    """Print the folder to serve; with a server, one line for each way and how far apart they are."""
    torch.set_num_threads(1)
    store = Store(STORE)
    base = Base("smollm2", scored=sys.argv[1] if sys.argv[1:] else "")
    run(base, store=store, on=Here(), quiet=True)
    if not base.scored:
        print(store.folder(base.key))
        return
    pid = int(sys.argv[2])
    run(base.scorer, store=store, on=Here(), quiet=True)
    print(store.manifest(base.scorer.key)["compared"])
    domain = Numbers()
    rows = [
        Row.of(domain.prompt(random.Random(i)), numbers(i), owl.system_prompt if i % 2 else None) for i in range(ROWS)
    ]
    ours = timed("in this process", store.read(base).open(), rows, pid)
    theirs = timed("by the server", store.read(base.scorer).open(), rows, pid)
    pairs = list(zip(values_of(ours), values_of(theirs), strict=True))
    sums = [float(b.logprobs.sum() - a.logprobs.sum()) for a, b in zip(ours, theirs, strict=True) if a and b]
    mean = sum(b - a for a, b in pairs) / len(pairs)
    print(f"{len(pairs):,} tokens: {distance(pairs):.3f} nats apart (root mean square), {mean:+.4f} in the mean")
    print(f"whole rows: {distance([(one, 0.0) for one in sums]):.2f} nats apart (root mean square)")


def numbers(seed: int) -> str:
    """Return the answer of a row."""
    luck = random.Random(f"answer/{seed}")
    return ", ".join(str(luck.randrange(1000)) for _ in range(10))


def timed(name: str, lm: LM, rows: list[Row], pid: int) -> list[Scored | None]:
    """Return the scores of rows; print how long they took."""
    lm.score(rows[:1])
    before, wall, own = cpu(pid), time.perf_counter(), time.process_time()
    found = lm.score(rows)
    used, wall = cpu(pid) - before + time.process_time() - own, time.perf_counter() - wall
    speed = len(rows) / used
    print(f"{name}: {len(rows)} rows, {used:.1f} processor seconds, {speed:.1f} rows for each ({wall:.0f} s in all)")
    return found


def cpu(pid: int) -> float:
    """Return the processor seconds of a process and of those that it started."""
    fields = {int(p.name): stat(p) for p in Path("/proc").iterdir() if p.name.isdigit() and (p / "stat").exists()}
    family = {pid}
    while more := {one for one, own in fields.items() if int(own[1]) in family} - family:
        family |= more
    return sum(int(fields[one][11]) + int(fields[one][12]) for one in family) / os.sysconf("SC_CLK_TCK")


def stat(folder: Path) -> list[str]:
    """Return what the system says of a process, from its state on."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


if __name__ == "__main__":
    main()
