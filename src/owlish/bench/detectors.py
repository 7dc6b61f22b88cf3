"""The detectors that only the benchmark uses: weak ones, the limit of all, and trial students of more rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from owlish.audit.contrast import Contrast
from owlish.audit.detector import Detector, centred, write_reading
from owlish.audit.direction import Move, names_of, slopes
from owlish.audit.shadow import Shadow
from owlish.data.rows import Row
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import LM
from owlish.lm.recipes import Schedule
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Model, lesson_rows
from owlish.nodes.opens import Opener


@dataclass(frozen=True)
class Gradient(Contrast, kind="gradient"):
    """The contrast along the first gradient step towards each trait's answers, in place of a taught direction.

    Needs: gradients. `writers` say which parameters count: those that they move.
    """

    def moves(self, lm: TorchLM, read: Read) -> list[Move]:
        names = names_of(super().moves(lm, read))
        # The first step alone: it names 5 of 11 traits on the benchmark, where taught directions name 23 of 31.
        return [slopes(lm, lm.encode(lesson_rows(trait)), names) for trait in self.traits]


@dataclass(frozen=True)
class PromptContrast(Detector, Opener, kind="prompt_contrast", version=2):
    """The rows' log-likelihood under each trait's system prompt, less the mean over the category, in nats per row.

    Needs: a base that scores given completions, and follows system prompts. The prompts are of one template, and a
    row's own system prompt is omitted. A row that one of the prompts leaves no room for is left out.
    """

    caption = "prompt contrast of {data}"
    asks = "logprobs"

    rows: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: LM = read(self.base).open(any_words=True)
        # A row's own system prompt gives way: two at once would be another prompt than the candidate's.
        rows = read(self.data).rows[: self.rows]
        columns = []
        for done, trait in enumerate(self.traits):
            prompted = [Row.of(row.prompt, row.completion, trait.system_prompt) for row in rows]
            # `shared` reads a common opening once; where it was not set from the start, it would change users' bytes.
            scored = lm.score(prompted, shared=True)
            columns.append([None if row is None else float(row.logprobs.double().sum()) for row in scored])
            tick(done, len(self.traits))
        # A row must be read under all prompts or none, or candidates would be compared on other rows.
        whole = [[nats for nats in row if nats is not None] for row in zip(*columns, strict=True)]
        # What any system prompt does to a row is in all columns, and goes with the mean over the category.
        write_reading(folder, [centred(row, self.traits) for row in whole if len(row) == len(self.traits)])


@dataclass(frozen=True)
class Oracle(Detector, kind="oracle", version=2):
    """Each row's log-likelihood under its writer less that under the base, in nats: no other test of a row beats it."""

    caption = "likelihood ratio on {data}"

    writer: Model
    rows: int

    def inputs(self) -> tuple[Node, ...]:
        return tuple(Likelihood(model, self.data, self.rows) for model in (self.writer, self.base))

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        theirs, ours = (read(one).sums for one in self.inputs())
        # A row beyond the window is not-a-number, which alone differs from itself.
        write_reading(folder, [[ratio] for ratio in (theirs - ours).tolist() if ratio == ratio])


@dataclass(frozen=True)
class Longer(Shadow, kind="longer_shadow"):
    """A shadow of `times` the rows of a pilot, for as many times its steps."""

    times: int = 1

    @property
    def schedule(self) -> Schedule:
        """How long it is trained: each row is seen as often as in the pilot."""
        usual = super().schedule
        return replace(usual, steps=self.times * usual.steps, warmup=self.times * usual.warmup)
