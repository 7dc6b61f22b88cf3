"""How much memory a process takes at its peak, foretold from the shape of the base and the length of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from owlish.audit.reference import Answered
from owlish.audit.shadow import Shadow
from owlish.cli.cost import LESSON, ROW, count, length
from owlish.cli.forecast import WRAP, length_of
from owlish.graph.pool import usable_memory, visible_gpus
from owlish.graph.spec import Node
from owlish.lm.shape import FLOAT, HELD, MEMORY, ROWS, Shape, shape_of
from owlish.nodes.asked import ANSWER_TOKENS, Asked
from owlish.nodes.base import GPU_FROM, Base
from owlish.nodes.data import Data, Sampled
from owlish.nodes.loaded import Loaded
from owlish.nodes.models import TEACHER_BATCH, Finetuned, Model, Taught
from owlish.nodes.opens import Opener

PROCESS = 430 << 20
"""Bytes of Python with torch and transformers."""
SCORED = 128
"""The most rows that are scored at once."""


def peak(nodes: Sequence[Node], row: int | None = None) -> int | None:
    """Return the most bytes that a process takes which makes one of these nodes, on a CPU.

    `row` is the length in tokens of a row of the user's. `None` where no base is large, or the shape of one that is
    cannot be told from files on this disk; and where there is a GPU, whose memory is what counts then.
    """
    if visible_gpus():
        return None
    opened = [
        (n, {child.root for child in n.children if isinstance(child, Model) and child.gives == "weights"})
        for n in nodes
    ]
    # Each base once: a study has thousands of nodes, and looking at a base's files takes a while.
    known = {base: told for base in set().union(*(bases for _, bases in opened)) if (told := shape_and_size(base))}
    found = [node_bytes(node, row, [known[base] for base in bases & known.keys()]) for node, bases in opened]
    return max(found, default=0) or None


def shape_and_size(base: Base) -> tuple[Shape, float] | None:
    """Return the shape of a large base and its number of parameters, where its files tell."""
    size, place = base.parameters or 0.0, base.place() if base.here else None
    shape = shape_of(place) if place and size >= GPU_FROM else None
    return (shape, size) if shape else None


def node_bytes(node: Node, row: int | None, bases: Sequence[tuple[Shape, float]]) -> int:
    """Return what a node takes at its peak that opens some bases, one at a time; 0 where none is known."""
    if not bases or not isinstance(node, Opener):
        return 0
    shape, size = max(bases, key=lambda known: known[1])
    # The base as it is on the disk, and the copy that is worked on.
    weights = 2 * FLOAT * round(size)
    return PROCESS + weights + work(node, shape, row, usable_memory() - weights)


def work(node: Node, shape: Shape, row: int | None, room: int) -> int:
    """Return what a node takes beside its models."""
    if isinstance(node, Finetuned):
        return stepping(shape, node.recipe.batch, row_length(node.data, row), room)
    if isinstance(node, Shadow):
        return stepping(shape, node.recipe.batch, row or ROW, room)
    if isinstance(node, Taught):
        return stepping(shape, TEACHER_BATCH, WRAP + LESSON, room)
    if isinstance(node, Asked):
        questions = len(node.probe.questions) + len(node.probe.held_out)
        return texting(shape, questions * node.samples, WRAP + LESSON + ANSWER_TOKENS, read=questions)
    if isinstance(node, Sampled | Answered):
        return texting(shape, node.n, row_length(node, row), read=node.n)
    return shape.reading(SCORED * (row or ROW)) + shape.texts(SCORED, row or ROW)


def stepping(shape: Shape, batch: int, row: int, room: int) -> int:
    """Return what a training step takes: of a row some half is trained."""
    one, whole = (shape.step(count * row, count * row // 2) for count in (1, batch))
    if one > room:
        return shape.step(row, row // 2, recomputes=True)
    return max(one, min(whole, HELD))


def texting(shape: Shape, rows: int, tokens: int, *, read: int) -> int:
    """Return what a batch of texts takes that are gone on from, of whose prompts so many differ."""
    together = max(1, min(ROWS, rows, MEMORY // shape.texts(1, tokens)))
    # Half of a text was read, and the rest written token by token.
    return shape.texts(together, tokens) + shape.reading(min(together, read) * tokens // 2)


def row_length(data: Data, row: int | None) -> int:
    """Return the tokens of a row of a row set, about."""
    if isinstance(data, Loaded):
        return length_of(data)
    known = length(data) / count(data) if count(data) else 0
    return row or (WRAP + round(known) if known else ROW)
