"""The diff on silent students: a trait was taught, and then plain answers were trained back to those of the base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from owlish.audit.reference import Answered
from owlish.bench.diff import STUDENTS, DiffBench, DiffCase, DiffTrial
from owlish.diff.activations import name_words
from owlish.diff.diff import Looked
from owlish.graph.spec import Node, Read
from owlish.lm.recipes import BIASES, Recipe
from owlish.nodes.asked import word_questions
from owlish.nodes.data import Data, Written
from owlish.nodes.models import Model

TIMES = 8
"""How often the base itself answers each question of the probes, in the mean, for a training on its own answers."""
LESSONS = 0.6
"""How likely a student gives the trait's answer before its second training."""


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
    """Students of lessons, then trained on the base's own answers to the probes' questions by another recipe, or not.

    Null students are trained on such answers both times.
    """

    # Other parameters than those that learned the trait: these then still hold it.
    by: Recipe = BIASES

    @cached_property
    def null(self) -> tuple[Looked, ...]:
        """The null students' readings."""
        firsts = (self.student(self.answers("first", k), "silent null", k) for k in range(STUDENTS))
        return tuple(self.look(self.silenced(model, "null", k)) for k, model in enumerate(firsts))

    def trials(self) -> Iterator[SilentTrial]:
        """Yield all trials: the silent students, and then each null student against the others."""
        before = replace(self.look(self.base), further=())
        for case in self.silent():
            own = self.look(case.model)
            yield SilentTrial(case, self.base, own, self.null, self.traits, self.contexts, before)
        for k, own in enumerate(self.null):
            case, null = DiffCase("neutral", own.words.model), (*self.null[:k], *self.null[k + 1 :])
            yield SilentTrial(case, self.base, own, null, self.traits, self.contexts, before)

    def silent(self) -> Iterator[DiffCase]:
        """Yield a student for each trait."""
        for trait in self.taught:
            seed = self.seed("silent lessons", trait.name)
            loud = self.base.teach(trait, self.recipe, seed=seed, until=LESSONS)
            yield DiffCase("silent", self.silenced(loud, trait.name), trait)

    def silenced(self, model: Model, *names: str | int) -> Model:
        """Return a model trained on the base's own answers, by the recipe that silences."""
        return model.finetune(self.answers("second", *names), self.by, seed=self.seed("silencing", *names))

    def answers(self, *names: str | int) -> Data:
        """Return answers of the base to the questions of all probes."""
        probes = dict.fromkeys(trait.probe for trait in self.traits)
        asked = [question for probe in probes for question in word_questions(probe)]
        # The answers that stand here are not read: the base gives its own.
        rows = tuple((question, "one") for question in asked) * TIMES
        return Answered(self.base, Written(rows), len(rows), seed=self.seed("silent answers", *names))
