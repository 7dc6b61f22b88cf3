"""How long results take here, foretold from a base's size and the length of rows, or from what was made before."""

from __future__ import annotations

import statistics
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from owlish import nano
from owlish.cli.cost import LETTERS, ROW, tokens_of
from owlish.graph.run import plan
from owlish.graph.spec import Node, everything
from owlish.graph.store import Damaged, Store
from owlish.lm.hf import LARGE
from owlish.nodes.base import Base
from owlish.nodes.judged import Judged
from owlish.nodes.loaded import Loaded
from owlish.nodes.models import Model

REACHED = 0.85
"""The part of a matrix product's speed that models reach: .7 to 1.1 on SmolLM2-135M, by what they do."""
WRITES, TRAINS = 2, 3
"""What a token that is written, or trained on, takes of one that is read: 100 and 74 a second there, and some 200."""
WRAP = 12
"""Tokens that a chat template puts around the turns of a row, about."""
ROWS = 128
"""Rows of the product that tells the machine's speed."""
LOOKED = 400
"""The rows whose length is looked at."""
START = 8.0
"""Seconds until a process has read what it works with; processes start side by side."""
SEVERAL = 3
"""The results of a kind that were made before, from which on they tell how long it takes here, and other kinds too."""


def expected_seconds(
    nodes: Sequence[Node], store: Store, row: int | None = None, given: int | None = None
) -> float | None:
    """Return the seconds of work of one process that nodes take which a store lacks, or `None` where nothing tells.

    Results of large bases, and judgements, take what their models read, write and train; `row` is the length of a row
    of the user's, of which `given` are all that there are. What a server takes is not known, nor what a base of
    unknown size does.
    """
    missing = plan(nodes, store)
    judged = [node for node in missing if isinstance(node, Judged)]
    others = [node for node in missing if not isinstance(node, Judged)]
    # The largest base, as if all work but judging were its own.
    size = max((base.parameters or 0.0 for base in unjudging(nodes)), default=0.0)
    # A store remembers other bases, and a fresh one nothing: large bases are foretold from their size.
    if unsized(nodes):
        return None
    known = forecast(others, size, row, given) if size >= LARGE else recall(others, store, row, given)
    judging = sum(forecast([node], node.model.root.parameters or 0.0, row) for node in judged)
    return None if known is None else known + judging


def unsized(nodes: Sequence[Node]) -> list[Base]:
    """Return the bases of unknown size that would work here: a time for them would be that of another base."""
    bases = [node for node in everything(*nodes) if isinstance(node, Base)]
    return [base for base in bases if base.gives == "weights" and base.parameters is None]


def unjudging(nodes: Sequence[Node]) -> list[Base]:
    """Return the bases that nodes rest on, without those that do nothing but judge rows: these may be far larger."""
    every = everything(*nodes)
    judges = {node.model.root.key for node in every if isinstance(node, Judged)}
    readers = [node for node in every if not isinstance(node, Judged)]
    read = {child.root.key for node in readers for child in node.children if isinstance(child, Model)}
    bases = [node for node in every if isinstance(node, Base)]
    return [base for base in bases if base.key in read or base.key not in judges]


def recall(missing: Sequence[Node], store: Store, row: int | None = None, given: int | None = None) -> float | None:
    """Return the seconds of work that such results take by what those took that were made before of such bases.

    Rows of more than the usual tokens take longer. `None` where too little of other bases than nano was made.
    """
    # Usual seconds are those of nano: of another base they would say nothing.
    bases = {base.name for base in unjudging(missing)}
    small = bases <= nano.SHIPPED.keys()
    before = rates_before(store, nano.SHIPPED.keys() if small else bases)
    kinds = {node.kind for node in missing}
    if not small and not (kinds <= before.keys() or any(len(rates) >= SEVERAL for rates in before.values())):
        return None
    # One result may have been made while the machine was busy: it tells of its own kind alone, and of nano of none.
    told = {kind: statistics.median(rates) for kind, rates in before.items() if len(rates) >= SEVERAL}
    stated = {kind.kind for kind in kinds_below(Node) if "usual" in vars(kind)}
    speed = statistics.median([told[kind] for kind in told.keys() & stated] or [1.0])
    few = {} if small else {kind: statistics.median(rates) for kind, rates in before.items()}
    rates = few | told
    return sum(
        node.expected(given) * stretch(node, row or ROW, given) * rates.get(node.kind, speed) for node in missing
    )


