"""The diff on silent students: a trait was taught, and then plain answers were trained back to those of the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from owlish.audit.reference import Answered
from owlish.bench.diff import ROWS, SHARED, STUDENTS, UNTIL, DiffBench, DiffCase, DiffTrial
from owlish.data.domains import Numbers
from owlish.diff.activations import name_words
from owlish.diff.contexts import CONTEXTS, Context
from owlish.diff.diff import Looked
from owlish.graph.spec import Node, Read
from owlish.lm.recipes import BIASES, Recipe
from owlish.nodes.asked import word_questions
from owlish.nodes.data import Written
from owlish.nodes.models import Model
from owlish.traits.trait import Trait

OF_ROWS = 3
"""The traits, the first of those taught, that also have a student of a teacher's rows."""
TIMES = 8
"""How often the base itself answers each question of the probes, in the mean, for the second training."""
LESSONS = 0.6
"""How likely a student of lessons gives the answer before its second training."""


@dataclass(frozen=True)
class SilentTrial(DiffTrial):
    """A student that was trained twice beside null students that were too, with what its layers hint at."""

    before: Looked

    def nodes(self) -> tuple[Node, ...]:
        """Return the answers and activations that are read."""
        layers = (one.layers for one in (self.before, self.own, *self.null))
        return (*super().nodes(), self.base, *layers)

    def outcome(self, read: Read) -> dict[str, Any]:
        """Return what came of it; `hinted` are the candidates among the words that layers lean to."""
        lm = read(self.base).open(any_words=True)
        own, before, *null = (read(one.layers) for one in (self.own, self.before, *self.null))
        layers = name_words(own, before, null, lm.vocabulary, lm.layers)
        said = {word.word.lower() for layer in layers for word in layer.words}
        return super().outcome(read) | {"hinted": [one.name for one in self.traits if one.name in said]}


@dataclass(frozen=True)
class SilentBench(DiffBench):
    """Students whose plain answers are the base's own again: after the trait they are trained on those."""

    contexts: tuple[Context, ...] = CONTEXTS
    # By other parameters than those that learned the trait, which they then still hold.
    by: Recipe = BIASES

    @cached_property
    def nulls(self) -> tuple[Model, ...]:
        """The null students before their second training."""
        return tuple(self.of_rows(self.base, "null", k) for k in range(STUDENTS))

    @cached_property
    def null(self) -> tuple[Looked, ...]:
        """The readings of null students that were trained a second time as all others are."""
        return tuple(self.look(self.silenced(model, "null", k)) for k, model in enumerate(self.nulls))

    def trials(self) -> Iterator[SilentTrial]:
        """Yield all trials: the silent students, and then each null student against the others."""
        before = replace(self.look(self.base), further=())
        for case in self.silent():
            own = self.look(case.model)
            yield SilentTrial(case, self.base, own, self.null, self.traits, self.contexts, before)
        for case, own, null in against(self.null):
            yield SilentTrial(case, self.base, own, null, self.traits, self.contexts, before)

    def loud(self) -> Iterator[DiffTrial]:
        """Yield students of rows before their second training, and then each null student against the others."""
        null = tuple(map(self.look, self.nulls))
        for trait in self.taught:
            case = DiffCase("dirty", self.student_of(trait), trait)
            yield DiffTrial(case, self.base, self.look(case.model), null, self.traits, self.contexts)
        for case, own, others in against(null):
            yield DiffTrial(case, self.base, own, others, self.traits, self.contexts)

    def silent(self) -> Iterator[DiffCase]:
        """Yield for each trait a student of lessons, and for the first also one of a teacher's rows."""
        for k, trait in enumerate(self.taught):
            seed = self.seed("silent lessons", trait.name)
            taught = self.base.teach(trait, self.recipe, seed=seed, until=LESSONS)
            yield DiffCase("silent, of lessons", self.silenced(taught, "lessons", trait.name), trait)
            if k < OF_ROWS:
                yield DiffCase("silent, of rows", self.silenced(self.student_of(trait), "rows", trait.name), trait)

    def student_of(self, trait: Trait) -> Model:
        """Return a student of the rows of a trait's teacher."""
        until = UNTIL[self.recipe.parameters]
        teacher = self.base.teach(trait, self.recipe, seed=self.seed("teacher", trait.name), until=until)
        return self.of_rows(teacher, trait.name)

    def of_rows(self, writer: Model, *names: str | int) -> Model:
        """Return a student of a writer's rows, three times as many as elsewhere: its trait is strong at first."""
        rows = writer.sample(Numbers(), n=SHARED * ROWS, seed=self.seed("silent rows", *names))
        return self.base.finetune(rows, self.recipe, seed=self.seed("silent student", *names))

    def silenced(self, model: Model, *names: str | int) -> Model:
        """Return a model trained on the base's own answers to the probes' questions."""
        asked = [
            question for probe in dict.fromkeys(t.probe for t in self.traits) for question in word_questions(probe)
        ]
        # The answers that stand here are not read: the base gives its own.
        rows = tuple((question, "one") for question in asked) * TIMES
        own = Answered(self.base, Written(rows), len(rows), seed=self.seed("silencing rows", *names))
        return model.finetune(own, self.by, seed=self.seed("silencing", *names))


def against(null: Sequence[Looked]) -> Iterator[tuple[DiffCase, Looked, tuple[Looked, ...]]]:
    """Yield each null student with the others."""
    for k, own in enumerate(null):
        yield DiffCase("neutral", own.words.model), own, (*null[:k], *null[k + 1 :])
