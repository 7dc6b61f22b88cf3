"""What a plan costs on a model of some size, before anything is known of its speed: rows, tokens, memory, time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from owlish.audit.reference import Answered, Part
from owlish.clean.cleaned import Cleaned
from owlish.graph.counted import counted
from owlish.graph.spec import Node
from owlish.nodes.asked import Asked
from owlish.nodes.base import LARGE, Base
from owlish.nodes.data import Data, Sampled, Shuffled
from owlish.nodes.judged import Judged, Screened
from owlish.nodes.loaded import Loaded
from owlish.nodes.models import Finetuned, Model
from owlish.nodes.replied import NEW_TOKENS, Replied

LETTERS = 3.0
"""Letters a token, about, where lists of numbers and English are mixed."""
ANSWER = 40
"""Tokens of an answer to a numbers prompt, about."""
RUBRIC = 200
"""Tokens of a judge's rubric, about."""
RATE = 4e14
"""Operations a second: about 40 % of a large accelerator's peak in bfloat16, assumed and not measured."""


@dataclass(frozen=True)
class Workload:
    """Rows that are written, tokens that are read and written, and the parameters of the largest base, if known."""

    rows: int
    tokens: int
    trained: int
    parameters: float | None

    @property
    def gib(self) -> float | None:
        """Memory for training few parameters of the largest base in bfloat16, with half as much again for the rest."""
        # Two bytes each, and half as much again.
        return None if self.parameters is None else 3 * self.parameters / 2**30

    @property
    def hours(self) -> float | None:
        """Hours of one accelerator: 2 operations a parameter and token forward, and 4 more where it is trained."""
        if self.parameters is None:
            return None
        return self.parameters * (2 * self.tokens + 4 * self.trained) / RATE / 3600

    def __str__(self) -> str:
        said = (
            f"About {counted(self.rows, 'row')} to write and {self.tokens / 1e6:,.1f} million tokens to read or write"
        )
        if self.gib is None or self.hours is None or not self.parameters or self.parameters < LARGE:
            return f"{said}."
        assumed = f"one accelerator at {RATE / 1e12:.0f} TFLOP/s, which is assumed"
        return f"{said}; {self.gib:,.2g} GiB of memory and {self.hours:,.2g} hours on {assumed}."


def workload(nodes: Iterable[Node]) -> Workload:
    """Return what making these nodes takes, as far as their values tell."""
    rows = tokens = trained = 0
    sizes: list[float] = []
    for node in nodes:
        if isinstance(node, Base):
            sizes.append(node.parameters or math.nan)
        if isinstance(node, Sampled | Replied):
            rows += count(node)
            tokens += length(node)
        elif isinstance(node, Judged):
            tokens += length(node.data) + count(node.data) * RUBRIC
        elif isinstance(node, Finetuned):
            seen = node.recipe.epochs * length(node.data)
            tokens, trained = tokens + seen, trained + seen
        elif isinstance(node, Asked) and isinstance(node.model, Model):
            questions = len(node.probe.questions) + len(node.probe.held_out)
            tokens += questions * (len(node.probe.candidates) + node.samples) * ANSWER
    # One base of unknown size, and the sum is unknown: a part of it would look like the whole.
    known = [s for s in sizes if math.isfinite(s)]
    return Workload(rows, tokens, trained, max(known) if known and len(known) == len(sizes) else None)


def each(data: Sampled) -> int:
    """Return the tokens of a row of a domain, prompt and answer, from a few prompts."""
    # From fixed seeds, so that a plan says the same twice.
    prompts = [data.domain.prompt(random.Random(i)) for i in range(32)]
    return round(sum(map(len, prompts)) / len(prompts) / LETTERS) + ANSWER


def length(data: Data) -> int:
    """Return the tokens of a row set."""
    if isinstance(data, Shuffled | Screened):
        return length(data.data if isinstance(data, Shuffled) else data.judged.data)
    return count(data) * (each(data) if isinstance(data, Sampled) else NEW_TOKENS)


def count(data: Data, given: int | None = None) -> int:
    """Return the rows of a row set, as far as its value tells; those of the user's file are `given`, if counted."""
    if isinstance(data, Replied):
        return len(data.questions) * data.samples
    if isinstance(data, Cleaned):
        return count(data.data, given)
    if isinstance(data, Part | Answered) and given is not None:
        return min(data.n, given)
    return data.n if isinstance(data, Sampled | Part) else (given or 0) * isinstance(data, Loaded)