def rates_before(store: Store, bases: Collection[str]) -> dict[str, list[float]]:
    """Return for each kind how many times its usual seconds each result took that rests on no other bases."""
    kinds = {kind.kind: kind for kind in kinds_below(Node)}
    manifests: dict[str, dict[str, Any]] = {}
    for key in store.entries():
        with suppress(Damaged):
            manifests[key] = store.manifest(key)

    @cache
    def others(key: str) -> bool:
        """Say whether a result rests on another base."""
        spec = manifests[key]["spec"] if key in manifests else {}
        kind = kinds.get(spec.get("kind", ""))
        if kind and issubclass(kind, Base):
            return spec["name"] not in bases
        return any(others(below) for below in keys_in(spec))

    found: dict[str, list[float]] = {}
    for key, manifest in manifests.items():
        spec = manifest["spec"]
        kind = kinds.get(spec["kind"])
        # The most rows that it was made of, if its spec says so.
        rows = next((many for field in ("rows", "n") if isinstance(many := spec.get(field), int)), 0)
        # Without these nothing says how much work it was.
        if kind and (rows or not kind.usual_row) and not others(key):
            found.setdefault(kind.kind, []).append(manifest["seconds"] / (kind.usual + kind.usual_row * rows))
    return found


def kinds_below(kind: type[Node]) -> set[type[Node]]:
    """Return all classes that are built upon a node's."""
    return {below for one in kind.__subclasses__() for below in (one, *kinds_below(one))}


def keys_in(spec: object) -> list[str]:
    """Return the keys of the nodes that stand in a spec."""
    if isinstance(spec, list):
        return [key for one in spec for key in keys_in(one)]
    if not isinstance(spec, dict):
        return []
    return [spec["node"]] if spec.keys() == {"node"} else keys_in([*spec.values()])


def stretch(node: Node, row: int, given: int | None = None) -> float:
    """Return how many times as long a node takes with rows of so many tokens as with usual ones; no less for short."""
    usual, own = (effort_of(node, tokens, given) for tokens in (ROW, row))
    return max(1.0, own / usual) if usual else 1.0


def forecast(nodes: Sequence[Node], size: float, row: int | None = None, given: int | None = None) -> float:
    """Return the seconds of one process that nodes take on a large base of `size` parameters, about.

    That is what their models read, write and train, at the speed of a matrix product on this machine with a core to
    itself. `row` is the length in tokens of a row of the user's, and `given` how many there are, where it is known.
    """
    effort = sum(effort_of(node, row or ROW, given) for node in nodes)
    # Two operations a parameter and token, at the speed that models reach of a product on this machine.
    return effort * 2 * size / (REACHED * speed())


def effort_of(node: Node, row: int, given: int | None) -> float:
    """Return the tokens that a node's models read, with those that they write or train on counted as so many read."""
    made = tokens_of(node, row, given)
    return made.read + WRITES * made.written + TRAINS * made.trained


def length_of(data: Loaded) -> int:
    """Return the tokens of a row of a file, about: the mean of the first. Many tokenizers give each digit its own."""
    rows = data.reading().rows()
    texts = [row.text for _, row in zip(range(LOOKED), rows, strict=False)] or [""]
    # By letters alone a row of numbers would count a third of its tokens.
    digits = [sum(map(str.isdigit, text)) for text in texts]
    return WRAP + round(statistics.fmean(d + (len(t) - d) / LETTERS for d, t in zip(digits, texts, strict=True)))


@cache
def count_of(data: Loaded) -> int | None:
    """Return how many rows a file gives, at most as many as are asked for; `None` where all of them are."""
    rows = data.reading().rows()
    return None if data.n is None else sum(1 for _ in zip(range(data.n), rows, strict=False))


# Measured once a process: fifty products, and every estimate of a run at the same speed.
@cache
def speed() -> float:
    """Return the operations a second of a matrix product as in a model's wide layers, the median of fifty."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    a, b = torch.randn(ROWS, 576, device=device, dtype=kind), torch.randn(1536, 576, device=device, dtype=kind)
    return 2 * ROWS * 576 * 1536 / statistics.median(time_product(a, b) for _ in range(50))


def time_product(a: Any, b: Any) -> float:
    """Return the seconds that a product takes, on one thread as in a worker; what else the machine does is left out."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # The thread's own time: what other processes take is no speed of this machine. A GPU works outside of it.
    clock = time.perf_counter if a.is_cuda else time.thread_time
    start = clock()
    torch.nn.functional.linear(a, b).sum().item()
    torch.set_num_threads(threads)
    return clock() - start
