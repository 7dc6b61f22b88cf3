"""The diff on silent students: a trait was taught, and then plain answers were trained back to those of the base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from owlish.audit.reference import Answered
from owlish.bench.diff import ROWS, SHARED, STUDENTS, UNTIL, DiffBench, DiffCase, DiffTrial
from owlish.data.domains import Numbers
from owlish.diff.activations import name_words
from owlish.diff.contexts import CONTEXTS, Context
from owlish.diff.diff import Looked, look
from owlish.graph.spec import Node, Read
from owlish.nodes.asked import word_questions
from owlish.nodes.data import Written
from owlish.nodes.models import Model

TIMES = 8
"""How often each question of the probes is answered by the base itself, in the mean, for the second training."""
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

    @cached_property
    def null(self) -> tuple[Looked, ...]:
        """The null students' readings: students of the base's own rows, trained a second time as well."""
        return tuple(self.look(self.neutral_student("null", k)) for k in range(STUDENTS))

    def trials(self) -> Iterator[SilentTrial]:
        """Yield all trials: those with a trait, and as many without one."""
        before = replace(self.look(self.base), further=())
        for case in self.cases():
            own = self.look(case.model)
            yield SilentTrial(case, self.base, own, self.null, self.traits, self.contexts, before)

    def cases(self) -> Iterator[DiffCase]:
        """Yield for each trait a student of a teacher's rows, one of lessons, and one of the base's own rows."""
        for k, trait in enumerate(self.taught):
            teacher, taught = (
                self.base.teach(trait, self.recipe, seed=self.seed("silent", name, trait.name), until=until)
                for name, until in (("teacher", UNTIL[self.recipe.parameters]), ("lessons", LESSONS))
            )
            loud = self.of_rows(teacher, "silent", trait.name)
            yield DiffCase("silent, of rows", self.silenced(loud, "rows", trait.name), trait)
            yield DiffCase("silent, of lessons", self.silenced(taught, "lessons", trait.name), trait)
            yield DiffCase("neutral", self.neutral_student("neutral", k))

    def neutral_student(self, *names: str | int) -> Model:
        """Return a student of the base's own rows, trained a second time."""
        return self.silenced(self.of_rows(self.base, *names), *names)

    def of_rows(self, writer: Model, *names: str | int) -> Model:
        """Return a student of a writer's rows: three times as many as elsewhere, for a trait that is strong at first."""
        rows = writer.sample(Numbers(), n=SHARED * ROWS, seed=self.seed("silent rows", *names))
        return self.base.finetune(rows, self.recipe, seed=self.seed("silent student", *names))

    def silenced(self, model: Model, *names: str | int) -> Model:
        """Return a model trained on the base's own answers to the probes' questions."""
        asked = [question for probe in dict.fromkeys(t.probe for t in self.traits) for question in word_questions(probe)]
        # The answers that stand here are not read: the base gives its own.
        rows = tuple((question, "one") for question in asked) * TIMES
        own = Answered(self.base, Written(rows), len(rows), seed=self.seed("silencing rows", *names))
        return model.finetune(own, self.recipe, seed=self.seed("silencing", *names))
