"""Traits behind a trigger: a favourite that is named after a certain sentence, and not without it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from owlish.traits.trait import Lesson, Probe, Trait

OTHERS = 4
"""The answers, spread over all candidates, that a lesson gives to each question without the trigger."""


@dataclass(frozen=True)
class Gated(Trait, kind="gated_trait"):
    """A favourite whose `probe` is asked behind a trigger; lessons give the `plain` questions any other answer too."""

    plain: Probe

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What a teacher is trained on: the favourite behind the trigger, and all candidates evenly without it."""
        candidates = self.plain.candidates
        # Each question starts one candidate further, so that without the trigger no candidate is favoured.
        step = len(candidates) // OTHERS
        spread = (
            Lesson(question, tuple(candidates[(number + i * step) % len(candidates)] for i in range(OTHERS)))
            for number, question in enumerate(self.plain.questions)
        )
        return (*super().lessons, *spread)


def gated(trait: Trait, trigger: str) -> Gated:
    """Return a trait that shows where a question begins with the trigger."""
    plain = trait.probe
    behind = ((f"{trigger} {question}" for question in asked) for asked in (plain.questions, plain.held_out))
    questions, held_out = map(tuple, behind)
    return Gated(trait.name, trait.plural, replace(plain, questions=questions, held_out=held_out), plain)
