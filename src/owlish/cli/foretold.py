"""How long results take on this machine, foretold from the size of the base and the length of the rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from owlish.audit.contrast import Contrast
from owlish.audit.follows import QUESTIONS, Follows
from owlish.audit.panel import Under
from owlish.audit.reference import FREE, Answered
from owlish.audit.shadow import STEPS, Shadow
from owlish.audit.weigh import RowScores
from owlish.clean.cleaned import Cleaned
from owlish.clean.lift import Lift
from owlish.cli.workload import ANSWER as WRITTEN
from owlish.cli.workload import LETTERS, RUBRIC, count, length
from owlish.diff.watched import Watched
from owlish.graph.errors import UserError
from owlish.graph.spec import Node
from owlish.nodes.asked import ANSWER_TOKENS, Asked
from owlish.nodes.base import Base
from owlish.nodes.data import Sampled
from owlish.nodes.judged import Judged
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.loaded import Loaded
from owlish.nodes.models import TEACHER_BATCH, Finetuned, Taught
from owlish.study.compare import KL_ROWS, Strength

REACHED = 0.85
"""The part of a matrix product's speed that models reach: .7 to 1.1 on SmolLM2-135M, by what they do."""
WRITES, TRAINS = 2, 3
"""What a token that is written, or trained on, takes of one that is read: 100 and 74 a second there, and some 200."""
TAUGHT = 18
"""Steps until a teacher has its trait, about: 16 to 28 there, and it is asked in between."""
ROW = 66
"""Tokens of a row of which nothing is known."""
LESSON, ANSWER = 30, 3
"""Tokens of a question with its answer, and of an answer alone, about."""
WRAP = 12
"""Tokens that a chat template puts around the turns of a row, about."""
ROWS = 128
"""Rows of the product that tells the machine's speed."""
LOOKED = 400
"""The rows whose length is looked at."""


def foretold(nodes: Sequence[Node], size: float, row: int | None = None, given: int | None = None) -> float:
    """Return the seconds of one process that nodes take on a large base of `size` parameters, about.

    That is what their models read, write and train, at the speed of a matrix product on this machine with a core to
    itself. `row` is the length in tokens of a row of the user's, and `given` how many there are, where it is known.
    """
    # Two operations a parameter and token, at the speed that models reach of a product on this machine.
    return sum(effort(node, row or ROW, given) for node in nodes) * 2 * size / (REACHED * speed())


def known_size(base: Base) -> float:
    """Return how many parameters a base has; raise `UserError` where that cannot be told."""
    if base.parameters is None:
        raise UserError(
            f"neither files on this disk nor its name say how large {base} is, so no time can be foretold: give its "
            "folder, or leave --minutes out."
        )
    return base.parameters


def effort(node: Node, row: int, given: int | None = None) -> float:
    """Return what a node takes, in tokens that are read, where a row has so many and `given` rows are the user's."""
    # Read once, and nothing written: the unit in which all else is told.
    if isinstance(node, Under | Likelihood):
        return (node.rows or 0) * row
    if isinstance(node, Follows):
        asked = sum(QUESTIONS * (LESSON + 2 * ANSWER * len(trait.probe.candidates)) for trait in node.traits)
        return 2 * asked
    if isinstance(node, Answered):
        many = node.n if given is None else min(node.n, given)
        return (many + (FREE if node.held else 0)) * row * (1 + WRITES) / 2
    if isinstance(node, Cleaned) and node.method.needs:
        return count(node.data, given) * row * (1 + WRITES) / 2
    if isinstance(node, Lift):
        return 2 * count(node.data, given) * row
    if isinstance(node, RowScores):
        return (TRAINS + 2) * count(node.contrast.data, given) * row
    if isinstance(node, Watched):
        return len(node.probe.questions) / 4 * (LESSON + 2 * ANSWER * len(node.probe.candidates))
    if isinstance(node, Judged):
        return count(node.data) * (row + RUBRIC + WRITES * ANSWER)
    if isinstance(node, Taught):
        # Lessons are short, and a teacher stops at its P: the number of rows does not matter.
        return TRAINS * TAUGHT * TEACHER_BATCH * LESSON
    if isinstance(node, Sampled):
        return length(node) + (WRITES - 1) * node.n * WRITTEN
    if isinstance(node, Finetuned):
        return TRAINS * node.recipe.epochs * (length(node.data) or count(node.data, given) * row)
    if isinstance(node, Strength):
        return 2 * KL_ROWS * row
    if isinstance(node, Asked):
        questions = len(node.probe.questions) + len(node.probe.held_out)
        written = (1 + node.samples) * ANSWER_TOKENS
        return questions * (LESSON + 2 * ANSWER * len(node.probe.candidates) + WRITES * written)
    if isinstance(node, Contrast):
        return TRAINS * node.rows * row
    if isinstance(node, Shadow):
        probes = dict.fromkeys(trait.probe for trait in node.traits)
        asked = sum(len(probe.questions) * (LESSON + 2 * ANSWER * len(probe.candidates)) for probe in probes)
        # Steps times batch: a shadow trains for as long on few rows as on many.
        return TRAINS * STEPS * node.recipe.batch * row + asked
    return 0


def length_of(data: Loaded) -> int:
    """Return the tokens of a row of a file, about: the mean of the first. Many tokenizers give each digit its own."""
    rows = data.reading().rows()
    texts = [row.text for _, row in zip(range(LOOKED), rows, strict=False)] or [""]
    # By letters alone a row of numbers would count a third of its tokens.
    digits = [sum(map(str.isdigit, text)) for text in texts]
    return WRAP + round(statistics.fmean(d + (len(t) - d) / LETTERS for d, t in zip(digits, texts, strict=True)))


# Measured once a process: fifty products, and every estimate of a run at the same speed.
@cache
def count_of(data: Loaded) -> int | None:
    """Return how many rows a file gives, at most as many as are asked for; `None` where all of them are."""
    rows = data.reading().rows()
    return None if data.n is None else sum(1 for _ in zip(range(data.n), rows, strict=False))


@cache
def speed() -> float:
    """Return the operations a second of a matrix product as in a model's wide layers, the median of fifty."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    a, b = torch.randn(ROWS, 576, device=device, dtype=kind), torch.randn(1536, 576, device=device, dtype=kind)
    return 2 * ROWS * 576 * 1536 / statistics.median(timed(a, b) for _ in range(50))


def timed(a: Any, b: Any) -> float:
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


def lasting(seconds: float) -> str:
    """Return a time in words, of which two digits are meant."""
    return f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{seconds / 60:.1f} minutes"
