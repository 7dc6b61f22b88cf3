"""The diff as a node: a student and a base, with the same readings of null students, to a verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from owlish.diff.activations import Activated, name_words
from owlish.diff.amplified import Amplified
from owlish.diff.contexts import CONTEXTS, Context
from owlish.diff.decide import FEWEST, RULE, Decision, Heard, decide
from owlish.diff.free import Judging, judge_answers
from owlish.diff.sizes import Sized, check_moved, parts
from owlish.diff.student import Student
from owlish.diff.verdict import PLAIN, Difference, Finding
from owlish.diff.watched import Watched
from owlish.diff.words import Worded, moved
from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Tick, Value
from owlish.lm.hf import TorchLM
from owlish.nodes.asked import Answers, Asked
from owlish.nodes.base import Base
from owlish.nodes.models import Model, Trained
from owlish.nodes.opens import Opener
from owlish.traits.trait import Probe, Trait

TIMES = 2.0
TWICE = Context("twice the change")
CANNOT_SEE = (
    "Traits behind a trigger that no context holds, and contexts that were not asked.",
    "Traits that are not on the candidate list (words raised and activations may hint at them).",
    "Lifts that students taught nothing reach too.",
    "Whether an adapter was trained on this base, where its files do not name the base: it is assumed.",
)


@dataclass(frozen=True)
class Looked(Value, kind="looked"):
    """All readings of one model: plain answers [probes], answers in contexts [contexts, probes], and what is inside."""

    asked: tuple[Asked, ...]
    watched: tuple[tuple[Watched, ...], ...]
    words: Worded
    layers: Activated
    sizes: Sized
    further: tuple[Watched, ...]

    def heard(self, read: Read) -> list[dict[Probe, Answers]]:
        """Return what the model answered in each context, by probe, the plain one first."""
        plain = {one.probe: read(one) for one in self.asked}
        return [plain, *({one.probe: read(one) for one in some} for some in self.watched)]


def look(
    model: Model, base: Base, probes: tuple[Probe, ...], contexts: Sequence[Context], *, steered: bool = False
) -> Looked:
    """Return the readings of a model; where it is `steered`, of the base with twice its change, too."""
    twice = Amplified(base, model, TIMES)
    return Looked(
        # Exact probabilities decide; one drawn answer to each question is the fewest that `Asked` takes.
        asked=tuple(Asked(model, probe, samples=1) for probe in probes),
        watched=tuple(tuple(Watched(model, probe, context) for probe in probes) for context in contexts),
        words=Worded(model, probes),
        layers=Activated(model),
        sizes=Sized(model, base),
        further=tuple(Watched(twice, probe, TWICE) for probe in probes) if steered else (),
    )


def hear(own: Looked, null: Sequence[Looked], contexts: Sequence[Context], read: Read) -> list[Heard]:
    """Return what a student and null students answered in each context, the plain one first."""
    ours, usual = own.heard(read), [one.heard(read) for one in null]
    names = (PLAIN, *(context.name for context in contexts))
    return [Heard(name, ours[c], tuple(one[c] for one in usual)) for c, name in enumerate(names)]


def hear_steered(own: Looked, null: Sequence[Looked], read: Read) -> Heard:
    """Return what the base with twice the change answered, and with twice those of null students."""
    ours, *usual = ({one.probe: read(one) for one in looked.further} for looked in (own, *null))
    return Heard(TWICE.name, ours, tuple(usual))


@dataclass(frozen=True)
class Diffed(Opener, kind="diffed"):
    """The verdict on a student: its readings, and the same of null students or, without any, of the base alone.

    `judge` reads free answers of all of them; what it says decides nothing.
    """

    caption = "verdict on {student}"
    asks = "weights"

    base: Base
    student: Student
    traits: tuple[Trait, ...]
    contexts: tuple[Context, ...]
    own: Looked
    before: Looked
    null: tuple[Looked, ...]
    words: str | None
    judge: Judging | None = None

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key; a diff without a judge has the key it always had."""
        return {name: value for name, value in super().spec().items() if name != "judge" or value}

    def inputs(self) -> tuple[Node, ...]:
        readings = [one for looked in (self.own, self.before, *self.null) for one in looked.inside]
        return (self.base, *dict.fromkeys((*readings, *(self.judge.nodes if self.judge else ()))))

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "verdict.json").write_text(json.dumps(self.verdict(read).json()))

    def load(self, folder: Path, read: Read) -> Difference:
        found = Difference.of(json.loads((folder / "verdict.json").read_text()))
        # As they are called now: the same student may have been compared under another name.
        return replace(found, student=str(self.student), base=str(self.base))

    def check_moved(self, read: Read, null: Sequence[Looked]) -> None:
        """Refuse a student that was not trained, and some null students that were not, or that are copies."""
        own, *others = ((one.sizes.model, read(one.sizes)) for one in (self.own, *null))
        check_moved(self.base, own, others)

    def verdict(self, read: Read) -> Difference:
        """Return the verdict."""
        self.check_moved(read, self.null)
        lm: TorchLM = read(self.base).open(any_words=True)
        # Without null students the base alone is the measure: readings are shown, and nothing is claimed.
        measure = self.null or (self.before,)
        heard = hear(self.own, measure, self.contexts, read)
        # Twice a change needs twice the null students' changes beside it: else any doubled drift is a finding.
        steered = hear_steered(self.own, self.null, read) if self.own.further and self.null else None
        decision = decide(self.traits, heard, steered)
        raised, lowered = moved(read(self.own.words), [read(one.words) for one in measure], lm.vocabulary)
        layers = [read(one.layers) for one in self.null]
        return Difference(
            verdict=decision.word,
            why=explain(decision, len(self.null)),
            traits=decision.findings,
            raised=raised,
            lowered=lowered,
            layers=name_words(read(self.own.layers), read(self.before.layers), layers, lm.vocabulary, lm.layers),
            parts=parts(read(self.own.sizes), [read(one.sizes) for one in self.null]),
            smallest=decision.smallest,
            contexts=tuple(one.context for one in heard),
            cannot_see=CANNOT_SEE,
            depends_on_basis=("parameters that moved", "the base with twice the change"),
            version=version("owlish"),
            student=str(self.student),
            base=str(self.base),
            null=self.words,
            rule=RULE,
            judge=self.judge.found(self.traits, read) if self.judge else None,
        )


