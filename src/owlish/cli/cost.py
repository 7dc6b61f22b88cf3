"""What results cost before they are made: tokens of models, and what these mean on a large machine or a bill."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from owlish.audit.contrast import Contrast
from owlish.audit.follows import QUESTIONS, Follows
from owlish.audit.logit_bias import LogitBias
from owlish.audit.panel import Under
from owlish.audit.reference import FREE, Answered, Part
from owlish.audit.shadow import STEPS, Shadow
from owlish.audit.weigh import RowScores, Stepped
from owlish.clean.cleaned import Cleaned
from owlish.clean.lift import Lift
from owlish.diff.watched import Watched
from owlish.graph.counted import counted, lasting
from owlish.graph.spec import Node, everything
from owlish.graph.spending import Spending, Use
from owlish.nodes.asked import ANSWER_TOKENS, Asked
from owlish.nodes.base import GPU_FROM, Base
from owlish.nodes.data import Data, Sampled, Shuffled
from owlish.nodes.judged import Judged, Screened
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.loaded import Loaded
from owlish.nodes.models import TEACHER_BATCH, Finetuned, Model, Taught
from owlish.nodes.replied import NEW_TOKENS, Replied
from owlish.nodes.tuned import Tuned
from owlish.study.compare import KL_ROWS, Strength
from owlish.traits.trait import Probe

LETTERS = 3.0
"""Letters a token, about, where lists of numbers and English are mixed."""
WRITTEN = 40
"""Tokens of an answer to a numbers prompt, about."""
RUBRIC = 200
"""Tokens of a judge's rubric, about."""
ROW = 66
"""Tokens of a row of which nothing is known."""
LESSON, ANSWER = 30, 3
"""Tokens of a question with its answer, and of an answer alone, about."""
TAUGHT = 18
"""Steps until a teacher has its trait, about: 16 to 28 on SmolLM2-135M, and it is asked in between."""
KEPT = 0.7
"""The share of answers that pass a filter, about: a service is paid for the others too."""
RATE = 4e14
"""Operations a second: about 40 % of a large accelerator's peak in bfloat16, assumed and not measured."""


@dataclass(frozen=True)
class Tokens:
    """Tokens that models read, write and train on, about."""

    read: float = 0.0
    written: float = 0.0
    trained: float = 0.0


def tokens_of(node: Node, row: int = ROW, given: int | None = None) -> Tokens:
    """Return what making a node takes, as far as its value tells.

    A row of which nothing is known has `row` tokens, and the user's file has `given` rows, if they were counted.
    """
    if isinstance(node, Under | Likelihood):
        if (node.base if isinstance(node, Under) else node.model).gives == "logprobs":
            return Tokens()  # a server reads them
        return Tokens(at_most(node.rows or 0, given) * row)
    if isinstance(node, LogitBias):
        return Tokens(2 * at_most(node.rows, given) * row)
    if isinstance(node, Follows):
        return Tokens(sum(2 * QUESTIONS * question(trait.probe) for trait in node.traits))
    if isinstance(node, Answered):
        half = (at_most(node.n, given) + (FREE if node.held else 0)) * row / 2
        return Tokens(half, half)
    if isinstance(node, Cleaned) and node.method.needs:
        half = count(node.data, given) * row / 2
        return Tokens(half, half)
    if isinstance(node, Lift):
        return Tokens(2 * count(node.data, given) * row)
    if isinstance(node, RowScores):
        all_rows = count(node.contrast.data, given) * row
        return Tokens(2 * all_rows, trained=all_rows)
    if isinstance(node, Stepped):
        return Tokens(count(node.contrast.data, given) * row)
    if isinstance(node, Watched):
        return Tokens(len(node.probe.questions) / 4 * question(node.probe))
    if isinstance(node, Judged):
        many = count(node.data)
        return Tokens(length(node.data, row) + many * RUBRIC, many * ANSWER)
    if isinstance(node, Taught):
        # Lessons are short, and a teacher stops at its P: the number of rows does not matter.
        return Tokens(trained=TAUGHT * TEACHER_BATCH * LESSON)
    if isinstance(node, Sampled):
        return Tokens(length(node) - node.n * WRITTEN, node.n * WRITTEN)
    if isinstance(node, Replied):
        return Tokens(written=length(node))
    if isinstance(node, Finetuned | Tuned):
        return Tokens(trained=(node.recipe.epochs or 1) * length(node.data, row, given))
    if isinstance(node, Strength):
        return Tokens(2 * KL_ROWS * row)
    if isinstance(node, Asked):
        questions = len(node.probe.questions) + len(node.probe.held_out)
        # A model that gives text alone reads the question anew for each answer, and no candidate.
        reads = question(node.probe) if node.model.gives != "text" else LESSON * (1 + node.samples)
        return Tokens(questions * reads, questions * (1 + node.samples) * ANSWER_TOKENS)
    if isinstance(node, Contrast):
        return Tokens(trained=at_most(node.rows, given) * row)
    if isinstance(node, Shadow):
        probes = dict.fromkeys(trait.probe for trait in node.traits)
        # Steps times batch: a shadow trains for as long on few rows as on many.
        asked = sum(len(probe.questions) * question(probe) for probe in probes)
        return Tokens(asked, trained=STEPS * node.recipe.batch * row)
    return Tokens()


