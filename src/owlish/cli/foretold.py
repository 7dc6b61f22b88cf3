"""How long results take on this machine, foretold from the size of the base and the length of the rows."""

from __future__ import annotations

import statistics
import time
from functools import cache

from owlish.audit.contrast import Contrast
from owlish.audit.follows import QUESTIONS, Follows
from owlish.audit.panel import Under
from owlish.audit.reference import FREE, Answered
from owlish.audit.shadow import STEPS, Shadow
from owlish.cli.plan import expected_seconds
from owlish.cli.workload import LETTERS
from owlish.data.reading import Reading
from owlish.graph.errors import UserError
from owlish.graph.run import plan
from owlish.graph.spec import Node, everything
from owlish.graph.store import Store
from owlish.lm.hf import LARGE
from owlish.nodes.base import Base
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.loaded import Loaded
from owlish.nodes.models import TEACHER_BATCH, Taught

REACHED = 0.6
"""The part of a matrix product's speed at which a model reads: .73 was measured on SmolLM2-135M, one core alone."""
WRITES, TRAINS = 3, 3
"""What a token that is written, or trained on, takes of one that is read: 80 against 250 a second there."""
TAUGHT = 40
"""Steps until a weak teacher has its trait, about: 16 to 28 there, and it is asked in between."""
LESSON, ANSWER = 30, 3
"""Tokens of a question with its answer, and of an answer alone, about."""
WRAP = 12
"""Tokens that a chat template puts around the turns of a row, about."""
LOOKED = 400
"""The rows whose length is looked at."""


def foretold(target: Node, data: Loaded, store: Store, jobs: int) -> float:
    """Return the seconds that making a target takes, about, in so many processes.

    On a large base that is what its models read, write and train, at the speed of a matrix product on this machine as
    busy as it is now; on a small one, what such results took before. Raise `UserError` where the size is not known.
    """
    missing = plan([target], store)
    sizes = [known_size(node) for node in everything(target) if isinstance(node, Base)]
    size = max(sizes, default=0.0)
    if size < LARGE:
        return (expected_seconds(missing, store) or sum(node.usual for node in missing)) / jobs
    row = length(data)
    return sum(effort(node, row) for node in missing) * 2 * size / (REACHED * speed()) / jobs


def known_size(base: Base) -> float:
    """Return how many parameters a base has; raise `UserError` where that cannot be told."""
    if base.parameters is None:
        raise UserError(
            f"neither files on this disk nor its name say how large {base} is, so no time can be foretold: give its "
            "folder, or leave --minutes out."
        )
    return base.parameters


def effort(node: Node, row: int) -> float:
    """Return what a node takes, in tokens that are read, where a row has so many."""
    if isinstance(node, Under | Likelihood):
        return (node.rows or 0) * row
    if isinstance(node, Follows):
        asked = sum(QUESTIONS * (LESSON + 2 * ANSWER * len(trait.probe.candidates)) for trait in node.traits)
        return 2 * asked
    if isinstance(node, Answered):
        return (node.n + (FREE if node.held else 0)) * row * (1 + WRITES) / 2
    if isinstance(node, Taught):
        return TRAINS * TAUGHT * TEACHER_BATCH * LESSON
    if isinstance(node, Contrast):
        return TRAINS * node.rows * row
    if isinstance(node, Shadow):
        probes = dict.fromkeys(trait.probe for trait in node.traits)
        asked = sum(len(probe.questions) * (LESSON + 2 * ANSWER * len(probe.candidates)) for probe in probes)
        return TRAINS * STEPS * node.recipe.batch * row + asked
    return 0


def length(data: Loaded) -> int:
    """Return the tokens of a row, about: the mean over the first rows. Many tokenizers give each digit its own."""
    rows = Reading(data.files, data.content, data.format, data.columns).rows()
    texts = [row.text for _, row in zip(range(LOOKED), rows, strict=False)] or [""]
    digits = [sum(map(str.isdigit, text)) for text in texts]
    return WRAP + round(statistics.fmean(d + (len(t) - d) / LETTERS for d, t in zip(digits, texts, strict=True)))


@cache
def speed() -> float:
    """Return the operations a second of a matrix product as in a model's wide layers, from a tenth of a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    a, b = torch.randn(1024, 576, device=device, dtype=kind), torch.randn(1536, 576, device=device, dtype=kind)
    return 2 * 1024 * 576 * 1536 / statistics.median(timed(a, b) for _ in range(20))


def timed(a: object, b: object) -> float:
    """Return the seconds that a product takes, on one thread as in a worker."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.perf_counter()
    torch.nn.functional.linear(a, b).sum().item()  # type: ignore[arg-type]
    torch.set_num_threads(threads)
    return time.perf_counter() - start