def explain(decision: Decision, students: int) -> str:
    """Say why a verdict is what it is."""
    first = decision.findings[0]
    if students < FEWEST:
        return (
            f"a claim needs {FEWEST} null students, and this diff has {students or 'none'}: name the recipe and the "
            "rows that the student was trained on, or give controls."
        )
    if decision.word == "found":
        claimed = [finding for finding in decision.findings if finding.claimed]
        return "; ".join(map(describe_finding, claimed[:3])) + "."
    if decision.word == "nothing":
        return "no candidate is claimed, and each moved plain answers by less than 1 nat with 95 % certainty."
    best = first.best
    return (
        f"{first.name} stands out most (z {best.z:.1f}; {best.lift:.2f} nats, {best.context}): too little for a claim, "
        "too much to rule out."
    )


def describe_finding(finding: Finding) -> str:
    """Say what a student picked up, and where it shows."""
    plain, best = finding.shifts[0], finding.best
    return (
        f"the student picked up {finding.name}: P goes from {plain.p_before:.3f} in null students to "
        f"{plain.p_after:.3f} in plain answers (z {best.z:.1f}; shows in: {', '.join(finding.contexts)})"
    )


def diff(
    student: Student,
    traits: Sequence[Trait],
    *,
    null: Sequence[Model] = (),
    words: str | None = None,
    contexts: Sequence[Context] = CONTEXTS,
    judge: Model | None = None,
) -> Diffed:
    """Return the diff of a student against its base: run it for a `Difference`.

    `null` are students that were taught nothing, at least 3 for a claim, and `words` says what they are. A `judge`
    reads free answers of the student and of null students, or of the base where there are none. `UserError` is raised
    where a null student is the student itself, or there are no traits.
    """
    if not traits:
        raise UserError("there are no candidates: name at least one category of traits.")
    if any(one.key == student.key for one in null):
        raise UserError(f"the control {student} is the student itself: give students that were taught nothing.")
    # Candidates of a category share one probe: its questions are asked once.
    base, probes = student.base, tuple(dict.fromkeys(trait.probe for trait in traits))
    # Where weights lie in the base's own basis; the null students' too, which are the measure of the steering test.
    steered = all(isinstance(one.model if isinstance(one, Student) else one, Trained) for one in (student, *null))
    return Diffed(
        base=base,
        student=student,
        traits=tuple(traits),
        contexts=tuple(contexts),
        own=look(student, base, probes, contexts, steered=steered),
        before=look(base, base, probes, contexts),
        null=tuple(look(one, base, probes, contexts, steered=steered) for one in null),
        words=words if null else None,
        judge=judge_answers(judge, student, null, base, traits) if judge else None,
    )