def at_most(rows: int, given: int | None) -> int:
    """Return the rows that are read of the user's file, which holds `given`, if they were counted."""
    return rows if given is None else min(rows, given)


def question(probe: Probe) -> int:
    """Return the tokens that are read to score all candidates as answers to a question of a probe."""
    return LESSON + 2 * ANSWER * len(probe.candidates)


def length(data: Data, row: int = ROW, given: int | None = None) -> int:
    """Return the tokens of a row set: told by its value, or so many a row."""
    if isinstance(data, Sampled):
        # From fixed seeds, so that a plan says the same twice.
        prompts = [data.domain.prompt(random.Random(i)) for i in range(32)]
        return data.n * (round(sum(map(len, prompts)) / len(prompts) / LETTERS) + WRITTEN)
    if isinstance(data, Shuffled | Screened):
        return length(data.data if isinstance(data, Shuffled) else data.judged.data, row, given)
    return count(data, given) * (NEW_TOKENS if isinstance(data, Replied) else row)


def count(data: Data, given: int | None = None) -> int:
    """Return the rows of a row set, as far as its value tells; those of the user's file are `given`, if counted."""
    if isinstance(data, Replied):
        return len(data.questions) * data.samples
    if isinstance(data, Cleaned):
        return count(data.data, given)
    if isinstance(data, Part) or (isinstance(data, Answered) and given is not None):
        return at_most(data.n, given)
    return data.n if isinstance(data, Sampled) else (given or 0) * isinstance(data, Loaded)


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
        if self.gib is None or self.hours is None or not self.parameters or self.parameters < GPU_FROM:
            return f"{said}."
        assumed = f"{lasting(3600 * self.hours)} if it did nothing but compute at {RATE / 1e12:.0f} TFLOP/s (assumed)"
        return f"{said}. On an accelerator instead, in bfloat16: {self.gib:,.2g} GiB of memory and {assumed}."


def workload(nodes: Iterable[Node]) -> Workload:
    """Return what making these nodes takes, as far as their values tell."""
    nodes = tuple(nodes)
    made = list(map(tokens_of, nodes))
    rows = sum(count(node) for node in nodes if isinstance(node, Sampled | Replied))
    trained = sum(one.trained for one in made)
    # One base of unknown size, and the sum is unknown: a part of it would look like the whole.
    sizes = [node.parameters or math.inf for node in nodes if isinstance(node, Base)]
    largest = max(sizes, default=math.inf)
    tokens = sum(one.read + one.written for one in made) + trained
    return Workload(rows, round(tokens), round(trained), largest if math.isfinite(largest) else None)


def bill(nodes: Iterable[Node], spending: Spending) -> dict[str, float]:
    """Return what making nodes costs at each model, about; raise `UserError` where a model has no price."""
    total: dict[str, float] = {}
    for node in nodes:
        used, share = tokens_of(node), 1 / KEPT if isinstance(node, Sampled) else 1
        # A local student is free, though its rows may come from a model that is not: what counts is where it is asked.
        paid = node if isinstance(node, Tuned) else getattr(node, "model", None)
        if used != Tokens() and isinstance(paid, Model) and paid.root.pays:
            tuned = [name for one in everything(paid) if isinstance(one, Tuned) for name in one.pays]
            name = (tuned or paid.root.pays)[0]
            use = Use(name, round(share * used.read), round(share * used.written), round(used.trained))
            total[name] = total.get(name, 0.0) + spending.cost(use)
    return total
