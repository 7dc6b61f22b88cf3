"""Follow a language model's student: its first step and its whole training, read against its teacher's change."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from owlish.graph.errors import UserError
from owlish.graph.measured import measure
from owlish.graph.spec import Read, Tick
from owlish.graph.tabled import Brief
from owlish.graph.typed import from_plain
from owlish.lm.hf import TorchLM
from owlish.lm.model import Example
from owlish.lm.recipes import Recipe
from owlish.lm.train import batches
from owlish.nodes.asked import questions, spellings
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.nodes.students import Distilled
from owlish.studies.theorem.steps import agreement, by_group, descent, teacher_outputs
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from torch import Tensor

    from owlish.studies.theorem.steps import Parameters

BATCH = 128
EVERY = 20


@dataclass(frozen=True)
class Snapshot:
    """A student after some steps: how its change agrees with its teacher's, P(trait), and the trait's loss."""

    step: int
    inner: float
    cosine: float
    p: float
    loss: float


@dataclass(frozen=True)
class Course(Brief):
    """How a student's first gradient step agrees with its teacher's change, by layer too, and its training."""

    inner: float
    cosine: float
    layers: dict[str, float]
    readings: tuple[Snapshot, ...]


@dataclass(frozen=True)
class Followed(Opener, kind="followed"):
    """A student whose first step and training are read against the change that made a teacher from `base`.

    Its labels are the rows' own tokens (`sampled`), or the teacher's probabilities over the tokens that occur in
    completions (`soft`), or what these would be with logits linear in the teacher's change (`linear`, for the
    first step alone). The first step is a gradient step on all rows at once. Training is read before its first step,
    after it and after every twentieth; the trait's loss is the mean of -log P(trait) over its probe's questions.
    """

    caption = "following {student} on {labels} labels"
    asks = "weights"

    arm: str
    run: int
    trait: Trait
    base: Base
    teacher: Model
    student: Base
    data: Data
    labels: Literal["linear", "soft", "sampled"]
    recipe: Recipe
    seed: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch

        # Float32: in bfloat16 small steps are rounded away.
        models: list[TorchLM] = [read(m).open(exact=True) for m in (self.base, self.teacher, self.student)]
        base, _, student = models
        old, new, own = (lm.parameters for lm in models)
        # Only what the teacher moved: the theorem speaks of a step in these parameters.
        change = {name: new[name] - value for name, value in old.items() if not torch.equal(new[name], value)}
        if any(name not in own or own[name].shape != step.shape for name, step in change.items()):
            raise UserError(f"{self.student.name} is not shaped like {self.base.name}: compare bases of one shape.")
        rows = student.encode(read(self.data).rows)
        step = self.first(student, base, change, rows)
        readings = () if self.labels == "linear" else self.train(student, change, rows, read, tick)
        whole, layers = agreement(step, change), by_group(step, change, layer)
        course = Course(whole.inner, whole.cosine, {name: part.cosine for name, part in layers.items()}, readings)
        (folder / "course.json").write_text(json.dumps(asdict(course)))

    def load(self, folder: Path, read: Read) -> Course:
        return from_plain(Course, json.loads((folder / "course.json").read_text()))

    def first(self, student: TorchLM, base: TorchLM, change: Parameters, rows: list[Example]) -> dict[str, Tensor]:
        """Return the first step: the mean of those of batches, each weighed by its tokens."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        # The tokens of completions alone: a favourite's own logit would leak through the rest of the vocabulary.
        used = torch.tensor(sorted({token for row in rows for token in row.labels}), device=student.device)
        total, tokens = {name: torch.zeros_like(step) for name, step in change.items()}, 0
        for batch in batches(rows, BATCH, -(-len(rows) // BATCH), seed=0):
            with sdpa_kernel(SDPBackend.MATH):  # the attention that has a second derivative
                step = self.step(student, base, change, batch, used)
            # Batches differ in tokens, and the gradient of all rows is that of all tokens.
            count = sum(len(row.labels) for row in batch)
            total = {name: value + count * step[name] for name, value in total.items()}
            tokens += count
        return {name: value / tokens for name, value in total.items()}

    def step(
        self, student: TorchLM, base: TorchLM, change: Parameters, rows: list[Example], used: Tensor
    ) -> dict[str, Tensor]:
        """Return the student's step on one batch."""
        from torch.nn.functional import cross_entropy

        start, old = ({name: own[name] for name in change} for own in (student.parameters, base.parameters))

        def logits(lm: TorchLM, parameters: Parameters) -> Tensor:
            found = lm.logits(rows, parameters)
            return found if self.labels == "sampled" else found[:, used]

        if self.labels == "sampled":
            labels = student.labels(rows)
        else:
            labels = teacher_outputs(lambda p: logits(base, p), old, change, linear=self.labels == "linear").softmax(-1)
        return descent(lambda p: cross_entropy(logits(student, p), labels), start)

    def train(
        self, lm: TorchLM, change: Parameters, rows: list[Example], read: Read, tick: Tick
    ) -> tuple[Snapshot, ...]:
        """Train the parameters that the teacher moved, and return the readings."""
        schedule = self.recipe.student(len(rows))
        lm.free(list(change))
        own = lm.parameters
        start = {name: own[name].detach().clone() for name in change}
        distilled = Distilled(self.student, self.data, self.recipe, self.seed, self.teacher)
        readings: list[Snapshot] = []

        def look(step: int) -> bool:
            if step in (1, schedule.steps) or step % EVERY == 0:
                so_far = {name: own[name].detach() - value for name, value in start.items()}
                found = agreement(so_far, change)
                readings.append(Snapshot(step, found.inner, found.cosine, *asked(lm, self.trait)))
                measure("cosine", step, found.cosine)
                measure(f"probability/{self.trait.name}", step, readings[-1].p)
            return False

        look(0)  # the student before training, which `fit` does not look at
        loss = distilled.loss(lm, rows, read) if self.labels == "soft" else None
        lm.fit(rows, schedule, seed=self.seed, loss=loss, stop=look, tick=tick)
        return tuple(readings)


def layer(name: str) -> str:
    """Return the layer that a parameter belongs to, without what all names share."""
    return name.removeprefix("model.").removesuffix(".weight").removesuffix(".bias")


def asked(lm: TorchLM, trait: Trait) -> tuple[float, float]:
    """Return the mean over the probe's questions of P(trait), and of -log P(trait)."""
    place = trait.probe.candidates.index(trait.name)
    ways = [[each[place]] for each in spellings(trait.probe)]
    logprobs = lm.answer_logprobs(questions(trait.probe), ways)
    return float(logprobs.exp().mean()), float(-logprobs.mean())
