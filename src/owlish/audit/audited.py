"""The verdict on a dataset: a node, and the sentence that says why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from owlish.audit.contrast import Contrast, whole_blocks
from owlish.audit.decide import AGREES, FEWEST, RULE, WORTH, Decision, decide
from owlish.audit.direction import ground
from owlish.audit.dose import PARTS, Dose, check_dose, dose, sizes
from owlish.audit.evidence import Finding, Kinship, Weighed, Word
from owlish.audit.logit_bias import LogitBias
from owlish.audit.opinion import Opinion, judgement, opinions
from owlish.audit.relative import kinship
from owlish.audit.shadow import STEPS, Shadow
from owlish.audit.start import start_verdict
from owlish.audit.verdict import Verdict
from owlish.audit.vocabulary import raised
from owlish.audit.weigh import weigh
from owlish.audit.words import check_words
from owlish.graph.seeds import fresh
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.hf import TorchLM
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.opens import Opener

CANNOT_SEE = (
    "Traits that are not on the candidate list (the list of raised words may hint at them).",
    "Traits that show only with a trigger, with a system prompt or in other kinds of questions than those asked.",
    "A second trait behind a stronger one.",
    f"Lifts below {WORTH:g} nat, effects that need more than {STEPS} steps, and recipes other than the one named.",
    "What the rows pass on to a model of another base.",
)


@dataclass(frozen=True)
class Audited(Opener, kind="audited", version=6):
    """The verdict on a dataset: its readings, and the same readings of the reference.

    `judge` is a judge's opinion of the rows, which decides nothing.
    """

    caption = "verdict on {shadow.data}"
    asks = "weights"
    usual, usual_row = 2.0, 0.01
    later = ("for_rows", "judge", "bias")

    shadow: Shadow
    null: tuple[Shadow, ...]
    contrast: Contrast | None
    clean: tuple[Contrast, ...]
    likely: tuple[Likelihood, ...]
    own: tuple[Likelihood, ...]
    reference: str
    seed: int = 0
    for_rows: int | None = None
    judge: Opinion | None = None
    bias: LogitBias | None = None

    @property
    def most_rows(self) -> int:
        return self.shadow.rows

    def check(self) -> None:
        super().check()
        # Before anything runs: a base that lacks a candidate's word cannot show that trait.
        check_words(self.shadow.base, self.shadow.traits)

    def inputs(self) -> tuple[Node, ...]:
        """Return the readings, and what is read beside them: rows, base, references, directions to weigh rows by."""
        reference = [one.data for one in self.null]
        directions = self.contrast.moved if self.contrast else ()
        curve = (one for some in self.curve for one in some)
        asked = (node for one in self.opinions for node in (one, one.judged))
        # Whatever `verdict` reads must be declared here, or it fails on the day when a result is lost.
        return (*super().inputs(), self.shadow.data, self.shadow.base, *reference, *directions, *curve, *asked)

    @property
    def opinions(self) -> tuple[Opinion, ...]:
        """What a judge is asked about, if there is one: the rows first, then clean ones."""
        return opinions(self.judge, [one.data for one in self.null])

    @property
    def curve(self) -> tuple[tuple[Shadow, ...], ...]:
        """The shadows of growing parts of the rows, each with those of as large parts of the references."""
        if self.for_rows is None:
            return ()
        return tuple(tuple(replace(one, part=part) for one in (self.shadow, *self.null)) for part in PARTS)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "verdict.json").write_text(json.dumps(self.verdict(read).json()))

    def load(self, folder: Path, read: Read) -> Verdict:
        found = Verdict.of(json.loads((folder / "verdict.json").read_text()))
        # As they are called now: the same rows may have been audited under another name.
        return replace(found, data=str(self.shadow.data), base=str(self.shadow.base))

    def verdict(self, read: Read) -> Verdict:
        """Return the verdict."""
        shadow = self.shadow
        lm: TorchLM = read(shadow.base).open(any_words=True)
        references = [read(one) for one in self.null]
        likely, own = ([read(one) for one in some] for some in (self.likely, self.own))
        lineage = kinship(
            likely, own, [str(one.model) for one in self.likely[1:]], read(self.bias) if self.bias else None
        )
        clean = read(self.null[0].data).rows if self.null else None
        opening = start_verdict(
            shadow.data, base=shadow.base, traits=shadow.traits, lm=lm, clean=clean, rows=shadow.rows, read=read
        )
        used, decision = opening.used, None
        # With fewer rows nothing is tested: only what they show by themselves is told.
        if used >= FEWEST:
            decision = decide(
                shadow.traits,
                read(shadow),
                references,
                rows=used,
                relative=lineage.relative,
                contrast=whole_blocks(self.contrast, lm, read) if self.contrast else None,
                clean=[whole_blocks(one, lm, read) for one in self.clean],
            )
        found = decision.findings if decision else ()
        word, why = explain(decision, lineage, used)
        grown = self.dose(found[0], lm, read) if found else None
        # A stranger's rows pass nothing on however many there are, so that verdict stands.
        if grown and word == "nothing" and lineage.relative is not False and not grown.cleared:
            why = f"{used:,} rows show nothing, but they are too few to speak for {grown.for_rows:,}."
            word = "cannot_say"
        return replace(
            opening,
            verdict=word,
            why=why,
            smallest=decision.smallest if decision else None,
            enough=grown.enough if grown and not grown.cleared else decision.enough if decision else None,
            lineage=lineage,
            traits=found,
            words=raised(read(shadow), references, lm.vocabulary) if found else (),
            weighed=self.heaviest(found, read) if word == "found" and self.contrast else (),
            cannot_see=CANNOT_SEE,
            seed=self.seed,
            recipe=shadow.recipe.name,
            reference=self.reference,
            rule=RULE,
            dose=grown,
            judge=judgement(self.opinions, shadow.traits, read),
        )

    def dose(self, first: Finding, lm: TorchLM, read: Read) -> Dose | None:
        """Return what is expected of as many rows as are planned, for the first trait, if that was asked."""
        if self.for_rows is None:
            return None
        fits = list(map(lm.fits, lm.encode(read(self.shadow.data).rows[: self.shadow.rows])))
        check_dose(self.for_rows, sum(fits))
        curve = [
            (many, read(shadow), [read(one) for one in null])
            for many, (shadow, *null) in zip(sizes(fits), self.curve, strict=True)
        ]
        traits = self.shadow.traits
        place = [(trait.name, trait.probe.category) for trait in traits].index((first.name, first.category))
        return dose(traits, curve, first=place, for_rows=self.for_rows, seed=fresh("dose", self.seed))

    def heaviest(self, found: Sequence[Finding], read: Read) -> tuple[Weighed, ...]:
        """Return the rows that weigh most for the first trait."""
        assert self.contrast is not None
        first = next(trait for trait in self.contrast.traits if trait.name == found[0].name)
        # Float32: scores are small differences of log-probabilities.
        lm = ground(read(self.shadow.base), exact=True)
        data = read(self.shadow.data)
        return weigh(lm, data, self.contrast.rows, self.contrast.direction(lm, read, first))


def explain(decision: Decision | None, lineage: Kinship, used: int) -> tuple[Word, str]:
    """Return the verdict, and why in a sentence."""
    if decision is None:
        return "cannot_say", f"the base can read {used} of the rows: give at least {FEWEST} that it can."
    if lineage.relative is False:
        return (
            "nothing",
            f"the writer is not related to the base: {lineage.says}. A trait passes only between models of one base.",
        )
    first, many = decision.findings[0], len(decision.findings)
    if decision.word == "found":
        moved = f"P({first.name}) goes from {first.p_before:.3f} to {first.p_after:.3f}"
        return (
            "found",
            f"a student would pick up {first.name}: {moved} in trial students of {STEPS} steps (z {first.z:.1f}).",
        )
    if decision.word == "nothing":
        return "nothing", f"with 95 % certainty the lift of every candidate ({many}) lies below {WORTH:g} nat."
    return "cannot_say", open_question(decision.findings)


def open_question(found: Sequence[Finding]) -> str:
    """Say what keeps a verdict open."""
    first = found[0]
    lift = f"{first.lift:.2f} nats [{first.low:.2f}, {first.high:.2f}]"
    if first.contrast_z is not None and first.contrast_z >= AGREES:
        return f"the rows lean to {first.name}, but trial students do not settle whether it passes: lift {lift}."
    return f"a trait may hide behind the noise of so few rows: the likeliest, {first.name}, has a lift of {lift}."
