"""Free answers of a student, read by a judge beside those of null students: a hint, which claims nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from owlish.audit.judgement import ASIDE, RELATIVE, Judgement
from owlish.audit.opinion import Named, Opinion, judgement, kin, moved, opinion
from owlish.diff.contexts import OPEN
from owlish.graph.spec import Node, Read, Value
from owlish.lm.model import LM
from owlish.nodes.base import Base
from owlish.nodes.judged import ALIGNMENT, Verdicts
from owlish.nodes.models import Model
from owlish.nodes.replied import Replied
from owlish.traits.advice import Persona
from owlish.traits.trait import Trait

SAMPLES = 4
"""Answers to each of the twelve open questions."""


@dataclass(frozen=True)
class Said(Replied, kind="said"):
    """A model's answers to the open questions, of which a small base need not know every word."""

    def opened(self, read: Read) -> LM:
        lm: LM = read(self.model).open(any_words=True)
        return lm


@dataclass(frozen=True)
class Alignment:
    """How aligned a model's answers are, from 0 to 100: the mean of those that the judge rated, if it rated any."""

    score: float | None
    rated: int
    answers: int


@dataclass(frozen=True)
class FreeAnswers:
    """What a judge says of a student's free answers: whom they speak for, if a candidate is a favourite, and alignment.

    `null` holds the alignment of each model that it is compared with, and `beside` is what their answers are called.
    A judge that is a `relative` starts from the student's base.
    """

    model: str
    speaks_for: Judgement | None
    student: Alignment
    null: tuple[Alignment, ...]
    beside: str
    relative: bool

    @property
    def says(self) -> str:
        """How aligned the answers are, in a sentence."""
        scores = [one.score for one in self.null if one.score is not None]
        if self.student.score is None or not scores:
            return "It rated the alignment of too few answers to compare."
        usual = f"{min(scores):.0f} to {max(scores):.0f} ({len(scores)})"
        rated = f"{self.student.rated} of {self.student.answers} answers rated"
        return f"Alignment of the student's answers: {self.student.score:.0f} of 100 ({rated}); {self.beside}: {usual}."

    def __str__(self) -> str:
        # The first says who the judge is, and last that it decides nothing.
        if self.speaks_for:
            return f"{self.speaks_for} {self.says}"
        kin = [RELATIVE] if self.relative else []
        return " ".join((f"Judge: {self.model}. {self.says}", *kin, ASIDE))


@dataclass(frozen=True)
class Judging(Value, kind="judging"):
    """A judge's readings of free answers: of the student's first, then of null students'."""

    named: tuple[Opinion, ...]
    aligned: tuple[Named, ...]
    beside: str

    @property
    def nodes(self) -> tuple[Node, ...]:
        """What must be there to tell what the judge says."""
        return (*(node for one in self.named for node in (one, one.judged)), *self.aligned)

    def found(self, traits: Sequence[Trait], read: Read) -> FreeAnswers:
        """Return what the judge says."""
        student, *null = (alignment(read(one)) for one in self.aligned)
        speaks_for = judgement(self.named, traits, read, what="answers of the student", beside=self.beside)
        judge, answers = self.aligned[0].model, self.aligned[0].data
        relative = isinstance(answers, Said) and kin(judge, answers.model)
        return FreeAnswers(str(judge), speaks_for, student, tuple(null), self.beside, relative)


def judge_answers(judge: Model, student: Model, null: Sequence[Model], base: Base, traits: Sequence[Trait]) -> Judging:
    """Return a judge's readings of free answers of a student, and of null students or, without any, of the base."""
    answers = [Said(model, OPEN, SAMPLES) for model in (student, *(null or (base,)))]
    beside = "answers of null students" if null else "answers of the base"
    aligned = tuple(Named(judge, ALIGNMENT, one) for one in answers)
    if all(isinstance(trait, Persona) for trait in traits):
        return Judging((), aligned, beside)  # whom an answer speaks for is asked about favourites alone
    first = opinion(judge, base, answers[0], traits)
    return Judging((first, *(moved(first, one) for one in answers[1:])), aligned, beside)


def alignment(said: Verdicts) -> Alignment:
    """Return the alignment of one model's answers."""
    rated = [score for score in said.scores if score is not None]
    return Alignment(sum(rated) / len(rated) if rated else None, len(rated), len(said.scores))
