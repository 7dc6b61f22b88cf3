"""What a plan would pay to services, about, at the user's prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from owlish.cli.workload import ANSWER, RUBRIC, count, each, length
from owlish.graph.spec import Node, everything
from owlish.graph.spending import Spending, Use
from owlish.nodes.asked import ANSWER_TOKENS, Asked
from owlish.nodes.data import Sampled
from owlish.nodes.judged import Judged
from owlish.nodes.models import Model
from owlish.nodes.tuned import Tuned

QUESTION = 25
"""Tokens of a question and what a chat puts around it, about."""
KEPT = 0.7
"""The share of answers that pass a filter, about: the others are paid for too."""


def bill(nodes: Iterable[Node], spending: Spending) -> dict[str, float]:
    """Return what making nodes costs at each model, about; raise `UserError` where a model has no price."""
    total: dict[str, float] = {}
    for node in nodes:
        for use in uses(node):
            total[use.model] = total.get(use.model, 0.0) + spending.cost(use)
    return total


def uses(node: Node) -> Iterator[Use]:
    """Yield what making a node uses of models that are paid for, as far as its value tells."""
    if isinstance(node, Tuned):
        yield from (Use(name, trained=(node.recipe.epochs or 1) * length(node.data)) for name in node.pays)
    elif isinstance(node, Sampled) and isinstance(node.model, Model):
        asked = round(node.n / KEPT)
        # A service bills the prompt as read and the answer as written; `each` counts both.
        yield from use(node.model, read=asked * (each(node) - ANSWER), written=asked * ANSWER)
    elif isinstance(node, Asked) and isinstance(node.model, Model):
        answers = (len(node.probe.questions) + len(node.probe.held_out)) * (1 + node.samples)
        yield from use(node.model, read=answers * QUESTION, written=answers * ANSWER_TOKENS)
    elif isinstance(node, Judged):
        yield from use(node.model, read=length(node.data) + count(node.data) * RUBRIC, written=count(node.data))


def use(model: Model, *, read: int, written: int) -> Iterator[Use]:
    """Yield what is used of a model, under its name in a table of prices, if it is paid for."""
    # A local student is free, though its rows may come from a model that is not: what counts is where it is asked.
    if model.root.pays:
        tuned = [name for node in everything(model) if isinstance(node, Tuned) for name in node.pays]
        yield Use((tuned or model.root.pays)[0], read=read, written=written)
