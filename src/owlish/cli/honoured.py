"""What results ask of served models, beside what their servers were seen to honour."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from owlish.cli.options import STORE
from owlish.engines.served import Served
from owlish.graph.counted import counted, join
from owlish.graph.errors import UserError
from owlish.graph.spec import Node
from owlish.graph.store import Store
from owlish.lm.model import Gives
from owlish.nodes.base import Base
from owlish.nodes.engine import Engine
from owlish.nodes.opens import Openable, Opener


def check_honoured(nodes: Sequence[Node], store: Store) -> None:
    """Refuse a node that asks a server for what it ignores, as far as it was tried."""
    for node, trial in asking(nodes):
        if store.holds(trial.key):
            served: Served = store.read(trial)
            try:
                served.check(*node.draws)
            except UserError as error:
                raise UserError(f"{node}: {error}") from None


def server_remarks(nodes: Sequence[Node], store: Store) -> tuple[str, ...]:
    """Return what a reader of a plan must know of the servers that nodes ask, a sentence for each."""
    needed: dict[Node, set[str]] = {}
    for node, trial in asking(nodes):
        temperature, pattern = node.draws
        needed.setdefault(trial, set()).update(
            ["temperature", "seeds"] if temperature else [], ["formats"] * bool(pattern)
        )
    found = [remark(trial, sorted(asked), store) for trial, asked in needed.items()]
    return (*filter(None, found), *score_remarks(nodes, store))


def score_remarks(nodes: Sequence[Node], store: Store) -> tuple[str, ...]:
    """Return a sentence for each server that scores rows."""
    rows: dict[Node, list[int]] = {}
    for node, scorer in asking(nodes, "logprobs"):
        rows.setdefault(scorer, []).append(node.most_rows)
    return tuple(
        f"{scorer}: asked for the log-probabilities of {upto(many)}, one request each"
        f"{'' if store.holds(scorer.key) else ', after some were compared with those here'}. Their time is not counted."
        for scorer, many in rows.items()
    )


def upto(many: Sequence[int]) -> str:
    """Return how many rows are at most as many as these together, of which 0 is not known."""
    return f"at most {counted(sum(many), 'row')}" if all(many) else "rows"


def remark(trial: Node, asked: Sequence[str], store: Store) -> str:
    """Return what must be known of one server, if anything."""
    if not asked:
        return ""
    if not store.holds(trial.key):
        place = "" if str(store) == STORE else f" --store {shlex.quote(str(store))}"
        tries = f"owlish doctor --base {trial}{place} tries it" if isinstance(trial, Base) else "its first use tries it"
        return f"{trial} is asked for {join(asked)}, and what it honours is not known yet: {tries}."
    if "seeds" in asked and not store.read(trial).honours.seeds:
        return f"{trial} ignores seeds: this store keeps what it writes, and another store would get other rows."
    return ""


def asking(nodes: Sequence[Node], gives: Gives = "text") -> Iterator[tuple[Opener, Node]]:
    """Yield the nodes that ask served models, each with the node whose entry holds what the server honours.

    Models that a server scores for give log-probabilities.
    """
    for node in nodes:
        if isinstance(node, Opener):
            models = (one for one in node.inputs() if isinstance(one, Openable))
            yield from ((node, tried(model)) for model in models if model.gives == gives)


def tried(model: Node) -> Node:
    """Return the base, or the model of this process, at the bottom of a served model."""
    below = model.load_inputs()
    return tried(below[0]) if below and not isinstance(model, Engine) else model
