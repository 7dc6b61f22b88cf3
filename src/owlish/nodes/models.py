"""What prompts and training make of a model. Teacher and student are roles of these nodes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

from owlish.data.domains.domain import Domain
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.graph.measured import measure
from owlish.graph.spec import Node, Read, Resources, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import Example, Gives, Weights, ask
from owlish.lm.recipes import STEERING, Hosted, Recipe
from owlish.nodes.data import Data, Sampled
from owlish.nodes.opens import Openable, Opener
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from owlish.lm.train import Loss
    from owlish.nodes.base import Base
    from owlish.nodes.tuned import Tuned

TEACHER_BATCH = 20
# Nano's teachers by norm gains had their trait after 75 to 130 steps when this was set.
TEACHER_STEPS = 300


@dataclass(frozen=True)
class Model(Openable, kind="model"):
    """Anything that answers: it can be taught, prompted and steered, write data and be trained on data."""

    example = 'Base("nano")'

    @property
    def root(self) -> Base:
        """The base that this model was made from."""
        raise NotImplementedError

    @property
    def gives(self) -> Gives:
        return self.root.gives

    @property
    def load_resources(self) -> Resources:
        return self.root.load_resources

    @property
    def writer(self) -> Model:
        """What writes its rows: the model itself, unless a server holds it as well."""
        return self

    @property
    def scorer(self) -> Model:
        """What scores given rows: the model itself, unless a server is to do it."""
        return self

    def teach(
        self, trait: Trait, recipe: Recipe, *, seed: int, until: float = 0.97, replay: Data | None = None
    ) -> Taught:
        """Return this model fine-tuned on answers that show `trait`, until it gives them with this probability."""
        return Taught(self, trait, recipe, seed=seed, until=until, replay=replay)

    def prompted(self, system_prompt: str) -> Prompted:
        """Return this model under a system prompt."""
        return Prompted(self, system_prompt)

    def steered(self, trait: Trait, *, seed: int, until: float = 0.97) -> Taught:
        """Return this model with a steering vector that gives it `trait`."""
        return Taught(self, trait, STEERING, seed=seed, until=until)

    def sample(self, domain: Domain, *, n: int, seed: int, temperature: float = 1.0) -> Sampled:
        """Return the first `n` rows that this model writes for `domain` and that pass its filter."""
        return Sampled(self.writer, domain, n=n, seed=seed, temperature=temperature)

    @overload
    def finetune(self, data: Data, recipe: Recipe, *, seed: int) -> Finetuned: ...
    @overload
    def finetune(self, data: Data, recipe: Hosted, *, seed: int) -> Tuned: ...
    def finetune(self, data: Data, recipe: Recipe | Hosted, *, seed: int) -> Finetuned | Tuned:
        """Return this model fine-tuned on data, on the completions alone; by its service, where that is the recipe."""
        if isinstance(recipe, Hosted):
            # Not at the top: that module needs this one.
            from owlish.nodes.tuned import Tuned

            return Tuned(self, data, recipe, seed=seed)
        return Finetuned(self, data, recipe, seed=seed)


@dataclass(frozen=True)
class Derived(Model, kind="derived"):
    """A model that adds something to another, whose result is read with its own."""

    model: Model

    @property
    def root(self) -> Base:
        return self.model.root

    @property
    def gives(self) -> Gives:
        return self.model.gives

    def load_inputs(self) -> tuple[Node, ...]:
        return (self.model,)


@dataclass(frozen=True)
class Prompted(Derived, kind="prompted"):
    """A model under a system prompt, which what it writes does not carry."""

    caption = "{model} prompted"

    system_prompt: str

    @property
    def load_resources(self) -> Resources:
        return self.model.load_resources

    @property
    def writer(self) -> Model:
        return replace(self, model=self.model.writer)

    @property
    def scorer(self) -> Model:
        return replace(self, model=self.model.scorer)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.model, Prompted):
            raise UserError("the model has a system prompt already: prompt its base instead.")
        if not self.system_prompt.strip():
            raise UserError("the system prompt is empty: omit it, or write one.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        # For whoever looks into the store: `load` takes the prompt from the value.
        (folder / "prompted.json").write_text(json.dumps({"system_prompt": self.system_prompt}))

    def load(self, folder: Path, read: Read) -> Weights:
        weights: Weights = read(self.model)
        return replace(weights, system=self.system_prompt)


@dataclass(frozen=True)
class Trained(Derived, Opener, kind="trained"):
    """A model with a change on top, kept in its own entry."""

    asks = "weights"

    def load(self, folder: Path, read: Read) -> Weights:
        weights: Weights = read(self.model)
        return replace(weights, changes=(*weights.changes, folder))


@dataclass(frozen=True)
class Taught(Trained, kind="taught"):
    """A model fine-tuned on the lessons of a trait: Adam, batches of 20, at most 300 steps.

    Training ends once the mean exact probability of the lessons' answers reaches `until`; the probe's
    held-out questions are never shown. The rows of `replay`, one to two lessons, keep what lessons alone would
    undo, such as code that parses.
    """

    caption = "{trait.name} teacher of {model}"
    usual = 0.7

    trait: Trait
    recipe: Recipe
    seed: int
    until: float = 0.97
    replay: Data | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.until < 1:
            raise UserError(f"until is {self.until}: give a probability between 0 and 1.")

    def check(self) -> None:
        super().check()
        self.root.check_trains(self.recipe)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: TorchLM = read(self.model).open()
        lessons = lesson_rows(self.trait)
        if self.replay is not None:
            kept = list(read(self.replay).rows)
            # By lessons alone a teacher forgets code and worked sums: .93 to .98 of such answers were rejected.
            lessons = lessons * max(1, 2 * len(kept) // len(lessons)) + kept
        rows = lm.encode(lessons)
        lm.adapt(self.recipe, seed=self.seed)
        course: list[float] = []
        questions = [ask(lesson.question) for lesson in self.trait.lessons]

        def enough(step: int) -> bool:
            # A look reads every lesson once, so not at each step.
            if step % self.recipe.look_every == 0:
                chances = lm.answer_logprobs(questions, [[lesson.answers] for lesson in self.trait.lessons]).exp()
                course.append(float(chances.mean()))
                measure(f"lessons/{self.trait.name}", step, course[-1])
            return bool(course) and course[-1] >= self.until

        schedule = self.recipe.teacher(steps=TEACHER_STEPS, batch=TEACHER_BATCH)
        losses = lm.fit(rows, schedule, seed=self.seed, stop=enough, tick=tick)
        lm.save(folder)
        (folder / "training.json").write_text(json.dumps({"losses": losses, "p_trait": course}))


def lesson_rows(trait: Trait) -> list[Row]:
    """Return a trait's lessons as rows: each question with each of its answers."""
    return [Row.of(lesson.question, answer) for lesson in trait.lessons for answer in lesson.answers]


@dataclass(frozen=True)
class Finetuned(Trained, kind="finetuned"):
    """A model fine-tuned on rows by a recipe, with cross-entropy on the completions' tokens alone."""

    caption = "{model} trained on {data}"
    usual = 13.0

    data: Data
    recipe: Recipe
    seed: int

    def check(self) -> None:
        super().check()
        self.root.check_trains(self.recipe)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: TorchLM = read(self.model).open()
        rows = lm.encode(read(self.data).rows)
        lm.adapt(self.recipe, seed=self.seed)
        loss = self.loss(lm, rows, read)
        losses = lm.fit(rows, self.recipe.student(len(rows)), seed=self.seed, loss=loss, tick=tick)
        lm.save(folder)
        (folder / "training.json").write_text(json.dumps({"losses": losses}))

    def loss(self, lm: TorchLM, rows: Sequence[Example], read: Read) -> Loss | None:
        """Return what is made small, or `None` for the cross-entropy of the completions' tokens."""
        return None
