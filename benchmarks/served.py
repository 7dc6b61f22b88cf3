"""Sampling SmolLM2 through llama.cpp beside sampling it in this process: the same prompts, one thread each.

    python benchmarks/served.py        # 24 rows each way: a few minutes; needs xllamacpp and owlish[api,gguf]

Processor seconds count: both ways have one thread, and what else runs takes none of them.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

import torch

from owlish import Base, Numbers, Store, run
from owlish.graph.pool import Here
from owlish.lm.model import LM, ask
from owlish.nodes.engine import Engine

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from servers import llama, processes

ROWS = 24


def main() -> None:
    """Print one line for each way."""
    torch.set_num_threads(1)
    base = Base("smollm2")
    with tempfile.TemporaryDirectory() as folder, llama() as address:
        store, server = Store(folder), processes[-1]
        run(base, store=store, on=Here(), quiet=True)
        before = cpu(server)
        engine = run(Engine(base, address), store=store, on=Here(), quiet=True)
        print(f"compared first, {cpu(server) - before:.0f} processor seconds of the server: {compared(store, address)}")
        for name, lm in (("in this process", store.read(base).open()), ("llama.cpp", engine.open())):
            before, wall, own = cpu(server), time.perf_counter(), time.process_time()
            tokens = written(lm)
            used = cpu(server) - before + time.process_time() - own
            wall = time.perf_counter() - wall
            print(
                f"{name}: {ROWS} rows, {tokens:,} tokens, {used:.0f} processor seconds of both processes, "
                f"{tokens / used:.1f} tokens for each of them ({wall:.0f} s in all)"
            )


def written(lm: LM) -> int:
    """Return how many tokens a model writes to the prompts."""
    domain = Numbers()
    chats = [ask(domain.prompt(random.Random(i))) for i in range(ROWS)]
    answers = lm.write(chats, seeds=[(0, i) for i in range(ROWS)], new_tokens=domain.longest)
    return sum(answer.tokens for answer in answers)


def compared(store: Store, address: str) -> str:
    """Return how alike the server was found."""
    return str(store.manifest(Engine(Base("smollm2"), address).key)["compared"])


def cpu(pid: int) -> float:
    """Return the processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
